# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""kill -9 before each call of a publish that changes a file or sends something: the next run finishes it or reports it,
and in the end exactly one record is in the log.

The registry is one that signs at once (quick.py), and that notes when a record is sent twice.
"""
import os
import re
import shutil

import pytest

import programs
import registry
from killing import expect_most, is_killed, places, traced
from mounts import read

KILLS = 30
CALLS = ("openat,write,pwrite64,ftruncate,fallocate,copy_file_range,ioctl,fsync,fdatasync,renameat,renameat2,linkat,"
         "unlinkat,mkdir,mkdirat,fchmod,flock,connect,sendto,sendmsg,writev,shutdown")
CONTENT = registry.wasm(200000, 1)
OTHER = registry.wasm(1000, 2)
NAME = "test:killed"


@pytest.fixture(scope="module")
def template(everything, quick):
    """A home that was configured, and two contents in it."""
    home = programs.Home(os.path.join(everything, "publisher-to-be-killed")).configure(quick.url)
    for name, content in ("content.wasm", CONTENT), ("other.wasm", OTHER):
        with open(os.path.join(home.work, name), "wb") as file:
            file.write(content)
    return home.path


# ---- What is killed: what was there before, the words, and what is in the log in the end ----

RELEASE = ("publish", "release", "-n", NAME, "-v", "1.0.0", "content.wasm")
SUBMIT = ("publish", "submit")


def nothing(home):
    pass


def released(home):
    """The package is there."""
    home.wargfs("publish", "release", "-n", NAME, "-v", "0.1.0", "other.wasm")


def begun(home):
    """A transaction is open, with a release in it."""
    home.wargfs("publish", "start", NAME)
    home.wargfs("publish", "init", NAME)
    home.wargfs("publish", "release", "-n", NAME, "-v", "0.1.0", "other.wasm")


def full(home):
    """A transaction waits to be submitted."""
    begun(home)
    home.wargfs(*RELEASE)


SCENES = {
    "a new package": (nothing, RELEASE, {"1.0.0": CONTENT}),
    "one more release": (released, RELEASE, {"0.1.0": OTHER, "1.0.0": CONTENT}),
    "a transaction": (full, SUBMIT, {"0.1.0": OTHER, "1.0.0": CONTENT}),
}


# What is gone once all is done: temporary files, entries of the journal, staged contents.
TEMPORARY = re.compile(r"/(temp|downloads)/|/(journal|staging)/.*[0-9a-f]{64}|\.tmp")


def left_behind(home):
    """Files that are there and should not be."""
    paths = (os.path.join(folder, name) for folder, _, names in os.walk(home.path) for name in names)
    return [path for path in paths if TEMPORARY.search(path[len(home.path):])]


def list_under_way(home):
    """The records that are left to be waited for."""
    done = home.wargfs("publish", "list", status=None)
    assert done.returncode == 0 or done.stderr == "wargfs publish list: no pending publish to list\n", done
    return re.findall(r"^under way: record `(sha256:[0-9a-f]{64})` of package `(.*?)`", done.stdout, re.M)


def finish(home, words):
    """The next run, as a person does it again; and whatever is listed afterwards can be waited for."""
    left = list_under_way(home)
    done = home.wargfs(*words, status=None)
    assert done.returncode == 0 or (re.search("no pending publish to submit$", done.stderr) or
                                    not left and re.search("was released already$", done.stderr)), done
    for record, name in list_under_way(home):
        assert done.returncode == 0 or "under way" in done.stderr, done
        home.wargfs("publish", "wait", name, record)
    assert not list_under_way(home)


@pytest.mark.parametrize("scene", SCENES)
def test_killed(template, quick, folder, scene):
    before, words, expected = SCENES[scene]

    def prepare(name):
        quick.forget()
        path = shutil.copytree(template, os.path.join(folder, name), symlinks=True)
        home = programs.Home(path)
        before(home)
        return home
    trace = os.path.join(folder, "trace")
    prepare("whole").run(*traced(CALLS, trace), programs.WARGFS, *words)
    killed = []
    for place in places(trace, KILLS):
        home = prepare("killed at %s %d" % place)
        killed.append(is_killed(home, place, programs.WARGFS, *words))
        finish(home, words)
        assert not quick.registry.again, f"{place}: a record was sent twice"
        for version, content in expected.items():
            assert quick.registry.releases(NAME, version) == 1, f"{place}: {version}"
            home.wargfs("download", NAME, "-v", version, "-o", "out.wasm")
            assert read(os.path.join(home.work, "out.wasm")) == content
        assert not left_behind(home), f"{place}"
        shutil.rmtree(home.path)
    expect_most(killed)
