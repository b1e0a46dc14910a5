# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""What the kernel takes for a file's size: claimed before there is a byte, and never the end of what is read."""
import contextlib
import os
import re
import shutil
import subprocess
import sys
import threading

import pytest

from liar import silent, travels
from mounts import errno_of, read
from registry import BIG, CONTENTS, PACKAGES
from waiting import until

FILE = "test/hello/1.1.0+build.7.wasm"
BYTES = CONTENTS["test:hello", "1.1.0+build.7"]
SIZE = len(BYTES)
CLAIMS = (0, 1, 4096, 5000, SIZE - 1, SIZE + 1, SIZE + 5000, 1 << 20, 4 << 30)
MAPPED = "import mmap, os, sys; sys.stdout.buffer.write(mmap.mmap(os.open(sys.argv[1], os.O_RDONLY), 0, access=1)[:])"


def claims(size):
    def mutation(answer):
        answer.headers = {"content-length": str(size)}
    return mutation


@contextlib.contextmanager
def opened(path):
    fd = os.open(path, os.O_RDONLY)
    try:
        yield fd
    finally:
        os.close(fd)


# ---- Programs that read ----


def by_read(path, _):
    with opened(path) as fd:
        return b"".join(iter(lambda: os.read(fd, 3000), b""))


def by_pread(path, _):
    """From behind: what is beyond a claim is asked for first."""
    with opened(path) as fd:
        pieces = [os.pread(fd, 7000, at) for at in reversed(range(0, SIZE, 7000))]
        assert os.pread(fd, 100, SIZE) == b""
        return b"".join(reversed(pieces))


def by_seeking(path, _):
    with opened(path) as fd:
        end = os.lseek(fd, 0, os.SEEK_END)
        os.lseek(fd, 0, os.SEEK_SET)
        return os.read(fd, end)


def by_python(path, _):
    return read(path)


def by_cp(path, to):
    subprocess.run(["cp", path, to], check=True, stderr=subprocess.DEVNULL)
    return read(to)


def by_cat(path, _):
    return subprocess.run(["cat", path], check=True, capture_output=True).stdout


def by_mmap(path, _):
    return subprocess.run([sys.executable, "-c", MAPPED, path], check=True, capture_output=True).stdout


def by_copyfile(path, to):
    shutil.copyfile(path, to)
    return read(to)


def by_sendfile(path, to):
    """Asks for no attributes."""
    with opened(path) as fd, open(to, "wb", buffering=0) as out:
        while os.sendfile(out.fileno(), fd, None, 50000):
            pass
    return read(to)


THAT_READ = (by_read, by_pread, by_seeking, by_python, by_cp, by_cat)
THAT_DO_NOT = (by_mmap, by_copyfile, by_sendfile)


def attempt(reader, path, to):
    """What it got, or None if that failed with EIO, or a signal."""
    try:
        return reader(path, to)
    except subprocess.CalledProcessError:
        return None
    except OSError as error:
        assert "Input/output error" in str(error)
        return None


@pytest.fixture
def to(folder):
    return os.path.join(folder, "copy")


@pytest.fixture
def doubtful(new_mount, liar):
    """A mount of a registry that claims sizes."""
    def make(claim):
        liar.lie("size", claims(claim))
        return new_mount(liar.url).expect("^wargfs: .*claimed to have")
    return make


# ---- Claims ----


@pytest.mark.reference("ours tells sizes without being asked")
@pytest.mark.parametrize("reader", THAT_READ)
@pytest.mark.parametrize("claim", CLAIMS)
def test_reading(doubtful, to, claim, reader):
    """Who reads gets all there is at once, though stat() told something else."""
    mount = doubtful(claim)
    assert mount.stat(FILE).st_size == (claim or SIZE)
    assert reader(mount.at(FILE), to) == BYTES
    assert mount.stat(FILE).st_size == SIZE
    assert mount.last_error(FILE) == ""


@pytest.mark.reference("ours tells sizes without being asked")
@pytest.mark.parametrize("reader", THAT_DO_NOT)
@pytest.mark.parametrize("claim", CLAIMS)
def test_without_asking(doubtful, to, claim, reader):
    """Where the kernel goes by the claim, the first try gets all, or fails; who looks again gets all."""
    mount = doubtful(claim)
    assert mount.stat(FILE).st_size == (claim or SIZE)
    got = attempt(reader, mount.at(FILE), to)
    assert got in (None, BYTES)
    if got is None:
        assert f"claimed to have {claim} bytes, and has {SIZE}" in mount.last_error(FILE)
    assert mount.stat(FILE).st_size == SIZE
    assert reader(mount.at(FILE), to) == BYTES
    assert mount.last_error(FILE) == ""


@travels
def untold(exchange, answer):
    exchange.begin(answer, None)


@pytest.mark.parametrize("claim", (None, 0, 1, SIZE - 1, SIZE + 1, 4 << 30, (4 << 30) + 1, 2 ** 62))
def test_of_a_source(doubtful, new_home, liar, to, claim):
    """Whatever size the registry or the source claims, bytes with the digest are accepted."""
    def say(answer):
        said = answer.json
        for sources in said["contentSources"].values():
            for source in sources:
                source.pop("size", None)
                source.update({} if claim is None else {"size": claim})
        answer.json = said
    liar.lie("sources", say)
    mount = doubtful(claim)
    if claim is None:
        liar.lie("size", untold)
    told = mount.stat(FILE).st_size
    assert told == (claim if claim and claim <= 4 << 30 else SIZE)
    assert by_cp(mount.at(FILE), to) == BYTES
    assert mount.stat(FILE).st_size == SIZE
    mount.end()
    new_home().wargfs("download", "test:hello", "--registry", liar.url, "-o", to)
    assert read(to) == BYTES


@pytest.mark.parametrize("reader", THAT_READ + THAT_DO_NOT)
@pytest.mark.parametrize("claim", (1, 4096, SIZE - 1, SIZE + 1, 1 << 20))
def test_just_listed(doubtful, to, claim, reader):
    """For a moment the kernel goes by what was listed. The end of a claim is not taken for the end by who begins
    at the beginning."""
    mount = doubtful(claim)
    mount.stat(FILE)
    subprocess.run(["ls", "-l", mount.at("test/hello")], check=True, capture_output=True)
    got = attempt(reader, mount.at(FILE), to)
    assert got in (None, BYTES) or (reader is by_pread and claim < SIZE)
    until(lambda: attempt(by_read, mount.at(FILE), to) == BYTES, "it is asked again")
    assert mount.stat(FILE).st_size == SIZE


@pytest.mark.parametrize("reader", THAT_READ + (by_copyfile, by_sendfile))
def test_unknown(new_mount, liar, to, reader):
    """Nobody has told a size yet."""
    mount = new_mount(liar.url)
    assert reader(mount.at(FILE), to) == BYTES
    assert reader(mount.at(FILE), to) == BYTES
    assert mount.stat(FILE).st_size == SIZE


def test_small_and_page(new_mount, liar, to):
    """The end of the only page, without a size."""
    mount = new_mount(liar.url)
    for package, version in (("hello", "0.9.0"), ("page", "1.0.0"), ("tiny", "1.0.0")):
        path = mount.at("test", package, version + ".wasm")
        assert by_sendfile(path, to) == CONTENTS[f"test:{package}", version]


@pytest.mark.parametrize("claim", (None, 5000, SIZE + 1))
def test_beside_others(new_mount, liar, folder, claim):
    """Others list and look while it is read: no end that is none is seen by anybody."""
    if claim:
        liar.lie("size", claims(claim))
    over = threading.Event()
    mount = new_mount(liar.url).expect("^wargfs: .*claimed to have")

    def look():
        while not over.is_set():
            for name in os.listdir(mount.at("test/hello")):
                with contextlib.suppress(OSError):
                    os.stat(mount.at("test/hello", name))
    lookers = [threading.Thread(target=look) for _ in range(3)]
    for looker in lookers:
        looker.start()
    try:
        for number in range(8):
            for reader in (by_read, by_sendfile, by_pread):
                got = attempt(reader, mount.at(FILE), os.path.join(folder, f"copy{number}"))
                assert got in (None, BYTES) or (reader is by_pread and claim == 5000)
    finally:
        over.set()
        for looker in lookers:
            looker.join()
    assert by_read(mount.at(FILE), folder) == BYTES


# ---- What is not downloaded ----


def test_looking_downloads_nothing(new_mount, liar):
    mount = new_mount(liar.url)
    subprocess.run(["ls", "-lR", mount.path], check=True, capture_output=True)
    subprocess.run(["find", mount.path, "-size", "+1"], check=True, capture_output=True)
    subprocess.run(["du", "-a", mount.path], check=True, capture_output=True)
    with opened(mount.at(FILE)) as fd:
        assert os.fstat(fd).st_size == SIZE
    assert liar.count("bytes") == 0


def test_opening_succeeds(new_mount, liar):
    """Whether it can be had shows where it is read; not a byte of it is made up."""
    mount = new_mount(liar.url, "timeout=20").expect("^wargfs: ")
    mount.stat(FILE)
    liar.close()
    with opened(mount.at(FILE)) as fd:
        assert os.fstat(fd).st_size == SIZE
        for _ in range(2):
            assert errno_of(os.read, fd, 100) == "EHOSTUNREACH"
        assert errno_of(os.pread, fd, 100, SIZE + 10000) == "EHOSTUNREACH"
        assert mount.last_error(FILE)
        liar.open()
        assert os.read(fd, SIZE) == BYTES
    assert mount.last_error(FILE) == ""


# ---- Messages ----


def requests(mount):
    text = mount.read(".warg/metrics").decode()
    return {name: int(count) for name, count in re.findall(r'requests_total\{operation="(\w+)"\} (\d+)', text)}


TIMES = 100


def test_warm(new_mount, server):
    """To open, read and close what was read before costs no message."""
    mount = new_mount(server.url, "refresh=0")
    for _ in range(2):
        assert mount.read(FILE) == BYTES
        requests(mount)
    before = requests(mount)
    idle = {name: count - before[name] for name, count in requests(mount).items()}
    before = requests(mount)
    for _ in range(TIMES):
        with opened(mount.at(FILE)) as fd:
            assert os.read(fd, SIZE + 1) == BYTES
    after = {name: count - before[name] for name, count in requests(mount).items()}
    # Other programs of this machine look at each mount now and then, `wargfs status` of other tests say.
    assert all(count < idle[name] + TIMES for name, count in after.items()), after
    assert before["open"] == 1


@pytest.mark.parametrize("path", (FILE, ".warg/status", "test/regret/.yanked/1.1.0"))
@pytest.mark.parametrize("flags", (os.O_WRONLY, os.O_RDWR, os.O_WRONLY | os.O_TRUNC, os.O_RDWR | os.O_APPEND))
def test_writing(shared, path, flags):
    """The kernel refuses it by itself, before and after it learned that it need not ask for opening."""
    shared.list("test/regret")
    assert errno_of(os.open, shared.at(path), flags) == "EROFS"
    shared.read(path)
    assert errno_of(os.open, shared.at(path), flags) == "EROFS"


# ---- Documents ----


def test_document_without_asking(new_mount, server, to):
    """Nobody asks for its size."""
    mount = new_mount(server.url, "refresh=0")
    mount.list("test/regret")
    for path in (".warg/status", ".warg/metrics", ".warg/log/test/regret.json", "test/regret/.yanked/1.1.0",
                 ".warg/proof/test/regret/1.0.0.json"):
        told = by_sendfile(mount.at(path), to)
        assert told.endswith(b"\n") and b"\0" not in told


def test_documents_beside_each_other(new_mount, server):
    """Each who opens one has a text of his own, however long, and the same file of the same place."""
    mount = new_mount(server.url, "refresh=0")
    path, first = mount.at(".warg/metrics"), None
    number = os.stat(path).st_ino
    with contextlib.ExitStack() as stack:
        fds = []
        for name in PACKAGES:
            fd = stack.enter_context(opened(path))
            told = os.fstat(fd)
            assert told.st_ino == number
            fds.append((fd, told.st_size, os.read(fd, 1 << 20)))
            mount.list(name.replace(":", "/"))
        for fd, size, text in fds:
            assert len(text) == size == os.fstat(fd).st_size
            assert os.pread(fd, 1 << 20, 0) == text
            first = first or text
        assert fds[-1][2] != first
    assert {entry.name: entry.inode() for entry in os.scandir(mount.at(".warg"))}["metrics"] == number


# ---- Those who wait beside those who need not ----

WAITING = 48
FROM = "import os, sys; os.sendfile(1, os.open(sys.argv[1], os.O_RDONLY), int(sys.argv[2]), 4096)"


def test_nobody_waits_for_those_who_wait(new_mount, liar):
    """While many reads wait for a download, cached contents that the kernel does not hold can be read."""
    mount = new_mount(liar.url, "timeout=600")
    big = mount.at("test/big/1.0.0.wasm")
    assert mount.read(FILE) == BYTES
    with opened(mount.at(FILE)) as fd:
        os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
    mount.stat("test/big/1.0.0.wasm")
    liar.lie("bytes", silent)
    readers = [subprocess.Popen([sys.executable, "-c", FROM, big, str(number * (BIG // WAITING))],
                                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) for number in range(WAITING)]
    try:
        for reader in readers:
            until(lambda: "folio" in read(f"/proc/{reader.pid}/wchan").decode() or reader.poll() is not None,
                  lambda: f"it waits: {read(f'/proc/{reader.pid}/wchan')}")
            assert reader.poll() is None
        assert liar.count("bytes") == 2
        done = subprocess.run(["cat", mount.at(FILE)], capture_output=True, timeout=30)
        assert done.stdout == BYTES
    finally:
        for reader in readers:
            reader.kill()
            reader.wait()
        liar.be_honest()
        liar.hang_up()
        mount.expect("^wargfs: ")
