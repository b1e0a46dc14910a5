# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Files that are written to a mount and not published: which mount owns them, which names are allowed, when they are
published or removed, and that a program that writes one only succeeds if that worked."""
import contextlib
import glob
import mmap
import os
import random
import signal
import subprocess
import threading

import pytest

import programs
from mounts import errno_of, read, unmount
from registry import wasm
from waiting import until

WHOLE = wasm(1000, 1)
# The length of the random walk over two mounts, and the seed of the first; more walks by a larger number of them.
STEPS = int(os.environ.get("WARGFS_DRAFTS_STEPS", 120))
SEED = int(os.environ.get("WARGFS_DRAFTS_SEED", 1))
WALKS = int(os.environ.get("WARGFS_DRAFTS_WALKS", 2))


@pytest.fixture(scope="module")
def server(everything):
    server = programs.OwnServer(programs.Home(os.path.join(everything, "drafts-server")))
    try:
        yield server
    finally:
        server.end()


@pytest.fixture
def writer(new_home, server):
    home = new_home()
    home.wargfs("config", "--registry", server.url, "--keyring-backend", "flat-file")
    home.wargfs("key", "new")
    return home


@pytest.fixture
def new_place(new_mount, server, writer):
    """Makes mounts of one user that may be written to."""
    return lambda *options: new_mount(server.url, "rw", "timeout=20", *options, home=writer)


@pytest.fixture
def place(new_place):
    return new_place()


@pytest.fixture
def package(place, request):
    name = request.node.name.removeprefix("test_").replace("_", "-").replace("[", "-").rstrip("]")
    os.mkdir(place.at("test", name))
    return place.at("test", name)


def put(path, content, mode="wb"):
    with open(path, mode) as file:
        file.write(content)
    return path


def staging(home, what="contents"):
    """The files in a folder of the staging, as paths."""
    return [path for path in glob.glob(f"{home.path}/.local/state/wargfs/*/staging/{what}/**", recursive=True)
            if os.path.isfile(path)]


# ---- The exit status is the truth ----

EMPTY = {
    "cp": "cp {empty} {path}",
    "mv": "mv {empty} {path}",
    "install": "install {empty} {path}",
    "rsync": "rsync {empty} {path}",
    "rsync-inplace": "rsync --inplace {empty} {path}",
    "touch": "touch {path}",
    "rename": "touch {path}.part && mv {path}.part {path}",
    "cut": "head -c 99 {whole} | cp /dev/stdin {path}; cp {empty} {path}",
}


def test_empty(place):
    """An empty or incomplete file of a failed build is no release: the copying program fails, however it writes."""
    whole = put(os.path.join(place.home.work, "whole"), WHOLE)
    for way, text in EMPTY.items():
        empty = put(os.path.join(place.home.work, f"empty-{way}"), b"")
        package = place.at("test", f"empty-{way}")
        path = os.path.join(package, "1.0.0.wasm")
        os.mkdir(package)
        done = place.home.run("/bin/bash", "-c", text.format(empty=empty, path=path, whole=whole), status=None)
        assert done.returncode, way
        left = {"rename": ["1.0.0.wasm.part"], "cut": ["1.0.0.wasm~"]}.get(way, [])
        assert os.path.exists(empty) and os.listdir(package) in ([], left), way
        assert "WebAssembly" in place.last_error(package), way
        put(path, WHOLE)
        assert read(path) == WHOLE
    place.expect("WebAssembly")


def test_empty_descriptors(place, package):
    """A shell duplicates a descriptor before its program writes: only the last close publishes."""
    path = os.path.join(package, "1.0.0.wasm")
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    os.close(os.dup(descriptor))
    subprocess.run(["true"], stdout=descriptor, check=True)
    assert not place.last_error(package) and "bytes" not in place.log
    assert errno_of(os.close, descriptor) == "EINVAL"
    until(lambda: not os.path.exists(path), "it is gone")
    place.expect("no bytes")


NAMES = {
    "1.0.0": "called 1.0.0.wasm",
    "1.0.0-rc.1+b": "called 1.0.0-rc.1+b.wasm",
    ".yanked": "folder",
    "latest.wasm": "link",
    "1.0.0-rc.1.wasm.part": None,
    ".yanked2": None,
    "1.0": None,
}


def test_names(place, package):
    """A version without ".wasm" is refused, as it would never be published; so are names that the tree itself uses."""
    source = put(os.path.join(place.home.work, "source"), WHOLE)
    draft = put(os.path.join(package, "draft"), WHOLE)
    for name, reason in NAMES.items():
        path = os.path.join(package, name)
        status = 1 if reason else 0
        for command in ("cp", source, path), ("mv", draft, path):
            place.home.run(*command, status=status)
            assert not reason or reason in place.last_error(package), name
        if not reason:
            os.rename(path, draft)
    assert os.listdir(package) == ["draft"]
    place.expect("is called", "folder", "link")


def test_name_of_older_mount(place, package):
    """A file that an older version made under such a name can be removed."""
    put(os.path.join(package, "draft"), b"x")
    folder, = (os.path.dirname(path) for path in staging(place.home, "files"))
    put(os.path.join(folder, ".yanked"), b"x")
    os.unlink(os.path.join(package, "draft"))
    os.unlink(os.path.join(package, ".yanked"))
    os.rmdir(package)


def test_publish_by_rename(new_place, new_mount, server, writer):
    """With publish=rename a file written in pieces is one release: only the rename publishes it."""
    place = new_place("publish=rename")
    source = put(os.path.join(writer.work, "source"), WHOLE)
    path = place.at("test/by-rename/1.0.0.wasm")
    os.mkdir(os.path.dirname(path))
    assert "Operation not permitted" in writer.run("cp", source, path, status=1).stderr
    assert "rename" in place.last_error("test/by-rename")
    writer.run("/bin/bash", "-c", f"cat {source} > {path}.part; tail -c +9 {source} >> {path}.part")
    assert os.listdir(os.path.dirname(path)) == ["1.0.0.wasm.part"]
    os.rename(path + ".part", path)
    assert read(path) == WHOLE + WHOLE[8:]
    writer.run("rsync", source, place.at("test/by-rename/1.1.0.wasm"))
    assert place.read("test/by-rename/1.1.0.wasm") == WHOLE
    # In a transaction close() publishes nothing anyway.
    os.mkdir(place.at(".publish/test/by-rename"))
    writer.run("cp", source, place.at(".publish/test/by-rename/1.2.0.wasm"))
    os.rename(place.at(".publish/test/by-rename"), place.at("test/by-rename"))
    assert place.read("test/by-rename/1.2.0.wasm") == WHOLE
    place.expect("publish=rename")
    place.end()
    for words, said in (("publish=rename",), "-o rw,publish=rename"), (("rw", "publish=never"), "'never'"):
        status, log = new_mount(server.url, *words, home=writer, wait=False).refused()
        assert status == 2 and said in log


def test_folders_made_again(place):
    """A folder that is removed while another process stands in it, and made again, works; and a package whose folder
    a transaction was moved to shows its releases at once."""
    package, transaction = place.at("test/made-again"), place.at(".publish/test/made-again")
    for folder in (package, transaction) * 2:
        os.makedirs(folder, exist_ok=True)
        number, stands = os.stat(folder).st_ino, os.open(folder, os.O_RDONLY)
        os.rmdir(folder)
        os.mkdir(folder)
        put(os.path.join(folder, "draft"), b"x")
        assert os.stat(folder).st_ino == number and os.listdir(folder) == ["draft"]
        os.unlink(os.path.join(folder, "draft"))
        os.close(stands)
    for number in range(3):
        os.makedirs(transaction, exist_ok=True)
        put(os.path.join(transaction, f"1.{number}.0.wasm"), WHOLE)
        os.rename(transaction, package)
        for known in range(number + 1):
            assert read(os.path.join(package, f"1.{known}.0.wasm")) == WHOLE


def test_unlinked(place, package):
    """As on any disk, an open file that was removed has a link count of 0."""
    path = os.path.join(package, "draft")
    with open(path, "w+b") as file:
        assert os.fstat(file.fileno()).st_nlink == 1
        os.unlink(path)
        assert os.fstat(file.fileno()).st_nlink == 0


COPIES = {
    "cp-r": ("cp -r {source} {target}", "cp -r {source}/. {target}"),
    "cp-a": ("cp -a {source} {target}", "cp -a {source}/. {target}"),
    "rsync": ("rsync -a {source}/ {target}",) * 2,
    "rsync-delayed": ("rsync -a --delay-updates {source}/ {target}",) * 2,
    "rsync-partial": ("rsync -a --partial-dir=.rsync-partial {source}/ {target}",) * 2,
    "rsync-all": ("rsync -rlI --inplace {source}/ {target}",) * 2,
    "tar": ("mkdir {target}; tar -C {source} -cf - . | tar -C {target} -xf -",
            "tar -C {source} -cf - . | tar -C {target} --overwrite -xf -"),
}


@pytest.fixture
def other_place(new_mount, place):
    """A mount of another registry."""
    server = programs.OwnServer(programs.Home(os.path.join(place.home.path, "other")))
    home = programs.Home(os.path.join(place.home.path, "copier"))
    home.wargfs("config", "--registry", server.url, "--keyring-backend", "flat-file")
    home.wargfs("key", "new")
    try:
        target = new_mount(server.url, "rw", home=home)
        yield target
        target.end()
    finally:
        server.end()


def test_copies(other_place, place):
    """A package can be copied from one mount to another, its link included; and again, with another release."""
    source, target = place.at("test/source"), other_place
    os.mkdir(source)
    for number in range(3):
        put(os.path.join(source, f"1.{number}.0.wasm"), wasm(600, number))

    def copy(turn):
        for way, commands in COPIES.items():
            command = commands[turn > 0].format(source=source, target=target.at("test", way))
            done = target.home.run("/bin/bash", "-c", "set -o pipefail; " + command)
            assert not done.stderr, (way, turn)
            assert target.list("test", way) == place.list("test/source"), (way, turn)
            assert target.read("test", way, "latest.wasm") == wasm(600, turn // 2 + 2), (way, turn)
    for turn in range(4):
        if turn == 2:
            put(os.path.join(source, "1.3.0.wasm"), wasm(600, 3))
        copy(turn)
    assert not staging(target.home, "files") and not staging(target.home)


def test_moved(other_place, place):
    """mv from mount to mount copies all; that it cannot remove the source is all that it complains of."""
    os.mkdir(place.at("test/moved"))
    for number in range(2):
        put(place.at(f"test/moved/1.{number}.0.wasm"), wasm(600, number))
    done = place.home.run("mv", place.at("test/moved"), other_place.at("test/moved"), status=1)
    assert all("cannot remove" in line for line in done.stderr.splitlines()), done.stderr
    assert place.list("test/moved") == other_place.list("test/moved") == ["1.0.0.wasm", "1.1.0.wasm", "latest.wasm"]
    place.expect("-o yank", "registry's")


def test_links(place, package):
    """The link that the mount makes may be made by programs, too; others may not."""
    link, temporary = os.path.join(package, "latest.wasm"), os.path.join(package, ".latest.wasm.x")
    for path, target in (link, "../x"), (link, "latest.wasm"), (os.path.join(package, "stable"), "1.0.0.wasm"):
        assert errno_of(os.symlink, target, path) == "EPERM"
    put(os.path.join(package, "1.0.0.wasm"), WHOLE)
    assert errno_of(os.symlink, "1.0.0.wasm", link) == "EEXIST"
    os.unlink(link)
    assert not os.path.lexists(link)
    place.home.run("test", "-L", link) # another process
    os.symlink("1.0.0.wasm", link)
    assert os.readlink(link) == "1.0.0.wasm"
    os.symlink("2.0.0.wasm", temporary)
    assert os.readlink(temporary) == "2.0.0.wasm" and os.lstat(temporary).st_size == len("2.0.0.wasm")
    assert errno_of(os.rename, temporary, os.path.join(package, "stable")) == "EPERM"
    os.rename(temporary, link)
    assert os.readlink(link) == "1.0.0.wasm" and not os.path.lexists(temporary)
    os.symlink("2.0.0.wasm", temporary)
    os.unlink(temporary)
    assert not os.path.lexists(temporary) and sorted(os.listdir(package)) == ["1.0.0.wasm", "latest.wasm"]
    place.expect("makes links itself")


def test_published_by_a_command(new_place, new_mount, server, writer):
    """What a command publishes or yanks is seen through the user's mounts as soon as it has ended, also where they knew
    that there was nothing of that name."""
    places = [new_mount(server.url, "refresh=0", home=writer), new_place("refresh=0"), new_place("refresh=0")]
    put(os.path.join(writer.work, "x.wasm"), WHOLE)
    for number in range(3):
        path = f"test/by-command/1.{number}.0.wasm"
        for place in places:
            assert not os.path.exists(place.at(path)) and not os.path.exists(place.at("test/by-command/3.0.0.wasm"))
        writer.wargfs("publish", "release", "-n", "test:by-command", "-v", f"1.{number}.0", "x.wasm")
        for place in places:
            assert place.read(path) == WHOLE
            assert os.readlink(place.at("test/by-command/latest.wasm")) == f"1.{number}.0.wasm"
    writer.wargfs("publish", "yank", "-n", "test:by-command", "-v", "1.2.0", "--yes")
    for place in places:
        assert place.list("test/by-command") == ["1.0.0.wasm", "1.1.0.wasm", "latest.wasm"]
        assert not os.path.exists(place.at("test/by-command/1.2.0.wasm"))
        assert os.readlink(place.at("test/by-command/latest.wasm")) == "1.1.0.wasm"


# ---- Stored contents ----


def test_staging_stays_small(place, package):
    """A content is kept until it is published or abandoned; a pending one is kept."""
    pending, kept = place.at(".publish/test/pending"), wasm(500, 99)
    os.mkdir(pending)
    put(os.path.join(pending, "0.1.0.wasm"), kept)
    put(os.path.join(pending, "0.2.0.wasm"), WHOLE)
    assert len(staging(place.home)) == 2
    os.unlink(os.path.join(pending, "0.2.0.wasm"))
    for number in range(3):
        put(os.path.join(package, f"1.{number}.0.wasm"), wasm(1000, number))
    assert errno_of(put, os.path.join(package, "2.0.0.wasm"), WHOLE[:-1]) == "EINVAL"
    assert [read(path) for path in staging(place.home)] == [kept]
    os.unlink(os.path.join(pending, "0.1.0.wasm"))
    assert staging(place.home) == []
    os.rmdir(pending)
    place.expect("whole")


@pytest.fixture
def silent(new_home):
    """A registry that may be stopped."""
    server = programs.OwnServer(new_home())
    yield server
    server.end()


def test_beside_publishes(new_mount, writer, silent):
    """Publishes that wait for the registry do not delay local work: fsync, and creating a file."""
    writer.wargfs("config", "--overwrite", "--registry", silent.url, "--keyring-backend", "flat-file")
    place = new_mount(silent.url, "rw", "timeout=100", home=writer)
    packages = [place.at(f"test/p{number}") for number in range(64)]
    os.mkdir(place.at("test/known"))
    put(place.at("test/known/1.0.0.wasm"), WHOLE)
    for number, package in enumerate(packages):
        os.mkdir(package)
        put(os.path.join(package, "draft"), wasm(500, number))

    def begin():
        with open(place.at("test/known/2.0.0.wasm"), "wb", buffering=0) as file:
            file.write(WHOLE[:9])
            os.fsync(file.fileno())
            os.unlink(file.name)
            assert errno_of(os.close, os.dup(file.fileno())) == "ENOENT"
        begun.set()
    begun = threading.Event()
    publishes = [threading.Thread(target=os.rename, args=(os.path.join(package, "draft"),
                                                          os.path.join(package, "1.0.0.wasm")))
                 for package in packages]
    beginning = threading.Thread(target=begin)
    silent.stop()
    try:
        for thread in publishes:
            thread.start()
        until(lambda: len(staging(writer)) == len(packages), "all publishes wait")
        beginning.start()
        assert begun.wait(20), "it waits for the publishes"
    finally:
        silent.resume()
        for thread in (*publishes, beginning):
            thread.join()
    place.expect("removed")


# ---- Which mount owns the files ----


def test_two_mounts(new_place):
    """A file written in one mount is in no other, so that no other mount can rename it."""
    first, second = new_place(), new_place()
    for each in first, second:
        os.mkdir(each.at("test/two"))
    put(first.at("test/two/draft"), b"of the first")
    put(second.at("test/two/draft"), b"of the second")
    assert errno_of(put, first.at("test/two/5.0.0.wasm"), WHOLE[:-1]) == "EINVAL"
    assert not os.path.exists(second.at("test/two/5.0.0.wasm"))
    os.rename(first.at("test/two/5.0.0.wasm"), first.at("test/two/other"))
    put(second.at("test/two/other"), WHOLE)
    assert first.list("test/two") == second.list("test/two") == ["draft", "other"]
    assert first.read("test/two/draft") == b"of the first" and first.read("test/two/other") == WHOLE[:-1]
    listed = first.home.wargfs("publish", "list").stdout
    assert listed.count("draft of") == 2 and listed.count("other of") == 2
    first.expect("whole")


def test_behind_a_release(new_place):
    """A draft whose version another mount published is listed under another name, which reads, renames and removes it;
    so is any other that has a version's name."""
    first, second = new_place(), new_place()
    package = first.at("test/behind")
    for each in first, second:
        os.mkdir(each.at("test/behind"))
    for version, draft in ("1.0.0", WHOLE[:-1]), ("2.0.0", WHOLE[:-2]), ("3.0.0", WHOLE[:-3]):
        assert errno_of(put, os.path.join(package, f"{version}.wasm"), draft) == "EINVAL"
        put(second.at(f"test/behind/{version}.wasm"), WHOLE)
    first.home.wargfs("update")
    until(lambda: os.path.exists(os.path.join(package, "latest.wasm")), "the releases are seen")
    releases = ["1.0.0.wasm", "2.0.0.wasm", "3.0.0.wasm"]
    assert first.list("test/behind") == sorted((*releases, *(name + "~" for name in releases), "latest.wasm"))
    assert first.read("test/behind/1.0.0.wasm") == WHOLE and first.read("test/behind/1.0.0.wasm~") == WHOLE[:-1]
    assert errno_of(put, os.path.join(package, "1.0.0.wasm~"), b"x", "ab") == "EPERM"
    assert errno_of(os.truncate, os.path.join(package, "1.0.0.wasm~"), 1) == "EPERM"
    os.unlink(os.path.join(package, "1.0.0.wasm~"))
    os.rename(os.path.join(package, "2.0.0.wasm~"), os.path.join(package, "3.0.0.wasm~"))
    assert first.read("test/behind/3.0.0.wasm~") == WHOLE[:-2] and first.read("test/behind/3.0.0.wasm~~") == WHOLE[:-3]
    assert first.list("test/behind") == [*releases, "3.0.0.wasm~", "3.0.0.wasm~~", "latest.wasm"]
    assert {name[:5]: os.stat(os.path.join(package, name)).st_ino for name in releases} == {
        entry.name[:5]: entry.inode() for entry in os.scandir(package) if entry.name in releases}
    os.unlink(os.path.join(package, "3.0.0.wasm~~"))
    os.unlink(os.path.join(package, "3.0.0.wasm~"))
    assert first.list("test/behind") == [*releases, "latest.wasm"] and not staging(first.home, "files")
    first.expect("whole", "by this name")


def test_removed_with_a_draft(place, package):
    """`rm -r` removes a package with incomplete files, and mv publishes one whose close was in vain."""
    put(os.path.join(package, "draft"), WHOLE)
    assert errno_of(put, os.path.join(package, "1.0.0.wasm"), WHOLE[:-1]) == "EINVAL"
    assert os.listdir(package) == ["draft", "1.0.0.wasm~"] or os.listdir(package) == ["1.0.0.wasm~", "draft"]
    listed = {entry.name: entry.inode() for entry in os.scandir(package)}
    assert listed["1.0.0.wasm~"] == os.stat(os.path.join(package, "1.0.0.wasm~")).st_ino
    place.home.run("rm", "-r", package)
    assert not os.path.exists(package)
    os.mkdir(package)
    path = os.path.join(package, "1.0.0.wasm")
    assert errno_of(put, path, WHOLE[:-1]) == "EINVAL"
    folder, = (os.path.dirname(path) for path in staging(place.home, "files"))
    put(os.path.join(folder, "1.0.0.wasm"), WHOLE)
    os.rename(path + "~", path)
    assert read(path) == WHOLE and sorted(os.listdir(package)) == ["1.0.0.wasm", "latest.wasm"]
    place.expect("whole")


def test_folders_of_drafts(new_place, place, package):
    """A program's own folder with drafts: kept over the mount's end, listed, and removed; in a transaction, too."""
    folder, transaction = os.path.join(package, ".~tmp~"), place.at(".publish/test", os.path.basename(package))
    os.mkdir(folder, 0o700)
    path = put(os.path.join(folder, "1.0.0.wasm"), WHOLE[:-1])
    assert read(path) == WHOLE[:-1] and os.listdir(folder) == ["1.0.0.wasm"] and os.listdir(package) == [".~tmp~"]
    entry, = os.scandir(package)
    assert entry.is_dir() and entry.inode() == os.stat(folder).st_ino
    assert errno_of(os.mkdir, folder) == "EEXIST" and errno_of(os.rmdir, package) == "ENOTEMPTY"
    assert errno_of(os.mkdir, os.path.join(folder, ".b")) == "EPERM"
    assert errno_of(os.mkdir, os.path.join(package, "b")) == "EPERM"
    assert errno_of(os.rename, folder, os.path.join(package, ".b")) == "EPERM"
    assert errno_of(os.rename, path, os.path.join(package, "1.0.0.wasm")) == "EINVAL"
    assert ".~tmp~/1.0.0.wasm of package" in place.home.wargfs("publish", "list").stdout
    os.mkdir(transaction)
    put(os.path.join(place.home.work, "2.0.0.wasm"), WHOLE)
    place.home.run("rsync", "-a", "--delay-updates", place.home.work + "/", transaction)
    assert os.listdir(transaction) == ["2.0.0.wasm"]
    os.mkdir(os.path.join(transaction, ".~tmp~"))
    put(os.path.join(transaction, ".~tmp~", "x"), b"x")
    place.expect("it is there", "whole", "begins with a dot", "keeps its name", "lies in it", "can be made here")
    kept = [os.path.relpath(each, place.path) for each in (path, package, transaction)]
    place.end()
    place = new_place()
    path, package, transaction = map(place.at, kept)
    assert read(path) == WHOLE[:-1] and sorted(os.listdir(transaction)) == [".~tmp~", "2.0.0.wasm"]
    place.home.run("rm", "-r", transaction)
    assert place.list(".publish") == []
    put(path, WHOLE)
    os.rename(path, os.path.join(package, "1.0.0.wasm"))
    assert read(os.path.join(package, "1.0.0.wasm")) == WHOLE
    os.rmdir(os.path.dirname(path))
    assert sorted(os.listdir(package)) == ["1.0.0.wasm", "latest.wasm"]


AGAIN = {
    "cp": "cp {source} {path}",
    "cp-a": "cp -a {source} {path}",
    "cat": "cat {source} > {path}",
    "dd": "dd if={source} of={path} bs=100 status=none",
    "rename": "cp {source} {path}.part && mv {path}.part {path}",
    "rsync": "rsync --ignore-times {source} {path}",
    "rsync-inplace": "rsync --inplace --ignore-times {source} {path}",
}


def test_same_bytes_again(place, package):
    """The bytes of a release may be written again, with or without a key; others are refused, and leave nothing
    behind. Those who read the release meanwhile see only its own bytes."""
    path = os.path.join(package, "1.0.0.wasm")
    same, other = (put(os.path.join(place.home.work, name), content)
                   for name, content in (("same", WHOLE), ("other", wasm(1000, 2))))
    put(path, WHOLE)
    number = os.stat(path).st_ino
    os.rename(os.path.join(os.path.dirname(place.home.config), "keyring"), os.path.join(place.home.work, "keyring"))
    with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ) as mapped:
        for way, text in AGAIN.items():
            for source, status in (same, 0), (other, 1), (same, 0):
                done = place.home.run("/bin/bash", "-c", text.format(source=source, path=path), status=None)
                assert bool(done.returncode) == bool(status) and bool(done.stderr) == bool(status), (way, done)
                assert not status or "exist" in done.stderr, way
                assert os.pread(file.fileno(), 5000, 0) == mapped[:] == read(path) == WHOLE
                left = ["1.0.0.wasm.part"] if (way, source) == ("rename", other) else []
                assert sorted(os.listdir(package)) == ["1.0.0.wasm", *left, "latest.wasm"], way
                assert ("other bytes" in place.last_error(path)) == (source == other), way
                os.unlink(path + ".part") if left else None
    assert os.stat(path).st_ino == number and os.stat(path).st_size == len(WHOLE)
    assert staging(place.home) == staging(place.home, "files") == []
    place.expect("other bytes")


def test_release_opened_otherwise(place, package):
    """A program that would add to a release, read what it writes over, or write nothing is refused."""
    path = os.path.join(package, "1.0.0.wasm")
    put(path, WHOLE)
    for mode in "ab", "r+b", "a+b":
        assert errno_of(open, path, mode) == "EEXIST", mode
    assert place.home.run("touch", path, status=1).stderr
    with open(path, "wb") as file:
        file.write(WHOLE[:500])
        file.flush()
        assert read(path) == WHOLE and os.fstat(file.fileno()).st_nlink == 1
        file.write(WHOLE[500:])
    assert errno_of(os.truncate, path, 0) == "EPERM"
    assert read(path) == WHOLE
    place.expect("never changes", "no bytes", "stays as it is")


def test_same_bytes_of_two(new_place):
    """Of two mounts that publish the same bytes at once both succeed; of two with different bytes, one."""
    places = new_place(), new_place()
    for place in places:
        os.mkdir(place.at("test/same-of-two"))
    for number in range(6):
        contents = [wasm(700, number), wasm(700, number if number % 2 else 100 + number)]
        results = [None, None]

        def publish(which):
            results[which] = errno_of(put, places[which].at(f"test/same-of-two/1.{number}.0.wasm"), contents[which])
        threads = [threading.Thread(target=publish, args=(which,)) for which in (0, 1)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(map(str, results)) == (["None", "None"] if number % 2 else ["EEXIST", "None"])
    for place in places:
        place.expect("released already")


def test_taken_over(new_place):
    """The next mount has the files of dead and ended mounts; of two with one name, one waits for a later mount."""
    first, second = new_place(), new_place()
    for each, name in (first, "a"), (second, "b"):
        os.makedirs(each.at("test/over"), exist_ok=True)
        os.makedirs(each.at("test/over-" + name))
        put(each.at("test/over/both"), name.encode())
        put(each.at("test/over", name), name.encode())
    second.process.send_signal(signal.SIGKILL)
    second.process.wait()
    second.abandon()
    second.over = True
    assert first.list("test/over") == ["a", "both"]
    first.end()
    third = new_place()
    assert third.list("test/over") == ["a", "b", "both"] and third.read("test/over/both") == b"a"
    assert {"over-a", "over-b"} <= set(third.list("test"))
    fourth = new_place()
    assert fourth.list("test/over") == ["both"] and fourth.read("test/over/both") == b"b"


def test_remounted_at_once(new_place, writer):
    """fusermount3 returns before the daemon has ended: the next mount waits for it, and takes over its files."""
    for number in range(3):
        place = new_place()
        os.makedirs(place.at("test/again"), exist_ok=True)
        put(place.at(f"test/again/{number}"), b"x")
        unmount(place.path)
        place.over = True
    assert new_place().list("test/again") == ["0", "1", "2"]


class Walk:
    """Random operations on two mounts, checked against a model of their files and of the published releases."""

    def __init__(self, seed, new_place, package):
        self.random = random.Random(seed)
        self.new_place = new_place
        self.mounts = [new_place(), new_place()]
        self.folder = "test/" + package
        self.drafts = [{}, {}]
        self.released = {}
        self.written = 0
        for mount in self.mounts:
            self.prepare(mount)

    def prepare(self, mount):
        mount.expect("already", "WebAssembly", "rejected", "released")
        os.makedirs(mount.at(self.folder), exist_ok=True)

    def content(self):
        """A whole module, or a truncated one."""
        self.written += 1
        whole = wasm(60 + self.random.randrange(3000), self.written)
        return whole if self.random.random() < 0.7 else whole[:-1 - self.random.randrange(30)]

    @staticmethod
    def is_whole(content):
        """Whether its last section ends where it does."""
        at = 8
        while at + 1 < len(content):
            size = shift = 0
            at += 1
            while at < len(content):
                size |= (content[at] & 127) << shift
                shift, at = shift + 7, at + 1
                if content[at - 1] < 128:
                    break
            at += size
        return at == len(content)

    @staticmethod
    def is_version(name):
        return name.endswith(".wasm")

    def name(self):
        return self.random.choice([f"draft{number}" for number in range(4)] +
                                  [f"{major}.0.0.wasm" for major in range(1, 1 + STEPS // 12)])

    def step(self):
        which = self.random.randrange(2)
        action = self.random.choices((self.write, self.append, self.rename, self.remove, self.again),
                                     (8, 3, 8, 3, 0.3))[0]
        action(which, self.mounts[which].at(self.folder), self.drafts[which])
        self.check(which)

    def publish(self, name, content):
        """The allowed results when a file with this content gets a version's name: errnos, or None."""
        if name in self.released: # this mount may not know of the release yet
            return {"EEXIST"} | (set() if self.is_whole(content) else {"EINVAL"})
        if not self.is_whole(content):
            return {"EINVAL"}
        self.released[name] = content
        return {None}

    def write(self, which, folder, drafts):
        name, content = self.name(), self.content()
        was_free = name not in self.released
        expected = self.publish(name, content) if self.is_version(name) else {None}
        assert errno_of(put, os.path.join(folder, name), content) in expected, name
        former = drafts.pop(name, None)
        if not self.is_version(name) or (was_free and None not in expected):
            drafts[name] = content
        elif not was_free: # a draft that was there is behind the release, or written again
            with contextlib.suppress(FileNotFoundError):
                drafts[name] = read(os.path.join(folder, self.listed(name)))
            assert drafts.get(name) in (content, former)

    def append(self, which, folder, drafts):
        names = [name for name in drafts if not self.is_version(name) and self.is_whole(drafts[name])]
        if names:
            name, more = self.random.choice(names), self.random.choice((b"\0\1\0", b"\0\5\0", b""))
            put(os.path.join(folder, name), more, "ab")
            drafts[name] += more

    def rename(self, which, folder, drafts):
        if not drafts:
            return
        before, after = self.random.choice(sorted(drafts)), self.name()
        if before == after:
            return
        content = drafts[before]
        expected = self.publish(after, content) if self.is_version(after) else {None}
        assert errno_of(os.rename, os.path.join(folder, self.listed(before)),
                        os.path.join(folder, after)) in expected, after
        if None not in expected:
            return
        del drafts[before]
        drafts.pop(after, None)
        if not self.is_version(after):
            drafts[after] = content

    def remove(self, which, folder, drafts):
        if drafts:
            name = self.random.choice(sorted(drafts))
            os.unlink(os.path.join(folder, self.listed(name)))
            del drafts[name]

    def listed(self, name):
        """A draft's name in a listing."""
        return name + "~" if self.is_version(name) else name

    def again(self, which, folder, drafts):
        """Kill the daemon, or end it, and start another one."""
        mount = self.mounts[which]
        if self.random.random() < 0.5:
            mount.end()
        else:
            mount.process.kill()
            mount.process.wait()
            mount.abandon()
            mount.over = True
        self.mounts[which] = self.new_place()
        self.prepare(self.mounts[which])

    def check(self, which):
        """The listing has the drafts and the known releases; and drafts have their bytes."""
        folder, drafts = self.mounts[which].at(self.folder), self.drafts[which]
        names = {self.listed(name): content for name, content in drafts.items()}
        listed = set(os.listdir(folder))
        assert set(names) <= listed and listed - set(names) <= set(self.released) | {"latest.wasm"}
        for name, content in names.items():
            assert read(os.path.join(folder, name)) == content


@pytest.mark.parametrize("seed", range(SEED, SEED + WALKS))
def test_walk(new_place, server, new_home, seed):
    """Whatever two mounts of one user do, each keeps its files, and only the intended files are published."""
    walk = Walk(seed, new_place, f"walk{seed}")
    for _ in range(STEPS):
        walk.step()
    fresh = new_home()
    for name, content in walk.released.items():
        version = name.removesuffix(".wasm")
        fresh.wargfs("download", f"test:walk{seed}", "-v", version, "-o", name, "--registry", server.url)
        assert read(os.path.join(fresh.work, name)) == content
    assert fresh.wargfs("info", f"test:walk{seed}", "--registry", server.url).stdout.count(".0.0") >= len(walk.released)
