# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""The tools with which people use components, on a mounted registry as they are: wasmtime, wkg, wac; and git, rsync,
tar, and what a file manager does, on a component of the size that real ones have.

`make users` (tests/reference/users) installs the tools and makes the component.
"""
import ctypes
import mmap
import os
import shutil
import subprocess

import pytest

import mounts
import programs
import registry
from mounts import errno_of, mounted_at, read
from waiting import until

USERS = os.environ.get("WARGFS_USERS") or os.path.expanduser("~/.cache/wargfs-users")
SOURCES = os.path.join(os.path.dirname(os.path.abspath(__file__)), "users")
WKG, WAC = (os.path.join(USERS, "bin", name) for name in ("wkg", "wac"))

assert os.path.exists(os.path.join(USERS, "made")), "these tests need what `make users` installs"
GREETER = read(os.path.join(USERS, "greeter.wasm"))
CALC = read(os.path.join(USERS, "calc.wasm"))

# The latest is neither the first nor the last that was released, and the greatest was yanked.
CONTENTS = {
    ("test:greeter", "0.9.0"): CALC,
    ("test:greeter", "1.0.0"): GREETER,
    ("test:greeter", "1.1.0"): CALC + b"\0\2\1x",
    ("test:calc", "0.2.0"): CALC,
    ("test:calc", "0.1.0"): CALC,
}
RELEASES = {registry.path_of(*pair): content for pair, content in CONTENTS.items() if pair[1] != "1.1.0"}
LINKS = {"test/greeter/latest.wasm": "1.0.0.wasm", "test/calc/latest.wasm": "0.2.0.wasm"}


@pytest.fixture(scope="module")
def server(everything):
    """A registry of its own, filled by the reference's client."""
    server = programs.HomeServer(programs.Home(os.path.join(everything, "users-server")))
    publisher = programs.Home(os.path.join(everything, "users-publisher")).configure(server.url)
    try:
        server.wait_for_length(1)
        registry.publish_record(publisher, "test:greeter", ("init", "0.9.0", "1.1.0", "1.0.0"), CONTENTS)
        registry.publish_record(publisher, "test:calc", ("init", "0.2.0", "0.1.0"), CONTENTS)
        server.wait_for_length(3)
        registry.publish_record(publisher, "test:greeter", ("yank 1.1.0",), CONTENTS)
        server.wait_for_length(4)
        yield server
    finally:
        server.end()


@pytest.fixture(scope="module")
def place(everything, server):
    """The mount. Whatever people do to it, its daemon has nothing to complain of."""
    with mounts.standing(everything, "users", server.url) as mount:
        yield mount


def run_component(home, path, *calls):
    """What functions of a component return, in wasmtime."""
    home.environment["PYTHONPATH"] = os.path.join(USERS, "python")
    return home.run("/usr/bin/python3", os.path.join(SOURCES, "run.py"), path, *calls, seconds=120).stdout.splitlines()


def walk(home, *command):
    """A program that must find nothing to complain of."""
    done = home.run(*command)
    assert done.stderr == ""
    return done.stdout


# ---- Tools of components ----


def test_the_component(place):
    """It is of the size that JavaScript has as a component."""
    assert 10_000_000 < len(GREETER) < 13_000_000
    assert place.stat("test/greeter/1.0.0.wasm").st_size == len(GREETER)
    assert place.read("test/greeter/latest.wasm") == GREETER


def test_wasmtime(home, place):
    """Run straight from its path in the mount."""
    told = run_component(home, place.at("test/greeter/1.0.0.wasm"), "greet=reader", "twice=21")
    assert told == ["Hello, reader!", "42"]


@pytest.mark.parametrize("package, path", (
    ("test:greeter@1.0.0", "test/greeter/1.0.0.wasm"), ("test:greeter@0.9.0", "test/greeter/0.9.0.wasm"),
    ("test:greeter", "test/greeter/1.0.0.wasm"), ("test:calc", "test/calc/0.2.0.wasm"),
    ("test:greeter@1.1.0", None), ("test:nobody", None), ("nobody:nothing@1.0.0", None),
))
def test_wkg(home, place, package, path):
    """wkg takes the mount for its registry on the local disk. Without a version it takes the greatest, not yanked."""
    with open(os.path.join(home.work, "wkg.toml"), "w") as file:
        file.write(f'[namespace_registries]\ntest = "local.test"\nnobody = "local.test"\n\n'
                   f'[registry."local.test"]\ntype = "local"\n\n[registry."local.test".local]\nroot = "{place.path}"\n')
    command = WKG, "get", "--config", "wkg.toml", "--cache", "wkg-cache", "-o", "./out.wasm", package
    done = home.run(*command, status=0 if path else 1)
    if path:
        assert read(os.path.join(home.work, "out.wasm")) == RELEASES[path], done.stderr


@pytest.mark.parametrize("option, said", [("--public-url", 'unknown backend type "warg"'),
                                          ("--content-base-url", "error sending request")])
def test_wkg_discovery(serve, home, option, said):
    """wkg reads what the registry says of itself, without a warning; then it misses Warg, which it does not speak, or
    asks for OCI, as it does by itself."""
    server = serve()
    server.terminate()
    server.more = option, server.url, "--listen", "%s:%d" % server.address
    server.start()
    home.environment.update(RUST_LOG="warn")
    done = home.run(WKG, "get", "--cache", "wkg-cache", "--registry", "%s:%d" % server.address, "test:a@1.0.0",
                    status=1)
    assert "registry metadata" not in done.stderr and said in done.stderr, done.stderr


COMPOSITION = """package test:composition;

let greeter = new test:greeter%s { ... };
let calc = new test:calc%s { twice: greeter.twice };

export calc.four-times;
export greeter.greet;
"""


def test_wac(home, place):
    """wac takes the mount for its folder of dependencies: with versions, and by /.latest without."""
    for name, versions, folder in (("with", ("@1.0.0", "@0.1.0"), "."), ("without", ("", ""), ".latest")):
        with open(os.path.join(home.work, f"{name}.wac"), "w") as file:
            file.write(COMPOSITION % versions)
        walk(home, WAC, "compose", "--deps-dir", place.at(folder), f"{name}.wac", "-o", f"{name}.wasm")
    composed = os.path.join(home.work, "with.wasm")
    assert len(read(composed)) > len(GREETER) and read(composed) == read(os.path.join(home.work, "without.wasm"))
    assert run_component(home, composed, "four-times=3", "greet=composer") == ["12", "Hello, composer!"]


@pytest.mark.parametrize("version", ("@1.1.0", "@7.0.0"))
def test_wac_absent(home, place, version):
    """What was yanked, and what never was."""
    with open(os.path.join(home.work, "x.wac"), "w") as file:
        file.write(COMPOSITION % (version, "@0.1.0"))
    done = home.run(WAC, "compose", "--deps-dir", place.path, "x.wac", "-o", "x.wasm", status=1)
    assert f"test:greeter{version}" in done.stderr


# ---- Tools of files ----


@pytest.fixture
def copy(home, place):
    """The tree, copied with all that it has."""
    path = os.path.join(home.work, "copy")
    walk(home, "cp", "-a", place.at("test"), path)
    return path


def test_copy(home, place, copy):
    """Bytes, links, times and attributes come along."""
    for path, content in RELEASES.items():
        its = os.path.join(copy, path.removeprefix("test/"))
        assert read(its) == content
        assert os.stat(its).st_mtime_ns == place.stat(path).st_mtime_ns
        assert os.getxattr(its, "user.warg.digest") == os.getxattr(place.at(path), "user.warg.digest")
    for path, target in LINKS.items():
        assert os.readlink(os.path.join(copy, path.removeprefix("test/"))) == target
    walk(home, "diff", "-r", place.at("test"), copy)


def test_rsync(home, place):
    """What is there already is seen to be the same, by its times and by its bytes; a copy that was spoilt is mended."""
    walk(home, "rsync", "-aX", place.at("test/"), "synced")
    assert walk(home, "rsync", "-aXi", place.at("test/"), "synced") == ""
    assert walk(home, "rsync", "-aXci", place.at("test/"), "synced") == ""
    with open(os.path.join(home.work, "synced/greeter/1.0.0.wasm"), "r+b") as file:
        file.write(b"spoilt")
    told = walk(home, "rsync", "-ai", "--inplace", "--no-whole-file", place.at("test/"), "synced")
    assert "greeter/1.0.0.wasm" in told
    walk(home, "diff", "-r", place.at("test"), "synced")


def test_tar(home, place, copy):
    """Archived with attributes, unpacked elsewhere, compared with what is there."""
    walk(home, "tar", "--xattrs", "-C", place.path, "-cf", "all.tar", "test")
    os.mkdir(os.path.join(home.work, "unpacked"))
    walk(home, "tar", "--xattrs", "--xattrs-include=user.*", "-C", "unpacked", "-xf", "all.tar")
    walk(home, "diff", "-r", "unpacked/test", copy)
    walk(home, "tar", "-C", place.path, "-df", "all.tar")


def test_git(home, place, copy):
    """A copy is added and committed; the mount itself does as a work tree, and git finds nothing to do in it then."""
    def git(*words):
        return walk(home, "git", "--git-dir=git", "-c", "user.name=x", "-c", "user.email=x@localhost", *words)
    walk(home, "git", "init", "-q", "--bare", "git")
    there = f"--work-tree={place.path}"
    untracked = git(there, "status", "--porcelain", "-uall").splitlines()
    assert sorted(untracked) == sorted(f"?? {path}" for path in [*RELEASES, *LINKS])
    shutil.copytree(copy, os.path.join(home.work, "tree/test"), symlinks=True)
    git("--work-tree=tree", "add", "-A")
    git("--work-tree=tree", "commit", "-q", "-m", "x")
    # git compares what it committed with what the mount shows.
    assert git(there, "status", "--porcelain") == "" == git(there, "diff")
    git(there, "add", "-A")
    assert git(there, "status", "--porcelain") == ""


def test_attributes(home, place):
    told = walk(home, "getfattr", "-d", "--absolute-names", place.at("test/greeter/1.0.0.wasm"))
    assert 'user.warg.digest="sha256:' in told and "user.warg.released_at=" in told
    walk(home, "getfattr", "-R", "-d", "--absolute-names", place.path)


def test_search(home, place):
    """Everything is read, and found once: by grep, and by its type, as by a desktop's index."""
    found = walk(home, "grep", "-rl", "Hello, ", place.at("test")).splitlines()
    assert found == [place.at("test/greeter/1.0.0.wasm")]
    found = walk(home, "find", place.path, "-name", "*.wasm", "-size", "+10M").splitlines()
    assert found == [place.at("test/greeter/1.0.0.wasm")]
    sizes = walk(home, "du", "-ab", place.at("test")).splitlines()
    assert f"{len(GREETER)}\t{place.at('test/greeter/1.0.0.wasm')}" in sizes
    blocks = int(walk(home, "du", "-s", "--block-size=1", place.path).split()[0])
    assert sum(map(len, RELEASES.values())) <= blocks < 2 * sum(map(len, RELEASES.values()))


READ_AHEAD = {
    "posix_fadvise": lambda file, size: os.posix_fadvise(file, 0, 0, os.POSIX_FADV_WILLNEED),
    "sequential": lambda file, size: os.posix_fadvise(file, 0, 0, os.POSIX_FADV_SEQUENTIAL),
    "random": lambda file, size: os.posix_fadvise(file, 0, 0, os.POSIX_FADV_RANDOM),
    "no reuse": lambda file, size: os.posix_fadvise(file, 0, 0, os.POSIX_FADV_DONTNEED),
    "readahead": lambda file, size: ctypes.CDLL(None, use_errno=True).readahead(
        file, ctypes.c_long(0), ctypes.c_size_t(size)),
    "past the end": lambda file, size: ctypes.CDLL(None, use_errno=True).readahead(
        file, ctypes.c_long(size - 1), ctypes.c_size_t(1 << 40)),
}


@pytest.mark.parametrize("ahead", READ_AHEAD)
def test_read_ahead(place, ahead):
    """As file managers and players do: hints, then the first and last bytes, then all by a map."""
    path = place.at("test/greeter/1.0.0.wasm")
    with open(path, "rb") as file:
        size = os.fstat(file.fileno()).st_size
        assert not READ_AHEAD[ahead](file.fileno(), size)
        assert os.pread(file.fileno(), 4096, 0) == GREETER[:4096]
        assert os.pread(file.fileno(), 4096, size - 100) == GREETER[-100:]
        with mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ) as all_of_it:
            all_of_it.madvise(mmap.MADV_WILLNEED)
            assert all_of_it[:] == GREETER
            all_of_it.madvise(mmap.MADV_DONTNEED)
            assert all_of_it[size // 2:size // 2 + 10] == GREETER[size // 2:size // 2 + 10]


def test_cold_map(home, server, folder):
    """A map is the first that touches a content: what it shows has been proven, and all of it is there."""
    mount = mounts.Mount(home, server.url, os.path.join(folder, "cold")).wait()
    try:
        with open(mount.at("test/greeter/1.0.0.wasm"), "rb") as file, \
                mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ) as all_of_it:
            assert all_of_it[-1000:] == GREETER[-1000:] and all_of_it[:] == GREETER
        mount.end()
    finally:
        mount.abandon()


def test_file_manager(home, place):
    """What one looks for in every folder is absent, and what it tries to leave there is refused; neither is a surprise
    to the daemon."""
    for folder in "", "test", "test/greeter", ".latest", ".latest/test":
        for name in (".hidden", ".directory", ".Trash", f".Trash-{os.getuid()}", ".DS_Store", "Thumbs.db", ".git",
                     "desktop.ini", ".nomedia", "autorun.inf", ".xdg-volume-info", "._x", "lost+found", "a" * 255,
                     "a" * 256):
            assert errno_of(os.lstat, place.at(folder, name)) == "ENOENT", (folder, name)
            assert errno_of(os.mkdir, place.at(folder, name)) == "EROFS", (folder, name)
    assert errno_of(os.open, place.at("test/greeter/1.0.0.wasm"), os.O_RDWR) == "EROFS"
    walk(home, "stat", "-f", place.path)
    walk(home, "df", place.path)
    assert mounted_at(place.path)
    with open(place.at("test/greeter/1.0.0.wasm"), "rb") as file:
        done = subprocess.run(["file", "-b", "-"], stdin=file, capture_output=True, text=True, check=True)
    assert "WebAssembly" in done.stdout


# ---- To publish ----


def test_wkg_publish(folder, new_home, new_mount):
    """wkg takes a mount for its registry on the local disk, and publishes to it. It does not look at what close() says,
    nor wait for it: so it is looked for here."""
    server = programs.HomeServer(new_home())
    try:
        server.wait_for_length(1)
        home = new_home().configure(server.url)
        place = new_mount(server.url, "rw", home=home)
        with open(os.path.join(home.work, "local.toml"), "w") as file:
            file.write('[namespace_registries]\ntest = "local.test"\n\n[registry."local.test"]\ntype = "local"\n\n'
                       f'[registry."local.test".local]\nroot = "{place.path}"\n')
        os.mkdir(os.path.join(home.work, "wit"))
        with open(os.path.join(home.work, "wit/x.wit"), "w") as file:
            file.write("package test:words@0.1.0;\ninterface x { f: func(); }\n")
        os.mkdir(place.at("test/words"))
        home.run(WKG, "build", "--config", "local.toml", "--cache", "wkg-cache", "-o", "x.wasm")
        home.run(WKG, "publish", "--config", "local.toml", "--cache", "wkg-cache", "x.wasm")
        until(lambda: place.list("test/words") == ["0.1.0.wasm", "latest.wasm"], "it is published")
        assert place.read("test/words/0.1.0.wasm") == read(os.path.join(home.work, "x.wasm"))
        place.end()
    finally:
        server.end()
