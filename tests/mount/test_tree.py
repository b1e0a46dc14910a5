# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""What a mounted registry looks like to the programs of every day."""
import filecmp
import os
import stat
import subprocess

import pytest

from mounts import errno_of, read
from registry import CONTENTS, PACKAGES, path_of

HELLO = ["0.9.0.wasm", "1.0.0.wasm", "1.1.0+build.7.wasm", "latest.wasm"]
RELEASES = [pair for pair in CONTENTS if pair != ("test:regret", "1.1.0")]


def run(*command):
    return subprocess.run(command, check=True, capture_output=True, text=True, stdin=subprocess.DEVNULL).stdout


def test_folders(shared):
    assert shared.list() == ["test"]
    assert shared.list("test") == [name.partition(":")[2] for name in PACKAGES]
    assert shared.list("test/hello") == HELLO
    assert shared.list("test/bare") == []


def test_ls(shared):
    assert run("ls", shared.at("test/hello")).split() == HELLO
    lines = run("ls", "-l", shared.at("test/hello")).splitlines()[1:]
    assert [line.split()[8] for line in lines] == HELLO
    assert [int(line.split()[4]) for line in lines[:3]] == [300, 1000, 70001]
    assert lines[0].startswith("-rw-r--r--")
    assert lines[3].startswith("l") and lines[3].endswith(" -> 1.1.0+build.7.wasm")
    assert run("ls", "-la", shared.path)


def test_find(shared):
    found = run("find", shared.path, "-type", "f").split()
    assert sorted(found) == sorted(shared.at(path_of(*pair)) for pair in RELEASES)
    assert run("find", shared.path, "-name", "latest.wasm", "-type", "l").count("\n") == len(PACKAGES) - 1


@pytest.mark.parametrize("pair", RELEASES, ids=" ".join)
def test_bytes(shared, pair):
    """The size before the first read, the bytes, the size afterwards."""
    path = shared.at(path_of(*pair))
    content = CONTENTS[pair]
    assert os.stat(path).st_size == len(content)
    assert read(path) == content
    assert os.stat(path).st_size == len(content)


def test_cat_cp_cmp(shared, folder):
    source, copy = shared.at("test/hello/1.0.0.wasm"), os.path.join(folder, "copy")
    assert subprocess.run(["cat", source], capture_output=True).stdout == CONTENTS["test:hello", "1.0.0"]
    run("cp", source, copy)
    run("cmp", source, copy)
    run("cp", "-r", shared.at("test/hello"), os.path.join(folder, "hello"))
    assert filecmp.cmp(os.path.join(folder, "hello/0.9.0.wasm"), shared.at("test/hello/0.9.0.wasm"), shallow=False)


def test_read_anywhere(shared):
    content = CONTENTS["test:big", "1.0.0"]
    with open(shared.at("test/big/1.0.0.wasm"), "rb", buffering=0) as file:
        for offset in (0, 1, 4095, 131072, len(content) - 7, len(content), len(content) + 1):
            assert os.pread(file.fileno(), 70000, offset) == content[offset:offset + 70000]


def test_stat(shared):
    release, package = shared.stat("test/hello/1.0.0.wasm"), shared.stat("test/hello")
    assert stat.S_ISREG(release.st_mode) and release.st_mode & 0o777 == 0o644
    assert stat.S_ISDIR(package.st_mode) and package.st_mode & 0o777 == 0o755
    assert stat.S_ISLNK(shared.stat("test/hello/latest.wasm").st_mode)
    assert (release.st_uid, release.st_gid) == (os.getuid(), os.getgid())
    assert release.st_blocks * 512 >= release.st_size > (release.st_blocks - 8) * 512
    assert release.st_nlink == 1
    assert abs(release.st_mtime - os.stat(shared.home.path).st_mtime) < 3600
    assert package.st_mtime == release.st_mtime  # published in one record


def test_latest(shared):
    assert os.readlink(shared.at("test/hello/latest.wasm")) == "1.1.0+build.7.wasm"
    assert shared.read("test/hello/latest.wasm") == CONTENTS["test:hello", "1.1.0+build.7"]
    assert errno_of(os.lstat, shared.at("test/bare/latest.wasm")) == "ENOENT"


def test_yanked(shared):
    assert shared.list("test/regret") == ["1.0.0.wasm", "latest.wasm"]
    assert os.readlink(shared.at("test/regret/latest.wasm")) == "1.0.0.wasm"
    assert errno_of(os.lstat, shared.at("test/regret/1.1.0.wasm")) == "ENOENT"


ABSENT = (
    ".git", ".Trash", ".warg/nothing", ".yanked", ".latest/foo", ".latest/test/foo.wasm", ".latest/test/bare.wasm",
    ".latest/test/hello", ".warg/log/foo", ".warg/log/test/foo.json", ".warg/log/test/hello",
    "test/hello/.yanked/1.0.0", "test/hello/.yanked/^1", "test/hello/^2.wasm", "test/bare/*.wasm", "test/.yanked",
    "Foo", "foo", "test.wasm", "test:hello", "te_st", "1test", "x" * 255, "-",
    "test/.git", "test/Hello", "test/nobody", "test/hello-", "test/-hello", "test/he--llo", "test/hello.wasm",
    "test/hello/1.0.0", "test/hello/1.0.1.wasm", "test/hello/v1.0.0.wasm", "test/hello/1.0.0.WASM",
    "test/hello/01.0.0.wasm", "test/hello/1.1.0.wasm", "test/hello/1.1.0+build.8.wasm", "test/hello/1.0.0.0.wasm",
    "test/hello/.1.0.0.wasm.swp", "test/hello/.wasm", "test/hello/\n.wasm", "test/hello/1.0.0\\.wasm",
)


@pytest.mark.parametrize("path", ABSENT, ids=ascii)
def test_absent(shared, path):
    assert errno_of(os.lstat, shared.at(path)) == "ENOENT"


def writes(mount):
    file, package = mount.at("test/hello/1.0.0.wasm"), mount.at("test/hello")
    return {
        "open to write": (os.open, file, os.O_WRONLY),
        "open to read and write": (os.open, file, os.O_RDWR),
        "create": (os.open, os.path.join(package, "3.0.0.wasm"), os.O_WRONLY | os.O_CREAT),
        "truncate": (os.truncate, file, 0),
        "unlink": (os.unlink, file),
        "rename": (os.rename, file, os.path.join(package, "3.0.0.wasm")),
        "mkdir": (os.mkdir, mount.at("test/new")),
        "rmdir": (os.rmdir, package),
        "symlink": (os.symlink, "x", os.path.join(package, "link")),
        "link": (os.link, file, os.path.join(package, "3.0.0.wasm")),
        "chmod": (os.chmod, file, 0o644),
        "chown": (os.chown, file, 1, 1),
        "utime": (os.utime, file),
        "setxattr": (os.setxattr, file, "user.warg.last_error", b"x"),
    }


def test_read_only(shared):
    assert {what: errno_of(*action) for what, action in writes(shared).items()} == {
        what: "EROFS" for what in writes(shared)}
    assert shared.read("test/hello/1.0.0.wasm") == CONTENTS["test:hello", "1.0.0"]


def test_copies_can_be_replaced(shared, new_home):
    """As an ordinary user: a copy out of a read-only mount can be written over, and a copied folder removed."""
    home = new_home()
    copy = "cp {0}/test/hello/latest.wasm x && cp -r {0}/test/hello . && cp -r {0}/test/hello . && rm -r hello"
    drop = ("setpriv", "--inh-caps=-all", "--ambient-caps=-all", "--bounding-set=-all") if os.geteuid() == 0 else ()
    for _ in range(2):
        home.run(*drop, "/bin/sh", "-c", copy.format(shared.path))
    assert read(os.path.join(home.work, "x")) == shared.read("test/hello/latest.wasm")


def test_statfs(shared):
    told = os.statvfs(shared.path)
    assert told.f_bsize > 0 and told.f_namemax == 255
    assert told.f_bavail == 0
    assert told.f_flag & os.ST_RDONLY
    shared.read("test/tiny/1.0.0.wasm")
    assert os.statvfs(shared.path).f_blocks > 0


def test_dir_and_stat_agree(shared):
    """What a listing says of a file's number and kind is what stat says."""
    for folder, _, _ in os.walk(shared.path):
        with os.scandir(folder) as entries:
            for entry in entries:
                told = os.lstat(entry.path)
                assert entry.inode() == told.st_ino
                assert entry.is_symlink() == stat.S_ISLNK(told.st_mode)
                assert entry.is_dir(follow_symlinks=False) == stat.S_ISDIR(told.st_mode)


NOT_LISTED = ("test/hello/^1.wasm", "test/hello/*.wasm", "test/hello/.yanked", "test/regret/.yanked")


def inodes(mount):
    """The numbers of everything, what is found by name alone included."""
    walks = [walk for top in ("", ".latest", ".warg", "test/regret/.yanked") for walk in os.walk(mount.at(top))]
    paths = [os.path.join(folder, name) for folder, folders, files in walks for name in folders + files]
    return {os.path.relpath(path, mount.path): os.lstat(path).st_ino
            for path in paths + [mount.at(name) for name in (".latest", ".warg", *NOT_LISTED)]}


def test_stable_inodes(new_mount, server, home):
    first = new_mount(server.url, home=home)
    before = inodes(first)
    first.end()
    assert inodes(new_mount(server.url, home=home)) == before
    assert len(set(before.values())) == len(before)
