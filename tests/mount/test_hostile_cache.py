# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""The cache on disk is a stranger: what lies there may be anything, and the disk full, read-only or broken."""
import contextlib
import errno
import os
import re
import shutil
import signal
import socket
import subprocess

import pytest

import programs
from mounts import errno_of, read
from registry import BIG, CONTENTS
from waiting import until

NAME, PATH = "test:page", "test/page/1.0.0.wasm"
PAGE = CONTENTS[NAME, "1.0.0"]
BIG_PATH = "test/big/1.0.0.wasm"
BIG_CONTENT = CONTENTS["test:big", "1.0.0"]
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount a tmpfs")


# ---- What lies where a content has to be ----


def overwritten(path):
    with open(path, "r+b") as file:
        file.seek(100)
        file.write(b"tampered")


def emptied(path):
    os.truncate(path, 0)


def cut(path):
    os.truncate(path, 1000)


def longer(path):
    with open(path, "ab") as file:
        file.write(b"more")


def holes(path):
    """As large, and all zeroes."""
    size = os.path.getsize(path)
    os.truncate(path, 0)
    os.truncate(path, size)


def huge(path):
    os.truncate(path, 1 << 40)


def gone(path):
    os.unlink(path)


def unreadable(path):
    os.chmod(path, 0)


def linked(path):
    os.rename(path, path + "-elsewhere")
    overwritten(path + "-elsewhere")
    os.symlink(path + "-elsewhere", path)


def dangling(path):
    os.unlink(path)
    os.symlink("/nowhere/at/all", path)


def looping(path):
    os.unlink(path)
    os.symlink(path, path)


def hard_linked(path):
    """To a file of somebody else's, which must stay as it is."""
    os.unlink(path)
    other = path + "-of-another"
    with open(other, "wb") as file:
        file.write(b"precious" * 512)
    os.link(other, path)


def fifo(path):
    os.unlink(path)
    os.mkfifo(path)


def folder_there(path):
    os.unlink(path)
    os.mkdir(path)


def socket_there(path):
    os.unlink(path)
    here = os.getcwd()
    os.chdir(os.path.dirname(path))  # its name may be too long otherwise
    try:
        with socket.socket(socket.AF_UNIX) as one:
            one.bind(os.path.basename(path)[:20])
        os.rename(os.path.basename(path)[:20], path)
    finally:
        os.chdir(here)


def device(path):
    os.unlink(path)
    os.mknod(path, 0o666 | 0o020000, os.makedev(1, 5))  # /dev/zero


def of_another(path):
    overwritten(path)
    os.chmod(path, 0o600)
    os.chown(path, 12345, 12345)


EVILS = (overwritten, emptied, cut, longer, holes, huge, gone, unreadable, linked, dangling, looping, hard_linked, fifo,
         folder_there, socket_there, pytest.param(device, marks=needs_root), pytest.param(of_another, marks=needs_root))


@pytest.fixture
def cached(new_mount, liar, home):
    """The file of a content in the cache, fetched by a mount that is over."""
    mount = new_mount(liar.url, home=home)
    assert mount.read(PATH) == PAGE
    mount.end()
    return home.content_file(PAGE)


@pytest.mark.parametrize("evil", EVILS)
def test_before_the_mount(new_mount, liar, home, cached, evil):
    """Whatever lies there, the bytes are right, and the cache is put right for the next."""
    evil(cached)
    mount = new_mount(liar.url, home=home)
    assert mount.stat(PATH).st_size == len(PAGE)
    assert mount.read(PATH) == PAGE
    assert os.path.isfile(cached) and not os.path.islink(cached)
    assert read(cached) == PAGE
    if evil is hard_linked:
        assert read(cached + "-of-another") == b"precious" * 512


# The file that the mount has read is still there, without a name: it is read on, for a while.
NAMELESS = (gone, dangling, looping, hard_linked, fifo, folder_there, socket_there, device)


@pytest.mark.parametrize("evil", EVILS)
def test_while_mounted(new_mount, liar, home, evil):
    """The same of a file that the mount has verified already."""
    mount = new_mount(liar.url, home=home)
    assert mount.read(PATH) == PAGE
    cached = home.content_file(PAGE)
    evil(cached)
    assert mount.read(PATH) == PAGE
    with open(mount.at(PATH), "rb", buffering=0) as file:
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        assert file.read() == PAGE
    if evil in NAMELESS:
        mount.end()
        assert new_mount(liar.url, home=home).read(PATH) == PAGE
    assert os.path.isfile(cached) and not os.path.islink(cached)
    assert read(cached) == PAGE


@pytest.mark.parametrize("evil", (overwritten, emptied, cut, longer, holes, gone, unreadable))
def test_while_open(new_mount, liar, home, evil):
    """Who has it open reads the right bytes to the end."""
    mount = new_mount(liar.url, home=home)
    cached = home.content_file(BIG_CONTENT)
    with open(mount.at(BIG_PATH), "rb", buffering=0) as file:
        first = file.read(4096)
        evil(cached)
        file.seek(BIG // 2)
        assert file.read(4096) == BIG_CONTENT[BIG // 2:BIG // 2 + 4096]
        file.seek(0)
        rest = b""
        while piece := file.read(1 << 20):
            rest += piece
    assert first == BIG_CONTENT[:4096]
    assert rest == BIG_CONTENT


def test_open_and_gone_and_nobody_there(new_mount, liar, home):
    """A file that was removed is read on, without the registry."""
    mount = new_mount(liar.url, home=home)
    with open(mount.at(BIG_PATH), "rb", buffering=0) as file:
        file.read(4096)
        shutil.rmtree(os.path.join(home.cache, "content"))
        liar.close()
        try:
            file.seek(BIG // 2)
            assert file.read(BIG) == BIG_CONTENT[BIG // 2:]
        finally:
            liar.open()


# ---- Folders ----


def removed(path):
    shutil.rmtree(path)


def a_file(path):
    shutil.rmtree(path)
    with open(path, "w"):
        pass


def led_elsewhere(path):
    shutil.rmtree(path)
    os.symlink("/proc", path)


FOLDERS = ("warg", "warg/content", "warg/content/sha256", "warg/content/temp", "wargfs", "wargfs/downloads")


@pytest.mark.parametrize("where", FOLDERS)
@pytest.mark.parametrize("when", ("before", "while mounted"))
def test_folder_removed(new_mount, liar, home, cached, where, when):
    """Folders come back."""
    path = os.path.join(os.path.dirname(home.cache), where)
    if when == "before":
        shutil.rmtree(path)
    mount = new_mount(liar.url, home=home)
    if when != "before":
        shutil.rmtree(path)
    assert mount.read(PATH) == PAGE
    assert mount.read("test/tiny/1.0.0.wasm") == CONTENTS["test:tiny", "1.0.0"]


@pytest.mark.parametrize("evil", (a_file, led_elsewhere))
@pytest.mark.parametrize("where", ("warg/content/sha256", "warg/content/temp", "wargfs/downloads"))
def test_folder_replaced(new_mount, liar, home, cached, where, evil):
    """What has to be a folder and is none is told, not followed; afterwards all is well again."""
    path = os.path.join(os.path.dirname(home.cache), where)
    mount = new_mount(liar.url, home=home).expect("^wargfs: ")
    evil(path)
    failed = errno_of(mount.read, BIG_PATH)
    assert failed in (None, "ENOTDIR", "ELOOP")
    assert (failed is None) == (where == "wargfs/downloads")
    os.unlink(path)
    assert mount.read(BIG_PATH) == BIG_CONTENT


# ---- The disk ----


@pytest.fixture
def disk(home):
    """The cache on a file system of its own: disk(options). Gone at the end."""
    path = os.path.join(home.path, ".cache")
    os.makedirs(path)

    def mount(options, *again):
        subprocess.run(["mount", "-t", "tmpfs", "-o", ",".join((options, *again)), "wargfs-tests", path], check=True)
    yield mount
    while os.path.ismount(path):
        subprocess.run(["umount", "-l", path], check=True)


def fill(path):
    """Until nothing fits any more."""
    with open(path, "wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(b"\1" * 4096)


@needs_root
def test_disk_full(new_mount, liar, home, disk):
    """What does not fit fails with the disk's own errno; what fits works; room that comes back is used."""
    disk("size=8m")
    mount = new_mount(liar.url, home=home)
    assert mount.read(PATH) == PAGE
    assert errno_of(mount.read, BIG_PATH) == "ENOSPC"
    mount.wait_for_log(r"No space left on device")
    assert "No space left" in mount.last_error(BIG_PATH)
    assert os.listdir(os.path.join(home.cache, "content/temp")) == []
    assert mount.read("test/tiny/1.0.0.wasm") == CONTENTS["test:tiny", "1.0.0"]
    subprocess.run(["mount", "-o", "remount,size=80m", os.path.join(home.path, ".cache")], check=True)
    assert mount.read(BIG_PATH) == BIG_CONTENT


@needs_root
def test_disk_full_from_the_start(new_mount, liar, home, disk):
    """A mount with nothing at all to write to shows what there is."""
    disk("size=16k,nr_inodes=3")
    fill(os.path.join(home.path, ".cache", "full"))
    mount = new_mount(liar.url, home=home).expect("^wargfs: ")
    assert "page" in mount.list("test")
    assert mount.list("test/page")
    assert errno_of(mount.read, PATH) == "ENOSPC"
    os.unlink(os.path.join(home.path, ".cache", "full"))
    subprocess.run(["mount", "-o", "remount,size=80m,nr_inodes=1000", os.path.join(home.path, ".cache")], check=True)
    assert mount.read(PATH) == PAGE


@needs_root
def test_read_only(new_mount, liar, home, disk):
    """What is cached is read, from the first moment on; what is not fails with EROFS, until it can be written."""
    disk("size=80m")
    cache = os.path.join(home.path, ".cache")
    before = new_mount(liar.url, home=home)
    assert before.read(PATH) == PAGE
    subprocess.run(["mount", "-o", "remount,ro", cache], check=True)
    mount = new_mount(liar.url, home=home).expect("^wargfs: ")
    before.expect("^wargfs: ")
    for one in (before, mount):
        assert one.read(PATH) == PAGE
        assert errno_of(one.read, "test/tiny/1.0.0.wasm") == "EROFS"
        one.wait_for_log("Read-only file system")
    subprocess.run(["mount", "-o", "remount,rw", cache], check=True)
    for one in (before, mount):
        assert one.read("test/tiny/1.0.0.wasm") == CONTENTS["test:tiny", "1.0.0"]


@needs_root
def test_read_only_while_open(new_mount, liar, home, disk):
    """Who reads what has just come keeps nobody from making the disk read-only."""
    disk("size=80m")
    mount = new_mount(liar.url, home=home)
    with open(mount.at(PATH), "rb", buffering=0) as file:
        assert file.read(100) == PAGE[:100]
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        until(lambda: not subprocess.run(["mount", "-o", "remount,ro", os.path.join(home.path, ".cache")],
                                         capture_output=True).returncode, "the disk can be made read-only")
        assert file.read() == PAGE[100:]


@needs_root
def test_read_only_and_damaged(new_mount, liar, home, disk):
    """What is damaged and cannot be put right is not shown."""
    disk("size=80m")
    cache = os.path.join(home.path, ".cache")
    first = new_mount(liar.url, home=home)
    assert first.read(PATH) == PAGE
    first.end()
    overwritten(home.content_file(PAGE))
    subprocess.run(["mount", "-o", "remount,ro", cache], check=True)
    mount = new_mount(liar.url, home=home).expect("^wargfs: ")
    assert errno_of(mount.read, PATH) == "EROFS"


@needs_root
def test_read_only_and_empty(new_mount, liar, home, disk):
    """There need not even be folders."""
    disk("size=8m,ro")
    mount = new_mount(liar.url, home=home).expect("^wargfs: ")
    assert "page" in mount.list("test")
    assert errno_of(mount.read, PATH) == "EROFS"


@contextlib.contextmanager
def failing(mount, call, error):
    """Have a system call of the daemon's fail, whenever it is made."""
    tracer = subprocess.Popen([*programs.TIED, "strace", "-f", "-qq", "-o", os.devnull, "-p", str(mount.process.pid),
                               "-e", f"trace={call}", "-e", f"inject={call}:error={error}"])

    def is_traced():
        assert tracer.poll() is None, "strace ended"
        tasks = os.listdir(f"/proc/{mount.process.pid}/task")
        return all(re.search(r"TracerPid:\t[1-9]", read(f"/proc/{mount.process.pid}/task/{task}/status").decode())
                   for task in tasks)
    try:
        until(is_traced, "the daemon is traced")
        yield
    finally:
        tracer.send_signal(signal.SIGINT)
        tracer.wait()


FAILURES = (("fsync", "EIO"), ("fsync", "ENOSPC"), ("renameat", "EIO"), ("renameat", "ENOSPC"), ("renameat", "EROFS"),
            ("ftruncate", "EIO"))


@pytest.mark.parametrize("call, error", FAILURES, ids=[" ".join(row) for row in FAILURES])
def test_broken_disk(new_mount, liar, home, call, error):
    """What the disk refuses is told as it is, nothing is left behind, and all is well once it works again."""
    mount = new_mount(liar.url, home=home).expect("^wargfs: ")
    mount.list("test/page")
    with failing(mount, call, error):
        assert errno_of(mount.read, PATH) == error
    assert os.strerror(getattr(errno, error)) in mount.log
    assert os.listdir(os.path.join(home.cache, "content/temp")) == []
    assert not os.path.exists(home.content_file(PAGE))
    assert mount.read(PATH) == PAGE


def test_cached_file_that_cannot_be_read(new_mount, liar, home, cached):
    """A disk that does not give back what it was given is as good as a damaged file."""
    mount = new_mount(liar.url, home=home)
    mount.stat(PATH)
    liar.forget()
    with failing(mount, "pread64", "EIO"):
        file = open(mount.at(PATH), "rb", buffering=0)
        assert file.seek(0, os.SEEK_END) == len(PAGE)
    with file:
        file.seek(0)
        assert file.read() == PAGE
    assert liar.count("bytes") == 1
    assert read(cached) == PAGE


def test_no_locks(new_mount, liar, home):
    """A file system without locks."""
    mount = new_mount(liar.url, home=home).expect("No locks available")
    with failing(mount, "flock", "ENOLCK"):
        assert mount.read(PATH) == PAGE


# ---- Rights ----


@pytest.fixture
def ordinary(home):
    """A home whose programs have no right to pass over rights, as those of ordinary users."""
    rights = "-dac_override,-dac_read_search"
    without = ("setpriv", "--bounding-set", rights, "--inh-caps", rights, "--") if os.geteuid() == 0 else ()
    start = home.start
    home.start = lambda *command, **options: start(*without, *command, **options)
    return home


@pytest.mark.parametrize("evil", (unreadable, pytest.param(of_another, marks=needs_root)))
def test_no_right_to_read(new_mount, liar, ordinary, cached, evil):
    """A file that we may not read is replaced by one that we may."""
    evil(cached)
    mount = new_mount(liar.url, home=ordinary)
    assert mount.read(PATH) == PAGE
    assert read(cached) == PAGE


def test_no_right_to_write(new_mount, liar, ordinary):
    """Folders that may not be written to: what is cached is read, and what is not fails with EACCES."""
    mount = new_mount(liar.url, home=ordinary).expect("^wargfs: ")
    assert mount.read(PATH) == PAGE
    folders = [os.path.join(ordinary.cache, "content", name) for name in ("sha256", "temp")]
    for folder in folders:
        os.chmod(folder, 0o500)
    assert mount.read(PATH) == PAGE
    assert errno_of(mount.read, BIG_PATH) == "EACCES"
    for folder in folders:
        os.chmod(folder, 0)
    assert errno_of(mount.read, BIG_PATH) == "EACCES"
    for folder in folders:
        os.chmod(folder, 0o700)
    assert mount.read(BIG_PATH) == BIG_CONTENT
