# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""A mount that may be written to, on the real server: what lies in it unpublished, what is refused, and how tools that
know nothing of registries publish with it."""
import contextlib
import errno
import hashlib
import mmap
import json
import os
import shutil
import stat
import subprocess
import tempfile
import threading

import pytest

import forge
import programs
from mounts import errno_of, read
from registry import wasm
from waiting import until


@pytest.fixture(scope="module")
def server(everything):
    """A registry of its own, with one package that has a version."""
    server = programs.HomeServer(programs.Home(os.path.join(everything, "writing-server")))
    publisher = programs.Home(os.path.join(everything, "writing-publisher")).configure(server.url)
    try:
        server.wait_for_length(1)
        put(os.path.join(publisher.work, "old.wasm"), OLD)
        publisher.warg("publish", "init", "test:old")
        publisher.warg("publish", "release", "-n", "test:old", "-v", "1.0.0", "old.wasm")
        server.wait_for_length(3)
        yield server
    finally:
        server.end()


@pytest.fixture
def writer(home, server):
    """Who has the key."""
    return home.configure(server.url)


@pytest.fixture
def place(new_mount, server, writer):
    return new_mount(server.url, "rw", "timeout=20", home=writer)


@pytest.fixture
def remount(new_mount, server, writer):
    """Ends a mount, and makes another one of the same home."""
    def again(place, *options):
        place.end()
        return new_mount(server.url, "rw", "timeout=20", *options, home=writer)
    return again


OLD = wasm(1000, 1)
NEW = wasm(70001, 2)


def put(path, content):
    with open(path, "wb") as file:
        file.write(content)
    return path


def source(home, content=NEW):
    """A file of the caller's own."""
    descriptor, path = tempfile.mkstemp(".wasm", "source-", home.work)
    with open(descriptor, "wb") as file:
        file.write(content)
    return path


def write_file(path, content, mode="wb"):
    with open(path, mode) as file:
        file.write(content)


def state(*path):
    return os.getxattr(os.path.join(*path), "user.warg.state").decode()


def fresh(server, new_home, name, version):
    """What somebody else gets who has nothing as yet."""
    home = new_home()
    home.wargfs("config", "--registry", server.url)
    home.wargfs("download", name, "-v", version, "-o", "out.wasm")
    return read(os.path.join(home.work, "out.wasm"))


# ---- What lies there unpublished ----


def test_folders(place, remount):
    package = place.at("test", "folders")
    os.mkdir(package)
    assert stat.S_IMODE(os.stat(package).st_mode) == 0o755
    assert "folders" in place.list("test") and place.list("test/folders") == []
    assert errno_of(os.mkdir, package) == "EEXIST"
    for name in ("Folders", "-a", ".git", "a_b", "a b"):
        assert errno_of(os.mkdir, place.at("test", name)) == "EINVAL"
        assert errno_of(os.mkdir, place.at(name)) == "EINVAL"
    assert errno_of(os.mkdir, place.at("nobody")) == "EPERM"
    assert "nobody" in place.last_error() and "operator" in place.last_error()
    assert errno_of(os.mkdir, place.at("test")) == "EEXIST"
    for path in ("test/folders/sub", ".warg/x", ".latest/x", "test/old/.yanked/x"):
        assert errno_of(os.mkdir, place.at(path)) in ("EPERM", "EINVAL")
    place.expect("nobody|can be made here|it is there already|operator|lowercase words")

    place = remount(place)
    assert "folders" in place.list("test")
    write_file(place.at("test/folders/note"), b"x")
    assert errno_of(os.rmdir, place.at("test/folders")) == "ENOTEMPTY"
    assert errno_of(os.rmdir, place.at("test/old")) == "EPERM"
    assert errno_of(os.rmdir, place.at("test")) == "EPERM"
    os.unlink(place.at("test/folders/note"))
    os.rmdir(place.at("test/folders"))
    assert "folders" not in place.list("test") and not os.path.exists(place.at("test/folders"))
    place.expect("not empty", "in the registry")


def test_files(place, remount):
    """Files with other names than versions' are what they are anywhere, and stay."""
    os.mkdir(place.at("test/files"))
    path, other = place.at("test/files/.draft.wasm"), place.at("test/files/draft~")
    write_file(path, b"some bytes")
    assert read(path) == b"some bytes" and os.stat(path).st_size == 10
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o644 and state(path) == "staged"
    write_file(path, b", and more", "ab")
    assert read(path) == b"some bytes, and more"
    with open(path, "r+b") as file:
        file.seek(5)
        file.write(b"BYTES")
        file.truncate(10)
        os.fsync(file.fileno())
    assert read(path) == b"some BYTES"
    os.chmod(path, 0o600)
    os.utime(path, (1, 2))
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o600 and os.stat(path).st_mtime == 2
    assert errno_of(os.setxattr, path, "user.x", b"y") == "ENOTSUP"
    assert errno_of(os.link, path, other) == "EPERM" and errno_of(os.symlink, "x", other) == "EPERM"
    assert errno_of(os.mkfifo, other) == "EPERM" and errno_of(os.chown, path, 4711, -1) == "EPERM"
    os.rename(path, other)
    assert place.list("test/files") == ["draft~"] and errno_of(os.stat, path) == "ENOENT"

    place = remount(place.expect("belongs|owner|stays as it is|one name|makes links|only files"))
    assert place.list("test/files") == ["draft~"] and place.read("test/files/draft~") == b"some BYTES"
    os.unlink(place.at("test/files/draft~"))
    assert place.list("test/files") == []


def test_open_files(place):
    """An open file stays what it is while its name changes, goes, or is another's."""
    os.mkdir(place.at("test/open"))
    path, other = place.at("test/open/a"), place.at("test/open/b")
    with open(path, "w+b") as file:
        file.write(b"first")
        file.flush()
        number = os.fstat(file.fileno()).st_ino
        os.rename(path, other)
        assert os.stat(other).st_ino == number
        write_file(path, b"second")
        os.rename(path, other)
        file.seek(0)
        assert file.read() == b"first" and read(other) == b"second"
        os.unlink(other)
        file.write(b" and last")
        file.flush()
        assert os.fstat(file.fileno()).st_size == 14
        file.seek(0)
        assert file.read() == b"first and last"
    assert place.list("test/open") == []
    with open(path, "w+b") as file:
        file.truncate(8192)
        with mmap.mmap(file.fileno(), 8192) as mapped:
            mapped[4096:4101] = b"mmap!"
            mapped.flush()
    assert read(path)[4096:4101] == b"mmap!"


def test_renames(place):
    os.mkdir(place.at("test/renames"))
    os.mkdir(place.at("test/renames-to"))
    path = place.at("test/renames/a")
    write_file(path, b"a")
    write_file(place.at("test/renames/b"), b"b")
    assert place.home.run("mv", "-n", path, place.at("test/renames/b"), status=None).returncode in (0, 1)
    assert place.read("test/renames/b") == b"b"
    os.rename(path, place.at("test/renames-to/c"))
    assert place.list("test/renames") == ["b"] and place.read("test/renames-to/c") == b"a"
    assert errno_of(os.rename, place.at("test/renames"), place.at("test/elsewhere")) == "EPERM"
    for to in ("latest.wasm", "1.wasm", "x.wasm"):
        assert errno_of(os.rename, place.at("test/renames/b"), place.at("test/renames", to)) == "EINVAL"
    assert errno_of(os.rename, place.at("test/old/1.0.0.wasm"), place.at("test/old/x")) == "EPERM"
    assert errno_of(os.rename, place.at("test/renames/b"), place.at("test/old/1.0.0.wasm")) == "EEXIST"
    assert place.list("test/renames") == ["b"]
    place.expect("keeps its name", "link", "MAJOR.MINOR.PATCH", "released already")


def test_disk(place):
    """What the disk has room for, which programs look at before they write."""
    own = os.statvfs(place.home.path)
    assert os.statvfs(place.path).f_blocks == own.f_blocks and os.statvfs(place.path).f_bavail > 0


def test_another_user(place):
    """Only whoever owns the mount may write: what the modes say, the kernel keeps to."""
    os.mkdir(place.at("test/users"))
    assert os.stat(place.at("test/users")).st_mode & 0o022 == 0


# ---- Refusals ----


def refused(place, path, content, expected, where=None):
    """cp fails with that errno, and says why at the package."""
    name = {"EEXIST": "File exists", "EINVAL": "Invalid argument", "EACCES": "Permission denied",
            "EPERM": "Operation not permitted", "ENOKEY": "Required key not available"}[expected]
    done = place.home.run("cp", source(place.home, content), place.at(path), status=1)
    assert name in done.stderr
    assert place.last_error(os.path.dirname(path))
    return place.last_error(os.path.dirname(path))


def test_taken(place):
    error = refused(place, "test/old/1.0.0.wasm", NEW, "EEXIST")
    assert "1.0.0" in error and "released already" in error
    assert "released already" in place.last_error("test/old/1.0.0.wasm")
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
    assert errno_of(os.open, place.at("test/old/1.0.0.wasm"), flags) == "EEXIST"
    assert place.read("test/old/1.0.0.wasm") == OLD
    place.expect("released already", "never changes")


def test_immutable(place):
    path = place.at("test/old/1.0.0.wasm")
    for action, arguments in ((os.truncate, (path, 0)), (os.chmod, (path, 0o600)), (os.utime, (path, (1, 1))),
                              (os.unlink, (path,)),
                              (os.unlink, (place.at(".warg/status"),))):
        assert errno_of(action, *arguments) in ("EPERM", "EEXIST"), action
    assert errno_of(os.open, place.at(".warg/status"), os.O_WRONLY) in ("EPERM", "EACCES")
    assert place.read("test/old/1.0.0.wasm") == OLD
    place.expect("stays as it is", "-o yank", "belongs to the mount", "released|cannot be written")


@pytest.mark.parametrize("name", ("1.wasm", "latest.wasm", "x.wasm", "v1.0.0.wasm", "1.0.wasm", "01.0.0.wasm"))
def test_malformed(place, name):
    os.makedirs(place.at("test/malformed"), exist_ok=True)
    refused(place, f"test/malformed/{name}", NEW, "EINVAL")
    assert place.list("test/malformed") == []
    place.expect("MAJOR.MINOR.PATCH", "link")


def test_not_wasm(place):
    """Said at the first write."""
    os.mkdir(place.at("test/no-wasm"))
    with open(place.at("test/no-wasm/0.1.0.wasm"), "wb", buffering=0) as file:
        assert errno_of(file.write, b"\x7fELF and so on") == "EINVAL"
    assert "WebAssembly" in place.last_error("test/no-wasm")
    place.expect("WebAssembly")


def test_cut_short(place):
    """What is not whole is not published, and waits for the rest."""
    os.mkdir(place.at("test/short"))
    error = refused(place, "test/short/0.1.0.wasm", NEW[:-1], "EINVAL")
    assert "whole" in error
    path = place.at("test/short/0.1.0.wasm")
    assert place.list("test/short") == ["0.1.0.wasm~"]  # whoever lists would take 0.1.0.wasm for a release
    assert os.stat(path).st_size == len(NEW) - 1 and state(path) == "staged"
    assert errno_of(read, path) == "EBUSY" and errno_of(os.rmdir, os.path.dirname(path)) == "ENOTEMPTY"
    assert "0.1.0.wasm" in place.last_error("test/short")
    os.unlink(path)
    os.rmdir(os.path.dirname(path))
    place.expect("whole", "not published", "lies in it")


def test_no_key(new_mount, server, new_home):
    home = new_home()
    place = new_mount(server.url, "rw", home=home)
    home.configure(server.url)
    os.unlink(os.path.join(os.path.dirname(home.config), "keyring", "service=warg-signing-key&user=default"))
    os.mkdir(place.at("test/no-key"))
    refused(place, "test/no-key/0.1.0.wasm", NEW, "ENOKEY")
    place.expect("key")


def test_read_only(new_mount, server, writer):
    place = new_mount(server.url, home=writer)
    for action, arguments in ((os.mkdir, ("test/x",)), (write_file, ("test/old/x", b"x")),
                              (os.unlink, ("test/old/1.0.0.wasm",))):
        assert errno_of(action, place.at(arguments[0]), *arguments[1:]) == "EROFS"
    assert errno_of(os.stat, place.at(".publish")) == "ENOENT"


@pytest.mark.parametrize("words, said", ((("yank",), "-o rw,yank"), (("rw", "offline"), "offline")))
def test_options(new_mount, server, writer, words, said):
    status, log = new_mount(server.url, *words, home=writer, wait=False).refused()
    assert status == 2 and said in log


# ---- Publishing, by tools that know nothing of it ----


@pytest.fixture
def package(place, request):
    """A folder for a package of the test's own."""
    name = request.node.name.removeprefix("test_").replace("_", "-").replace("[", "-").rstrip("]")
    os.mkdir(place.at("test", name))
    return place.at("test", name)


def run(place, *command, **options):
    done = place.home.run(*command, **options)
    assert not done.stderr, done.stderr
    return done.stdout


def shell(place, text, **options):
    return place.home.run("/bin/bash", "-c", text, **options)


def check_published(place, path, content=NEW, since=None):
    """The release is shown like any other; no draft is left; and its content is in the cache.

    since: words of what went wrong in its folder afterwards.
    """
    before = place.last_error(os.path.dirname(path))  # a listing that succeeds may clear it
    assert read(path) == content and state(path) == "verified"
    digest = os.getxattr(path, "user.warg.digest").decode()
    assert digest == "sha256:" + hashlib.sha256(content).hexdigest()
    assert os.readlink(os.path.join(os.path.dirname(path), "latest.wasm")) == os.path.basename(path)
    assert sorted(os.listdir(os.path.dirname(path))) == sorted((os.path.basename(path), "latest.wasm"))
    assert os.path.exists(place.home.content_file(content))
    assert since in before if since else not place.last_error(os.path.dirname(path))


def by_editor(place, path, home):
    """As vim does: a swap file, the text under another name, the new in its place."""
    folder, name = os.path.split(path)
    swap = os.path.join(folder, f".{name}.swp")
    write_file(swap, b"b0VIM")
    temp = os.path.join(folder, "4913")
    descriptor = os.open(temp, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
    os.fchmod(descriptor, 0o644)
    os.close(descriptor)
    os.unlink(temp)
    with open(path, "wb", buffering=0) as file:
        file.write(NEW)
        os.fsync(file.fileno())
    os.chmod(path, 0o644)
    os.unlink(swap)


def by_temp_file(place, path, home):
    """As most other editors do."""
    temp = os.path.join(os.path.dirname(path), ".goutputstream-X1Y2Z3")
    with open(temp, "wb") as file:
        file.write(NEW)
        file.flush()
        os.fsync(file.fileno())
    os.rename(temp, path)


def by_pieces(place, path, home):
    """Small writes, out of order but for the first."""
    with open(path, "wb", buffering=0) as file:
        file.write(NEW[:100])
        file.seek(60000)
        file.write(NEW[60000:])
        for start in range(100, 60000, 5000):
            file.seek(start)
            file.write(NEW[start:min(start + 5000, 60000)])


WAYS = {
    "cp": lambda place, path, home: run(place, "cp", source(home), path),
    "cp-p": lambda place, path, home: run(place, "cp", "-p", source(home), path),
    "install": lambda place, path, home: run(place, "install", "-m", "644", source(home), path),
    "install-p": lambda place, path, home: run(place, "install", "-p", "-m", "600", source(home), path),
    "rsync": lambda place, path, home: run(place, "rsync", "-t", source(home), path),
    "rsync-a": lambda place, path, home: run(place, "rsync", "-a", source(home), path),
    "rsync-inplace": lambda place, path, home: run(place, "rsync", "--inplace", source(home), path),
    "dd": lambda place, path, home: run(place, "dd", "status=none", "bs=4k", f"if={source(home)}", f"of={path}"),
    "cat": lambda place, path, home: shell(place, f"cat {source(home)} > {path}"),
    "mv": lambda place, path, home: run(place, "mv", source(home), path),
    "mv-within": lambda place, path, home: shell(place, f"cp {source(home)} {path}.part && mv {path}.part {path}"),
    "shutil": lambda place, path, home: shutil.copy(source(home), path),
    "shutil-copy2": lambda place, path, home: shutil.copy2(source(home), path),
    "editor": by_editor,
    "temp-file": by_temp_file,
    "pieces": by_pieces,
}


def side_by_side(action, rows, check, meanwhile=lambda: None):
    """action(row) for all at once: each waits for the registry's next checkpoint, and that is the same for all.

    Then check(row) for each. Until the last publish has ended, contents of all have a second name in the staging
    folder; a content whose file loses one is verified again by the next reader.
    """
    failed = {}

    def act(row):
        try:
            action(row)
        except Exception as failure:
            failed[row] = failure
    threads = [threading.Thread(target=act, args=(row,)) for row in rows]
    for thread in threads:
        thread.start()
    meanwhile()
    for thread in threads:
        thread.join()
    assert not failed
    for row in rows:
        check(row)


def test_ways(place):
    """Each in a package of its own."""
    def path_of(way):
        return place.at("test", f"way-{way}", "0.1.0.wasm")

    def publish(way):
        os.mkdir(os.path.dirname(path_of(way)))
        WAYS[way](place, path_of(way), place.home)
    side_by_side(publish, WAYS, lambda way: check_published(place, path_of(way)),
                 lambda: place.read("test/old/1.0.0.wasm"))


TREES = {
    "cp": "cp -r {source}/. {target}",
    "cp-a": "cp -a {source}/. {target}",
    "rsync": "rsync -a {source}/ {target}",
    "tar": "tar -C {source} -cf - . | tar -C {target} -xf - --no-same-owner",
}


def test_trees(place):
    """A tree of packages and versions is copied to a namespace, and every version of it is published."""
    contents = {way: {f"tree-{way}-{name}/0.1.0.wasm": wasm(3000 + len(way), len(name)) for name in ("a", "bc")}
                for way in TREES}

    def copy(way):
        tree = os.path.join(place.home.work, f"tree-{way}")
        os.mkdir(tree)
        for path, content in contents[way].items():
            os.mkdir(os.path.dirname(os.path.join(tree, path)))
            put(os.path.join(tree, path), content)
        done = shell(place, TREES[way].format(source=tree, target=place.at("test")))
        assert not done.stderr

    def check(way):
        for path, content in contents[way].items():
            check_published(place, place.at("test", path), content)
    side_by_side(copy, TREES, check)


def test_elsewhere(place, package, server, new_home):
    """What cp came back from, a reader elsewhere can fetch."""
    run(place, "cp", source(place.home), os.path.join(package, "0.1.0.wasm"))
    assert fresh(server, new_home, f"test:{os.path.basename(package)}", "0.1.0") == NEW


def test_second_version(place, package):
    """The first initialises the package; the next goes on top of it, and both are there."""
    for number, content in enumerate((NEW, OLD)):
        run(place, "cp", source(place.home, content), os.path.join(package, f"0.{number}.0.wasm"))
    assert sorted(os.listdir(package)) == ["0.0.0.wasm", "0.1.0.wasm", "latest.wasm"]
    assert read(os.path.join(package, "latest.wasm")) == OLD


def test_several_writers(place, package):
    """One file from several programs: those that end in the middle are told that it is not whole, the last that it is
    published."""
    path = os.path.join(package, "0.1.0.wasm")
    whole = source(place.home)
    done = shell(place, f"{{ head -c 1000 {whole} || echo refused >&2; tail -c +1001 {whole}; }} > {path}")
    assert "refused" in done.stderr and "Invalid argument" in done.stderr
    check_published(place, path)
    place.expect("whole")


def test_nothing_written(place, package):
    """Who opened a version's file, or was refused his bytes, leaves nothing behind; nor does who removes it."""
    path = os.path.join(package, "0.1.0.wasm")
    assert shell(place, f"echo hi > {path}", status=1).stderr
    shell(place, f": > {path}")
    until(lambda: not os.path.exists(path), "it is gone")
    with open(path, "wb", buffering=0) as file:
        file.write(NEW)
        os.unlink(path)
        assert errno_of(os.close, os.dup(file.fileno())) == "ENOENT"
    assert os.listdir(package) == [] and not os.path.exists(path)
    place.expect("WebAssembly", "removed")


def test_foreign_close(place, package):
    """A program that is started meanwhile has the file for a moment, and closes it: what is written by then is a whole
    module as it happens, and is not meant."""
    path = os.path.join(package, "0.1.0.wasm")
    with open(path, "wb", buffering=0) as file:
        file.write(NEW[:8])
        subprocess.run(["true"], pass_fds=(file.fileno(),), check=True)
        file.write(NEW[8:])
    check_published(place, path)


def test_close_by_another(place, package):
    """Who only lent the file hears what came of it, too."""
    path = os.path.join(package, "0.1.0.wasm")
    for content, expected in ((NEW[:-1], "EINVAL"), (NEW, None)):
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
        shell(place, f"cat {source(place.home, content)}", stdout=descriptor, capture_output=False,
              stderr=subprocess.DEVNULL, status=1 if expected else 0)
        assert errno_of(os.close, os.dup(descriptor)) == expected
        assert errno_of(os.close, descriptor) == expected
    check_published(place, path)
    place.expect("whole")


def test_open_after(place, package):
    """Who published still has the file, and can read but not write."""
    path = os.path.join(package, "0.1.0.wasm")
    with open(path, "w+b", buffering=0) as file:
        file.write(NEW)
        os.close(os.dup(file.fileno()))
        assert read(path) == NEW and state(path) == "verified"
        assert errno_of(file.write, b"more") == "EPERM"
        assert errno_of(file.truncate, 8) == "EPERM"
        file.seek(0)
        assert file.read() == NEW
        os.fchmod(file.fileno(), 0o640)
    check_published(place, path, since="never changes")
    place.expect("never changes")


def test_together(place, package):
    """Of two who publish one version at once, one wins, and the other hears that it is taken."""
    path = os.path.join(package, "0.1.0.wasm")
    sources = [source(place.home, content) for content in (NEW, OLD)]
    started = [place.home.start("cp", each, path, stderr=subprocess.PIPE) for each in sources]
    ended = [(each.communicate(timeout=60)[1].decode(), each.returncode) for each in started]
    assert sorted(status for _, status in ended) == [0, 1], ended
    winner = [status for _, status in ended].index(0)
    assert "File exists" in ended[1 - winner][0]
    assert read(path) == (NEW, OLD)[winner]
    place.expect("already", "it is there")


def test_many(place):
    """50 packages at once; others are served meanwhile."""
    names = [f"many-p{number}" for number in range(50)]
    contents = {name: wasm(2000 + number, number) for number, name in enumerate(names)}
    started = []
    for name in names:
        os.mkdir(place.at("test", name))
        started.append(place.home.start("cp", source(place.home, contents[name]),
                                        place.at("test", name, "1.0.0.wasm"), stderr=subprocess.PIPE))
    assert place.read("test/old/1.0.0.wasm") == OLD
    for each in started:
        assert each.communicate(timeout=100)[1] == b"" and each.returncode == 0
    for name in names:
        assert place.read("test", name, "1.0.0.wasm") == contents[name]


def test_killed(place, new_mount, server, writer, package):
    """What was being written when the daemon died is there still."""
    path = os.path.join(package, "0.1.0.wasm")
    file = open(path, "wb", buffering=0)
    file.write(NEW[:50000])
    place.process.kill()
    place.process.wait()
    with contextlib.suppress(OSError):
        file.close()
    place.abandon()
    place.over = True
    again = new_mount(server.url, "rw", "timeout=20", home=writer)
    name = os.path.basename(package)
    assert again.list("test", name) == ["0.1.0.wasm~"] and again.stat("test", name, "0.1.0.wasm").st_size == 50000
    assert "0.1.0.wasm" in again.home.wargfs("publish", "list").stdout
    write_file(again.at("test", name, "0.1.0.wasm"), NEW[50000:], "ab")
    check_published(again, again.at("test", name, "0.1.0.wasm"))


# ---- Transactions ----


def test_transaction(place, package):
    """Several versions in one record."""
    name = os.path.basename(package)
    folder = place.at(".publish/test", name)
    os.mkdir(folder)
    assert place.list(".publish") == ["test"] and place.list(".publish/test") == [name]
    assert errno_of(os.mkdir, place.at(".publish/test/old")) == "EBUSY"
    for version, content in (("0.1.0", NEW), ("0.2.0", OLD), ("0.3.0", NEW)):
        run(place, "cp", source(place.home, content), os.path.join(folder, f"{version}.wasm"))
    os.unlink(os.path.join(folder, "0.3.0.wasm"))
    assert sorted(os.listdir(folder)) == ["0.1.0.wasm", "0.2.0.wasm"] and os.listdir(package) == []
    assert read(os.path.join(folder, "0.1.0.wasm")) == NEW
    assert os.stat(os.path.join(folder, "0.2.0.wasm")).st_size == len(OLD)
    assert "0.2.0" in place.home.warg("publish", "list").stdout
    refused = place.home.run("cp", source(place.home), os.path.join(folder, "0.1.0.wasm"), status=1)
    assert "File exists" in refused.stderr
    write_file(os.path.join(folder, "note"), b"not an entry")
    assert errno_of(os.rename, folder, package) == "ENOTEMPTY"
    os.unlink(os.path.join(folder, "note"))
    run(place, "mv", folder, place.at("test"))
    assert place.list(".publish") == []
    assert sorted(os.listdir(package)) == ["0.1.0.wasm", "0.2.0.wasm", "latest.wasm"]
    assert read(os.path.join(package, "0.1.0.wasm")) == NEW and read(os.path.join(package, "0.2.0.wasm")) == OLD
    records = os.getxattr(os.path.join(package, "0.1.0.wasm"), "user.warg.record")
    assert records == os.getxattr(os.path.join(package, "0.2.0.wasm"), "user.warg.record")
    place.expect("pending|already", "transaction has it", "still being written")


def test_abort(place, package):
    """`rm -r` takes it back."""
    name = os.path.basename(package)
    folder = place.at(".publish/test", name)
    os.mkdir(folder)
    run(place, "rsync", "-t", source(place.home), os.path.join(folder, "0.1.0.wasm"))
    half = os.path.join(folder, "0.2.0.wasm")
    assert errno_of(write_file, half, NEW[:100]) == "EINVAL"
    assert sorted(os.listdir(folder)) == ["0.1.0.wasm", "0.2.0.wasm"]
    assert next(entry.inode() for entry in os.scandir(folder) if entry.path == half) == os.stat(half).st_ino
    assert errno_of(os.rmdir, folder) == "ENOTEMPTY"
    run(place, "rm", "-r", folder)
    assert place.list(".publish") == [] and os.listdir(package) == []
    listed = place.home.wargfs("publish", "list", status=None)
    assert "no pending publish" in listed.stderr and not listed.stdout
    place.expect("releases in it", "no whole WebAssembly")


# ---- Keys, space, signals, yanks ----


def test_denied(new_mount, server, writer):
    """A key that the package's log does not know."""
    put(os.path.join(os.path.dirname(writer.config), "keyring/service=warg-signing-key&user=default"),
        forge.Key("somebody else who writes").text.encode())
    place = new_mount(server.url, "rw", home=writer)
    refused(place, "test/old/2.0.0.wasm", NEW, "EACCES")
    assert "2.0.0.wasm" not in place.list("test/old")
    place.expect("may not release")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount a tmpfs")
def test_full(new_mount, server, writer):
    """A full disk is said to be one, and what has room goes on."""
    state_folder = os.path.join(writer.path, ".local/state")
    os.makedirs(state_folder)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "wargfs-tests", state_folder], check=True)
    try:
        place = new_mount(server.url, "rw", "timeout=20", home=writer)
        path = place.at("test/full/0.1.0.wasm")
        os.mkdir(os.path.dirname(path))
        done = place.home.run("cp", source(place.home, wasm(4 << 20, 3)), path, status=1)
        assert "No space left on device" in done.stderr
        assert "No space left" in place.last_error("test/full")
        os.unlink(path)
        run(place, "cp", source(place.home), path)
        check_published(place, path)
        place.expect("No space left")
        place.end()
    finally:
        subprocess.run(["umount", "-l", state_folder], check=True)


def verified_ago(place):
    return json.loads(place.home.wargfs("status", "--json", place.path).stdout)["checkpoint"]["verifiedAgo"]


def test_interrupted(place, package, server):
    """Whoever is told to end while he waits for a silent registry ends at once, and others are served meanwhile. What
    was not sent by then is given up and stays a file, which can be published after all."""
    path = os.path.join(package, "0.1.0.wasm")
    file = source(place.home)
    place.read("test/old/1.0.0.wasm")
    os.mkfifo(os.path.join(place.home.work, "pipe"))
    process = place.home.start("/bin/bash", "-c", f"exec > {path}; cat pipe > /dev/null; exec cat {file}",
                               stderr=subprocess.PIPE)
    until(lambda: os.path.exists(path), "it is open")
    # Behind a recent look for a checkpoint the record would be sent at once.
    until(lambda: verified_ago(place) > 2, "the last look is not recent")
    server.stop()
    try:
        write_file(os.path.join(place.home.work, "pipe"), b"")
        until(lambda: os.stat(path).st_size == len(NEW), "it is written")
        until(lambda: wchan(process.pid) or process.poll() is not None, "it waits")
        assert place.read("test/old/1.0.0.wasm") == OLD and place.list(".publish") == []
        process.terminate()
        process.communicate(timeout=10)
    finally:
        server.resume()
    until(lambda: not errno_of(os.truncate, path, len(NEW)), "it is given up")
    assert state(path) == "staged" and os.stat(path).st_size == len(NEW)
    run(place, "cp", source(place.home), path)
    check_published(place, path)
    place.expect("never changes")


def wchan(pid):
    """Whether it waits for the mount in close()."""
    with contextlib.suppress(OSError):
        return "fuse" in read(f"/proc/{pid}/wchan").decode() or "request_wait" in read(f"/proc/{pid}/stack").decode()
    return False


def test_yank(new_mount, server, writer):
    place = new_mount(server.url, "rw", "yank", "timeout=20", home=writer)
    os.mkdir(place.at("test/yank"))
    for version in ("1.0.0", "1.1.0"):
        run(place, "cp", source(place.home), place.at(f"test/yank/{version}.wasm"))
    assert os.readlink(place.at("test/yank/latest.wasm")) == "1.1.0.wasm"
    assert os.readlink(place.at("test/yank/^1.wasm")) == "1.1.0.wasm"
    run(place, "rm", place.at("test/yank/1.1.0.wasm"))
    assert place.list("test/yank") == ["1.0.0.wasm", "latest.wasm"]
    until(lambda: os.readlink(place.at("test/yank/latest.wasm")) == "1.0.0.wasm", "the link follows")
    until(lambda: os.readlink(place.at("test/yank/^1.wasm")) == "1.0.0.wasm", "the link follows")
    assert place.list("test/yank/.yanked") == ["1.1.0"]
    refused(place, "test/yank/1.1.0.wasm", NEW, "EEXIST")
    place.expect("yanked")
