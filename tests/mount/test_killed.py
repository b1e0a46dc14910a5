# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""kill -9 before each call that changes a file: whatever is there then, the next who comes understands it."""
import itertools
import os
import signal
import subprocess

import pytest

import programs
from killing import expect_most, is_killed, killed_at, places, traced
from mounts import mounted_at, read
from registry import CONTENTS
from waiting import until

KILLS = 20
CALLS = "openat,write,pwrite64,ftruncate,fsync,renameat,unlinkat,mkdir,mkdirat,flock"
PATH = "test/page/1.0.0.wasm"
PAGE = CONTENTS["test:page", "1.0.0"]


def expect_order(home, url):
    """What the reference can work with, and nothing left of the dead."""
    cache = os.path.dirname(home.cache)
    for folder in ("warg/content/temp", "wargfs/downloads"):
        path = os.path.join(cache, folder)
        assert not os.path.isdir(path) or os.listdir(path) == []
    content = home.content_file(PAGE)
    assert not os.path.exists(content) or read(content) == PAGE
    home.warg("info", "--registry", url)


@pytest.fixture
def new_configured(new_home, liar):
    return lambda: new_home().configure(liar.url)


def test_download(new_configured, liar, folder):
    """A command that begins with nothing."""
    trace = os.path.join(folder, "trace")
    words = programs.WARGFS, "download", "test:page", "-o", "out.wasm"
    new_configured().run(*traced(CALLS, trace), *words)
    killed = []
    for place in places(trace, KILLS):
        home = new_configured()
        killed.append(is_killed(home, place, *words))
        home.run(*words)
        assert read(os.path.join(home.work, "out.wasm")) == PAGE
        expect_order(home, liar.url)
    expect_most(killed)


def test_update(new_configured, liar, server, folder):
    """An update from an old state to the newest one."""
    trace = os.path.join(folder, "trace")
    words = programs.WARGFS, "update"

    def old():
        home = new_configured()
        liar.stay_at(server.lengths[1])
        for name in ("test:steps", "test:hello"):
            home.wargfs("download", name, "-o", "out.wasm")
        liar.past = None
        return home
    old().run(*traced(CALLS, trace), *words)
    killed = []
    for place in places(trace, KILLS):
        home = old()
        killed.append(is_killed(home, place, *words))
        home.run(*words)
        assert "0.3.0" in home.wargfs("info", "test:steps").stdout
        expect_order(home, liar.url)
    expect_most(killed)


def test_cold_read(new_configured, new_mount, liar, folder):
    """A mount with nothing, while somebody reads."""
    trace = os.path.join(folder, "trace")
    count = itertools.count()

    def mount_and_read(home, *tracing):
        path = os.path.join(folder, f"killed{next(count)}")
        os.mkdir(path)
        with open(path + ".log", "wb") as log:
            daemon = home.start(*tracing, programs.WARGFS, "mount", "-f", liar.url, path, stdout=log, stderr=log)
        try:
            until(lambda: mounted_at(path) or daemon.poll() is not None, "the mount stands, or is dead")
            reader = subprocess.run(["cat", os.path.join(path, PATH)], capture_output=True)
            assert reader.returncode or reader.stdout == PAGE
            subprocess.run(["fusermount3", "-u", "-z", path], capture_output=True)
            daemon.wait()
        finally:
            while mounted_at(path):
                subprocess.run(["fusermount3", "-u", "-z", path], check=True)
            daemon.kill()
            daemon.wait()
        return daemon.returncode == -signal.SIGKILL
    mount_and_read(new_configured(), *traced(CALLS, trace))
    killed = []
    for place in places(trace, KILLS):
        home = new_configured()
        killed.append(mount_and_read(home, *killed_at(place)))
        mount = new_mount(liar.url, home=home)
        assert mount.read(PATH) == PAGE
        mount.end()
        expect_order(home, liar.url)
    expect_most(killed)
