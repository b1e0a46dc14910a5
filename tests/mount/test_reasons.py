# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""What people and their programs try with a mount that cannot work: each is refused with the errno that fits and a
reason that says what to do; and what changes nothing is not refused."""
import os
import subprocess

import pytest

import programs
from mounts import errno_of, read
from registry import wasm

WHOLE = wasm(1000, 1)


@pytest.fixture(scope="module")
def server(everything):
    server = programs.OwnServer(programs.Home(os.path.join(everything, "reasons-server")))
    try:
        yield server
    finally:
        server.end()


@pytest.fixture
def place(new_mount, new_home, server):
    home = new_home()
    home.wargfs("config", "--registry", server.url, "--keyring-backend", "flat-file")
    home.wargfs("key", "new")
    return new_mount(server.url, "rw", "timeout=20", home=home).expect("^wargfs: ")


@pytest.fixture
def package(place, request):
    """A package with a draft, and a release that another process has published: that one may set its attributes."""
    folder = place.at("test", request.node.name.removeprefix("test_").replace("_", "-"))
    os.mkdir(folder)
    put(os.path.join(folder, "draft"))
    place.home.run("cp", os.path.join(folder, "draft"), os.path.join(folder, "1.0.0.wasm"))
    return folder


def put(path, content=WHOLE):
    with open(path, "wb") as file:
        file.write(content)


FILES = "into the folder of a package"

# What is tried, with which errno it fails, where the reason is told, and words of it.
MISTAKES = (
    (os.mkdir, ("test/my_pkg",), "EINVAL", "test", "my_pkg: a package's name is lowercase words joined by '-'"),
    (os.mkdir, ("My",), "EINVAL", "", "My: a namespace is lowercase words joined by '-'"),
    (os.mkdir, (".publish/test/my_pkg",), "EINVAL", ".publish/test", "lowercase words"),
    (os.mkdir, ("{package}/\x7f",), "EILSEQ", "{package}", "can be shown"),
    (os.mkdir, ("test/" + "x" * 256,), "ENAMETOOLONG", "test", "at most 255 bytes"),
    (put, ("test/hello.wasm",), "EINVAL", "test", FILES),
    (put, ("test/hello",), "EPERM", "test", FILES),
    (put, ("hello.wasm",), "EINVAL", "", FILES),
    (put, (".warg/x",), "EINVAL", ".warg", FILES),
    (put, ("{package}/a\udcff",), "EILSEQ", "{package}", "\\xff: a name is UTF-8"),
    (put, ("{package}/" + "x" * 256,), "ENAMETOOLONG", "{package}", "at most 255 bytes"),
    (os.rename, ("{package}/draft", "{package}/" + "x" * 256), "ENAMETOOLONG", "{package}", "at most 255 bytes"),
    (os.rename, ("{package}/1.0.0.wasm", "{package}/x"), "EPERM", "{package}", "1.0.0.wasm: what is published"),
    (os.rename, ("{package}/latest.wasm", "{package}/x"), "EPERM", "{package}", "latest.wasm: what is published"),
    (os.rename, ("{package}/^1.wasm", "{package}/x"), "EPERM", "{package}", "^1.wasm: what is published"),
    (os.rename, ("{package}", "test/other"), "EPERM", "{package}", "a folder keeps its name"),
    (os.rename, ("test", "other"), "EPERM", "test", "a folder keeps its name"),
    (os.rename, (".warg/status", ".warg/checkpoint"), "EPERM", ".warg/status", "belongs to the mount"),
    (os.link, ("{package}/draft", "{package}/x"), "EPERM", "{package}", "copy it"),
    (os.link, ("{package}/1.0.0.wasm", "{package}/1.1.0.wasm"), "EPERM", "{package}", "copy it"),
    (os.mkfifo, ("{package}/x",), "EPERM", "{package}", "only files and folders"),
    (os.unlink, ("{package}/1.0.0.wasm",), "EPERM", "{package}", "cannot be removed"),
)
LINKS = (("1.0.0.wasm", "stable"), ("1.0.0.wasm", "1.1.0.wasm"), ("/etc/passwd", "latest.wasm~"),
         ("../x", ".latest.wasm.x"))


def test_mistakes(place, package):
    at = {"package": os.path.relpath(package, place.path)}
    for action, paths, error, where, words in MISTAKES:
        what = action.__name__, paths
        assert errno_of(action, *(place.at(path.format(**at)) for path in paths)) == error, what
        assert words in place.last_error(where.format(**at)), (what, place.last_error(where.format(**at)))
    for target, name in LINKS:
        assert errno_of(os.symlink, target, os.path.join(package, name)) == "EPERM"
        assert f"{name}: the mount makes links itself" in place.last_error(at["package"])
    assert sorted(os.listdir(package)) == ["1.0.0.wasm", "draft", "latest.wasm"]
    # What is not there is no mistake that needs a reason.
    for action in os.unlink, os.rmdir:
        assert errno_of(action, os.path.join(package, "x" * 256)) == "ENOENT"


def test_no_change(place, package):
    """Programs such as `chmod -R u+rwX` and `install -C` set what is so already."""
    path = os.path.join(package, "1.0.0.wasm")
    before = os.stat(path)
    for each in path, package, place.at("test"), place.path:
        told = os.stat(each)
        os.chmod(each, told.st_mode & 0o777)
        os.chown(each, told.st_uid, told.st_gid)
        os.utime(each, ns=(told.st_atime_ns, told.st_mtime_ns))
    place.home.run("chmod", "-R", "u+rwX", package)
    put(os.path.join(place.home.work, "1.0.0.wasm"))
    place.home.run("install", "-C", "-m", "644", os.path.join(place.home.work, "1.0.0.wasm"), package)
    for action, arguments in ((os.chmod, (path, 0o600)), (os.utime, (path, (1, 1))), (os.utime, (path,)),
                              (os.chown, (path, 4711, -1)), (os.truncate, (path, len(WHOLE)))):
        assert errno_of(action, *arguments) == "EPERM", action
    assert os.stat(path) == before and read(path) == WHOLE


def test_no_bytes(place, package):
    """A release that a program opens to write, and writes nothing to, is there already."""
    path = os.path.join(package, "1.0.0.wasm")
    for words in ("touch", path), ("cp", "/dev/null", path), ("truncate", "-s", "0", path):
        assert "File exists" in place.home.run(*words, status=1).stderr, words
        assert "released already" in place.last_error(os.path.relpath(path, place.path)), words
    assert read(path) == WHOLE
    done = subprocess.run(["touch", os.path.join(package, "1.1.0.wasm")], capture_output=True, text=True)
    assert "Invalid argument" in done.stderr


def test_empty_transaction(place):
    """A transaction without entries is not submitted, and mv(1) says so without riddles."""
    package = ".publish/test/empty"
    os.makedirs(place.at(package))
    done = place.home.run("mv", place.at(package), place.at("test"), status=1)
    assert "itself" not in done.stderr, done.stderr
    assert "nothing to publish" in place.last_error("test")
    assert errno_of(os.mkdir, place.at(".publish/test/other")) == "EBUSY"
    assert "a publish of test:empty is pending already" in place.last_error("test")
    os.rmdir(place.at(package))


@pytest.mark.skipif(os.getuid(), reason="the device is root's to close")
def test_closed_device(home, server):
    """A user who may not open /dev/fuse is told so, and not that the folder is bad."""
    closed = ("mount -t tmpfs none /mnt; mknod -m 600 /mnt/fuse c 10 229; mount --bind /mnt/fuse /dev/fuse; "
              "mkdir -m 777 /mnt/home /mnt/reg; cp \"$1\" /mnt/wargfs; cd /mnt; exec env -i HOME=/mnt/home "
              "setpriv --reuid=65534 --regid=65534 --clear-groups ./wargfs mount \"$2\" reg")
    done = home.run("unshare", "--mount", "sh", "-c", closed, "sh", programs.WARGFS, server.url, status=1)
    assert "this user may not open /dev/fuse" in done.stderr and "reg cannot" not in done.stderr


def test_copies_from_a_disk(place):
    """Where the folder lists a version before the link, as a mount never does: the manual says what succeeds."""
    source = os.path.join(place.home.work, "source")
    os.mkdir(source)
    put(os.path.join(source, "1.0.0.wasm"))
    os.symlink("1.0.0.wasm", os.path.join(source, "latest.wasm"))
    for name, text in (("cp", "mkdir {1}; cp -r {0}/. {1}"), ("rsync", "rsync -a {0}/ {1}"),
                       ("tar", "mkdir -p {1}; tar -C {0} -cf - 1.0.0.wasm latest.wasm | tar -C {1} --overwrite -xf -"),
                       ("rlc", "rsync -rlc {0}/ {1}")):
        target = place.at("test", "disk-" + name)
        for command in (text, text.replace("mkdir {1}; ", "")):
            place.home.run("/bin/bash", "-c", "set -eo pipefail; " + command.format(source, target))
        assert sorted(os.listdir(target)) == ["1.0.0.wasm", "latest.wasm"]
