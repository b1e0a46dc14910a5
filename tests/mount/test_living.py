# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""A view that lives: a mount that grows with its registry, when it looks for that, and when it is told to."""
import os
import signal

import pytest

import programs
from liar import says
from mounts import errno_of, read
from registry import publish_record, path_of, CONTENTS
from waiting import until

STEPS = "test", "steps"
LATER = path_of("test:steps", "0.3.0")
NEVER = "refresh=3600"


@pytest.fixture
def behind(liar, new_mount, server):
    """A mount of a registry that has grown since; the mount knows of a folder, and of a file that it was absent."""
    liar.stay_at(server.lengths[2])
    mount = new_mount(liar.url, NEVER)
    assert errno_of(mount.stat, LATER) == "ENOENT"
    assert mount.list(*STEPS) == ["0.1.0.wasm", "0.2.0.wasm", "latest.wasm"]
    assert os.readlink(mount.at(*STEPS, "latest.wasm")) == "0.2.0.wasm"
    liar.be_honest()
    return mount


def is_caught_up(mount):
    return mount.list(*STEPS) == ["0.1.0.wasm", "0.2.0.wasm", "0.3.0.wasm", "latest.wasm"]


def check_caught_up(mount):
    until(lambda: is_caught_up(mount), "the new release is listed")
    until(lambda: os.readlink(mount.at(*STEPS, "latest.wasm")) == "0.3.0.wasm", "the link points to it")
    until(lambda: errno_of(mount.stat, LATER) is None, "what was absent is there")
    assert mount.read(LATER) == CONTENTS["test:steps", "0.3.0"]


def test_hangup_means_now(behind):
    behind.process.send_signal(signal.SIGHUP)
    check_caught_up(behind)


def test_hangup_without_refresh(liar, new_mount, server):
    """Also a mount that never looks by itself does when it is told to."""
    liar.stay_at(server.lengths[2])
    mount = new_mount(liar.url, "refresh=0")
    mount.list(*STEPS)
    liar.be_honest()
    mount.process.send_signal(signal.SIGHUP)
    check_caught_up(mount)


def test_hangup_with_a_registry_that_is_away(mount, liar):
    """It is said why nothing came of it."""
    liar.lie("checkpoint", says(503))
    mount.process.send_signal(signal.SIGHUP)
    mount.wait_for_log("status 503")
    assert mount.process.poll() is None


def test_update_tells_mounts(behind, liar):
    behind.home.wargfs("update", "--registry", liar.url)
    check_caught_up(behind)


def test_update_with_a_mount_that_hangs(behind, liar):
    """The others are told, and nobody is waited for; one that goes on hears it then."""
    behind.process.send_signal(signal.SIGSTOP)
    try:
        for _ in range(20):
            behind.home.wargfs("update", "--registry", liar.url)
    finally:
        behind.process.send_signal(signal.SIGCONT)
    check_caught_up(behind)


def test_update_tells_no_other(behind, server, new_mount):
    """A mount is told by its registry's name."""
    other = new_mount(server.url, NEVER, home=behind.home)
    other.home.wargfs("update", "--registry", server.url)
    behind.home.wargfs("status", behind.path)  # asked after, answered after
    assert not is_caught_up(behind)


def test_sooner_after_an_outage(behind, liar):
    """Long before the hour is over."""
    liar.lie("checkpoint", says(503))
    behind.process.send_signal(signal.SIGHUP)
    behind.wait_for_log("status 503")
    liar.be_honest()
    check_caught_up(behind)


@pytest.fixture
def own(folder):
    """A registry of the test's own, and who publishes there."""
    server = programs.HomeServer(programs.Home(os.path.join(folder, "own-server")))
    try:
        yield server, programs.Home(os.path.join(folder, "own-publisher")).configure(server.url)
    finally:
        server.end()


def test_publishing_and_yanking(own, new_mount):
    """By the reference's client, under a mount that stands, with all that the kernel knows of before."""
    server, publisher = own
    server.wait_for_length(1)
    publish_record(publisher, "test:steps", ("init", "0.1.0", "0.2.0"))
    server.wait_for_length(2)
    mount = new_mount(server.url, "refresh=1")
    second = mount.at(*STEPS, "0.2.0.wasm")
    assert mount.list(*STEPS) == ["0.1.0.wasm", "0.2.0.wasm", "latest.wasm"]
    assert mount.list("test") == ["steps"]
    assert read(mount.at(*STEPS, "latest.wasm")) == CONTENTS["test:steps", "0.2.0"]
    assert errno_of(mount.stat, LATER) == "ENOENT"
    assert errno_of(mount.stat, "test/hello") == "ENOENT"
    with open(second, "rb", buffering=0) as file:
        begin = file.read(100)
        publish_record(publisher, "test:steps", ("yank 0.2.0", "0.3.0"))
        publish_record(publisher, "test:hello", ("init", "1.0.0"))
        server.wait_for_length(4)
        until(lambda: is_without_second(mount), "what was yanked is gone, and what is new there")
        until(lambda: errno_of(os.stat, second) == "ENOENT", "what was yanked is absent")
        assert begin + file.read() == CONTENTS["test:steps", "0.2.0"], "what is read stays as it was"
    until(lambda: os.readlink(mount.at(*STEPS, "latest.wasm")) == "0.3.0.wasm", "the link has moved")
    assert read(mount.at(*STEPS, "latest.wasm")) == CONTENTS["test:steps", "0.3.0"]
    assert mount.read(LATER) == CONTENTS["test:steps", "0.3.0"]
    assert mount.read("test/hello/1.0.0.wasm") == CONTENTS["test:hello", "1.0.0"]
    assert mount.list("test") == ["hello", "steps"]
    publish_record(publisher, "test:steps", ("yank 0.3.0",))
    server.wait_for_length(5)
    until(lambda: os.readlink(mount.at(*STEPS, "latest.wasm")) == "0.1.0.wasm", "the link has moved back")


def is_without_second(mount):
    return mount.list(*STEPS) == ["0.1.0.wasm", "0.3.0.wasm", "latest.wasm"]
