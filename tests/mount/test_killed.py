"""kill -9 before each call that changes a file: whatever is there then, the next who comes understands it.

Every so many-th call is taken, so that each of the tests kills KILLS times; with WARGFS_KILLS=all in the environment
each call is taken once.
"""
import itertools
import os
import re
import signal
import subprocess

import pytest

import programs
from mounts import mounted_at, read
from registry import CONTENTS
from waiting import until

KILLS = 20
CALLS = "openat,write,pwrite64,ftruncate,fsync,renameat,unlinkat,mkdir,mkdirat,flock"
PATH = "test/page/1.0.0.wasm"
PAGE = CONTENTS["test:page", "1.0.0"]


def traced(output, *injection):
    """The words that have a program traced. What is traced cannot look for leaks."""
    options = os.environ.get("ASAN_OPTIONS", "") + ":detect_leaks=0"
    return ("strace", "-f", "-qq", "-o", output, "-e", "trace=" + CALLS, *injection, "-E", "ASAN_OPTIONS=" + options)


def killed_at(number):
    return traced(os.devnull, "-e", f"inject={CALLS}:signal=KILL:when={number}")


def count_calls(trace):
    """The most that one thread made: strace counts for each of them."""
    with open(trace, errors="replace") as file:
        threads = re.findall(r"^(\d+) +\w+\(", file.read(), re.M)
    return max(threads.count(thread) for thread in set(threads))


def numbers(trace):
    calls = count_calls(trace)
    if os.environ.get("WARGFS_KILLS") == "all":
        return range(1, calls + 1)
    return sorted({1 + i * (calls - 1) // (KILLS - 1) for i in range(KILLS)})


def is_killed(home, number, *words):
    """Run a command that hardly survives it. strace dies of the same signal."""
    done = home.run(*killed_at(number), *words, status=None)
    assert done.returncode in (0, -signal.SIGKILL), f"call {number}: {done.returncode} {done.stderr}"
    return done.returncode != 0


def expect_most(killed):
    """The last calls are not the same in each run."""
    assert sum(killed) >= len(killed) * 3 // 4, killed


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
    new_configured().run(*traced(trace), *words)
    killed = []
    for number in numbers(trace):
        home = new_configured()
        killed.append(is_killed(home, number, *words))
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
    old().run(*traced(trace), *words)
    killed = []
    for number in numbers(trace):
        home = old()
        killed.append(is_killed(home, number, *words))
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
    mount_and_read(new_configured(), *traced(trace))
    killed = []
    for number in numbers(trace):
        home = new_configured()
        killed.append(mount_and_read(home, *killed_at(number)))
        mount = new_mount(liar.url, home=home)
        assert mount.read(PATH) == PAGE
        mount.end()
        expect_order(home, liar.url)
    expect_most(killed)
