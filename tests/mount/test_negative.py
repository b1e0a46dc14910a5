# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""What is not there: the kernel remembers what was proven absent, and learns when that has changed."""
import json
import os
import re
import subprocess

import pytest

import programs
import registry
from lies import error
from mounts import errno_of
from registry import CONTENTS
from waiting import until


OWN = 4  # lookups at most that reading the counters costs, where they are of another length than before


def lookups(mount):
    """How often the kernel has asked for a name."""
    return int(re.search(r'requests_total{operation="lookup"} (\d+)$', mount.read(".warg/metrics").decode(),
                         re.M)[1])


def is_absent(mount, path):
    return errno_of(os.lstat, mount.at(path)) == "ENOENT"


PROVEN = ("nobody", "test/nobody", "test/hello/3.0.0.wasm", "test/bare/latest.wasm", "test/hello/.yanked/1.0.0",
          "test/regret/1.1.0.wasm", ".latest/nobody", ".latest/test/nobody.wasm", ".latest/test/bare.wasm",
          ".warg/log/nobody", ".warg/log/test/nobody.json", ".warg/nothing", ".git", "test/.git", "test/hello/Foo")


@pytest.mark.parametrize("path", PROVEN)
def test_again(shared, path):
    """An absent name again asks nobody, not even the daemon."""
    for folder in ("", "test", "test/bare", "test/hello", "test/regret", ".latest/test", ".warg/log/test"):
        shared.list(folder)
    assert is_absent(shared, path)
    before = lookups(shared)
    for _ in range(50):
        assert is_absent(shared, path)
    assert lookups(shared) <= before + OWN


@pytest.fixture
def past(new_mount, liar, server):
    """A mount of the registry as it was, which looks for a new checkpoint all the time."""
    liar.stay_at(server.lengths[1])
    mount = new_mount(liar.url, "refresh=1")
    for folder in ("", "test", "test/bare", "test/hello", "test/steps", "test/regret", ".latest", ".latest/test",
                   ".warg/log", ".warg/log/test", "test/regret/.yanked"):
        mount.list(folder)
    return mount


def look_at_all(mount, paths):
    """What is there: what a link leads to, or else whether it is there."""
    def look(path):
        try:
            return os.readlink(mount.at(path))
        except OSError as failure:
            return failure.errno != 2
    return {path: look(path) for path in paths}


BEFORE = {
    "test/steps/0.1.0.wasm": True, "test/steps/0.2.0.wasm": False, "test/steps/0.3.0.wasm": False,
    "test/steps/latest.wasm": "0.1.0.wasm", "test/steps/*.wasm": "0.1.0.wasm", "test/steps/^0.2.wasm": False,
    "test/steps/~0.1.wasm": "0.1.0.wasm", "test/steps/<1.wasm": "0.1.0.wasm",
    "test/regret/1.1.0.wasm": True, "test/regret/latest.wasm": "1.1.0.wasm", "test/regret/^1.wasm": "1.1.0.wasm",
    "test/regret/=1.1.0.wasm": "1.1.0.wasm", "test/regret/.yanked/1.1.0": False, "test/regret/.yanked/1.0.0": False,
    "test/big": False, ".latest/test/big.wasm": False, ".warg/log/test/big.json": False,
    ".warg/proof/test/big": False, ".warg/proof/test/steps/0.2.0.json": False,
    ".warg/proof/test/regret/1.1.0.json": True,
    "test/other": False, ".latest/test/other.wasm": False, "test/nobody": False, ".latest/test/nobody.wasm": False,
}
AFTER = BEFORE | {
    "test/steps/0.2.0.wasm": True, "test/steps/0.3.0.wasm": True,
    "test/steps/latest.wasm": "0.3.0.wasm", "test/steps/*.wasm": "0.3.0.wasm", "test/steps/^0.2.wasm": "0.2.0.wasm",
    "test/steps/<1.wasm": "0.3.0.wasm",
    "test/regret/1.1.0.wasm": False, "test/regret/latest.wasm": "1.0.0.wasm", "test/regret/^1.wasm": "1.0.0.wasm",
    "test/regret/=1.1.0.wasm": False, "test/regret/.yanked/1.1.0": True,
    "test/big": True, ".latest/test/big.wasm": "../../test/big/latest.wasm", ".warg/log/test/big.json": True,
    ".warg/proof/test/big": True, ".warg/proof/test/steps/0.2.0.json": True,
    "test/other": True, ".latest/test/other.wasm": "../../test/other/latest.wasm",
}


def test_growth(past, liar):
    """Whatever was looked up before is right afterwards, without a remount."""
    assert look_at_all(past, BEFORE) == BEFORE
    liar.past = None
    until(lambda: look_at_all(past, AFTER) == AFTER, lambda: str(look_at_all(past, AFTER)))
    assert past.list("test/regret/.yanked") == ["1.1.0"]
    assert "big.wasm" in past.list(".latest/test")
    for link, target in AFTER.items():
        if isinstance(target, str) and link.startswith("test/"):
            assert past.stat(link).st_size == len(target)


@pytest.mark.parametrize("path", (
    "test/steps/0.2.0.wasm", "test/steps/latest.wasm", "test/steps/^0.2.wasm", "test/steps/<1.wasm",
    "test/regret/1.1.0.wasm", "test/regret/.yanked/1.1.0", "test/big", ".latest/test/big.wasm",
    ".warg/log/test/big.json", ".warg/proof/test/big", ".warg/proof/test/steps/0.2.0.json"))
def test_each(past, liar, path):
    """The same, one name at a time: no lookup of another one helps."""
    assert look_at_all(past, [path]) == {path: BEFORE[path]}
    liar.past = None
    until(lambda: past.status() and json.loads(past.read(".warg/checkpoint"))["contents"]["logLength"] > 10, "growth")
    until(lambda: look_at_all(past, [path]) == {path: AFTER[path]}, lambda: str(look_at_all(past, [path])))


def test_folder_from_before(past, liar):
    """A folder that was opened before a change is listed as it was, and leaves nothing of that behind."""
    folder = os.open(past.at("test/regret"), os.O_RDONLY | os.O_DIRECTORY)
    try:
        liar.past = None
        until(lambda: past.list("test/regret") == ["1.0.0.wasm", "latest.wasm"], "the yank")
        assert sorted(os.listdir(folder)) == ["1.0.0.wasm", "1.1.0.wasm", "latest.wasm"]
    finally:
        os.close(folder)
    assert is_absent(past, "test/regret/1.1.0.wasm")
    assert os.readlink(past.at("test/regret/latest.wasm")) == "1.0.0.wasm"


def test_without_a_listing(new_mount, liar, server):
    """Where nothing is proven complete, an absent name is asked for again."""
    liar.stay_at(server.lengths[1])
    liar.lie("ledger", error(404))
    mount = new_mount(liar.url, "refresh=0")
    mount.list("test/steps")
    assert is_absent(mount, "test/big") and is_absent(mount, "nobody")
    before = lookups(mount)
    for _ in range(10):
        assert is_absent(mount, "test/big") and is_absent(mount, "nobody")
    assert lookups(mount) >= before + 20


def test_published_and_yanked(new_mount, everything, new_home):
    """The reference's client publishes and yanks, and the mount follows."""
    server = programs.HomeServer(programs.Home(os.path.join(new_home().path, "server")))
    try:
        publisher = new_home().configure(server.url)
        server.wait_for_length(1)
        registry.publish_record(publisher, "test:hello", ("init", "1.0.0"))
        server.wait_for_length(2)
        mount = new_mount(server.url, "refresh=1")
        names = ("test/hello/0.9.0.wasm", "test/hello/<1.wasm", "test/hello/.yanked/1.0.0", "test/tiny",
                 ".latest/test/tiny.wasm", ".latest/test/hello.wasm", "test/hello/1.0.0.wasm")
        mount.list("test/hello")
        mount.list("test")
        assert list(look_at_all(mount, names).values()) == [
            False, False, False, False, False, "../../test/hello/latest.wasm", True]
        registry.publish_record(publisher, "test:hello", ("yank 1.0.0",))
        until(lambda: list(look_at_all(mount, names).values()) == [False, False, True, False, False, False, False],
              "the yank")
        registry.publish_record(publisher, "test:tiny", ("init", "1.0.0"))
        registry.publish_record(publisher, "test:hello", ("0.9.0",))
        until(lambda: list(look_at_all(mount, names).values()) == [
            True, "0.9.0.wasm", True, True, "../../test/tiny/latest.wasm", "../../test/hello/latest.wasm", False],
            "the releases")
        assert mount.read(".latest/test/hello.wasm") == CONTENTS["test:hello", "0.9.0"]
    finally:
        server.end()


def walk(*command):
    done = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    assert (done.returncode, done.stderr) == (0, ""), f"{command}: {done.stderr}"
    return done.stdout


def test_programs_walk(shared, folder):
    """Programs that walk a tree meet what is the registry's, and nothing that is made up."""
    expected = sorted(registry.path_of(*pair) for pair in CONTENTS if pair != ("test:regret", "1.1.0"))
    links = sorted({os.path.dirname(path) + "/latest.wasm" for path in expected})
    copy = os.path.join(folder, "copy")

    walk("cp", "-a", shared.at("test"), copy)
    found = walk("find", copy, "-printf", "test/%P\n").split()
    assert sorted(path for path in found if path.endswith(".wasm")) == sorted(expected + links)
    assert os.readlink(os.path.join(copy, "hello/latest.wasm")) == "1.1.0+build.7.wasm"
    names = walk("tar", "cf", os.path.join(folder, "tar"), "-C", shared.path, ".", "-v").split()
    assert sorted(name[2:] for name in names if name.endswith(".wasm")) == sorted(expected + links)
    assert not [name for name in names if "/." in name.removeprefix("./")]
    walk("tar", "df", os.path.join(folder, "tar"), "-C", shared.path)
    walk("du", "-a", shared.path)
    assert len(walk("grep", "-rl", "asm", shared.path).split()) == len(expected)
    walk("diff", "-r", shared.at("test"), copy)
    walk("rsync", "-a", shared.at("test/"), os.path.join(folder, "synced"))
    walk("diff", "-r", copy, os.path.join(folder, "synced"))
    assert walk("rsync", "-ain", shared.at("test/"), os.path.join(folder, "synced")) == ""
    walk("git", "init", "-q", os.path.join(folder, "git"))
    status = walk("git", f"--git-dir={folder}/git/.git", f"--work-tree={shared.path}", "status", "--porcelain", "-uall")
    assert sorted(line[3:].strip('"') for line in status.splitlines()) == sorted(expected + links)
