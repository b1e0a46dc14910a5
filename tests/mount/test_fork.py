# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Two registries behind one address, both signed by the operator and each of them whole: a view for some, another for
others.
"""
import glob
import os
import signal

import pytest

import programs
from mounts import errno_of
from registry import CONTENTS, PACKAGES
from waiting import until

ALL = [name.partition(":")[2] for name in PACKAGES]
HELLO = CONTENTS["test:hello", "1.0.0"]


@pytest.fixture(scope="module")
def other(everything, server):
    """Another real server with the same operator's key, the same namespace, as many records, and another history."""
    other = programs.HomeServer(programs.Home(os.path.join(everything, "forked-server")))
    try:
        home = programs.Home(os.path.join(everything, "forked-publisher")).configure(other.url)
        other.wait_for_length(1)
        for number in range(1, server.lengths[-1]):
            home.warg("publish", "init", f"test:other-{chr(96 + number)}", "--no-wait")
        other.wait_for_length(server.lengths[-1])
        yield other
    finally:
        other.end()


@pytest.fixture
def known(home, new_mount, liar):
    """A mount that knows the registry."""
    mount = new_mount(liar.url, "refresh=3600", home=home).expect("^wargfs: ")
    assert mount.list("test") == ALL
    assert mount.read("test/hello/1.0.0.wasm") == HELLO
    return mount


def look_again(mount, words):
    mount.process.send_signal(signal.SIGHUP)
    mount.wait_for_log(words)
    check_old(mount)


def check_old(mount):
    """All of what was proven before, and nothing else."""
    assert mount.list("test") == ALL
    assert mount.read("test/hello/1.0.0.wasm") == HELLO
    assert errno_of(mount.list, "test/other-a") == "ENOENT"


def evidence(home):
    return [os.path.basename(path) for path in
            glob.glob(os.path.join(home.path, ".local/state/wargfs/*/evidence/*"))]


def test_same_length(known, liar, other, server, home):
    """It is a fork, and not forgotten."""
    liar.server = other
    look_again(known, "a fork")
    liar.server = server
    look_again(known, "seen to fork")
    assert [name.partition("-")[0] for name in evidence(home)] == ["fork"]


def test_two_mounts(home, new_mount, liar, other, server):
    """Two mounts are shown different branches after a common history: the second one sees the fork, and both stop."""
    liar.stay_at(server.lengths[1])
    mounts = [new_mount(liar.url, "refresh=3600", home=home).expect("^wargfs: ") for _ in range(2)]
    for mount in mounts:
        assert mount.list("test")
    liar.past = None
    mounts[0].process.send_signal(signal.SIGHUP)
    until(lambda: mounts[0].list("test") == ALL, "the first mount is shown what is new")
    liar.server = other
    mounts[1].process.send_signal(signal.SIGHUP)
    mounts[1].wait_for_log("a fork")
    liar.server = server
    for mount in mounts:
        mount.process.send_signal(signal.SIGHUP)
        mount.wait_for_log("seen to fork")
    assert mounts[0].list("test") == ALL and mounts[1].list("test") != ALL
    assert [name.partition("-")[0] for name in evidence(home)] == ["fork"]


def test_alternately(known, liar, other, server, home):
    """One and the other in turn, from one checkpoint to the next."""
    def turn(_):
        liar.server = other if liar.server is server else server
    liar.server = other
    liar.lie("checkpoint", turn)
    for words in ("a fork", "seen to fork", "seen to fork"):
        look_again(known, words)
    assert liar.count("checkpoint") > 1
    assert any(name.startswith("fork-") for name in evidence(home))


def test_longer(new_mount, liar, other, server, home):
    """What comes later is not what was there, grown: refused; and the true one is believed afterwards."""
    liar.stay_at(server.lengths[1])
    mount = new_mount(liar.url, "refresh=3600", home=home).expect("^wargfs: ")
    old = mount.list("test")
    liar.server, liar.past = other, None
    mount.process.send_signal(signal.SIGHUP)
    mount.wait_for_log("the registry's answer is not valid: ")
    assert mount.list("test") == old and "other-a" not in old
    liar.server = server
    mount.process.send_signal(signal.SIGHUP)
    until(lambda: mount.list("test") == ALL, lambda: f"the true one is believed: {mount.log}")
    assert not [name for name in evidence(home) if name.startswith("fork")]


def test_shorter(known, liar, other, server, home):
    """A rollback to another history; the true one is believed afterwards."""
    liar.server, liar.past = other, other.checkpoints[1]
    look_again(known, "rollback")
    assert [name.partition("-")[0] for name in evidence(home)] == ["rollback"]


@pytest.mark.parametrize("call", ("logs", "inclusion", "ledger", "names"))
def test_mixed(new_mount, liar, other, server, call):
    """From one call on the other registry answers: nothing is mixed into what the first one says."""
    honest = liar.pass_on

    def mixed(server, method, path, body, headers):
        return honest(other if call in path else server, method, path, body, headers)
    liar.pass_on = mixed
    mount = new_mount(liar.url, wait=False).expect("^wargfs: ")
    if call in ("logs", "inclusion"):
        assert mount.refused()[0] in (1, 3, *programs.FAILURES)
        return
    mount.wait()
    assert "other-a" not in (mount.list("test") if errno_of(mount.list, "test") is None else [])
    assert errno_of(mount.list, "test/other-a") in ("ENOENT", "EBADMSG")
    assert mount.read("test/hello/1.0.0.wasm") == HELLO
