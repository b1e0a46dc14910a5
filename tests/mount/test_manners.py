# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Inherited state and odd input of daemons and commands: names of any bytes, descriptors, limits, signals."""
import contextlib
import fcntl
import json
import os
import re
import socket
import subprocess

import pytest

import forge
import mounts
import programs
from registry import wasm
from test_local import servers_of
from waiting import until

# A byte that is not UTF-8, and how it is shown.
ODD, SHOWN = os.fsdecode(b"odd\xff"), "odd\\xff"


@pytest.fixture
def local(folder):
    """The words that mount a local registry. Waits for the end of its server; mounts have to end before."""
    path = os.path.join(folder, "registry")
    yield "--local", path
    until(lambda: not servers_of(path), "the server ends with its last mount")


@pytest.mark.parametrize("name", [b"bad\xff", b"cut\xc3", b"\xc2\x9b2J", b"\xe2\x80\xaegpj", b"new\nline"])
def test_drafts_have_names_that_can_be_shown(local, new_mount, home, name):
    """Creating such a name fails with EILSEQ, by every system call; other names work."""
    mount = new_mount(None, words=local, home=home)
    package = os.fsencode(mount.at("local", "p"))
    os.mkdir(package)
    path = os.path.join(package, name)
    fine = os.path.join(package, "fine\u00e9".encode())
    with open(fine, "wb") as file:
        file.write(b"x")
    assert mounts.errno_of(open, path, "wb") == "EILSEQ"
    assert mounts.errno_of(os.rename, fine, path) == "EILSEQ"
    mount.wait_for_log("^wargfs: local/p: .*: a name is UTF-8, and all its characters can be shown$")
    assert not os.path.exists(path)
    listed = json.loads(home.wargfs("publish", "list", "--registry", ":".join(("local", local[1])), "--json").stdout)
    assert [file["file"] for file in listed["files"]] == ["fine\u00e9"]


def test_drafts_of_before(local, new_mount, home):
    """A file with such a name of an older version hides no other, and the terminal gets no control characters."""
    mount = new_mount(None, words=local, home=home)
    os.mkdir(mount.at("local", "p"))
    with open(mount.at("local", "p", "draft"), "wb") as file:
        file.write(b"x")
    (found,) = [os.path.join(at, "draft") for at, _, files in os.walk(os.path.join(home.path, ".local/state"))
                if "draft" in files]
    os.rename(found, found + os.fsdecode(b"\xff\xc2\x9b"))
    words = "publish", "list", "--registry", ":".join(("local", local[1]))
    assert "not published: draft\\xff\\xc2\\x9b of" in home.wargfs(*words).stdout
    said = home.wargfs(*words, "--json").stdout
    assert said.isascii()
    assert [file["file"] for file in json.loads(said)["files"]] == ["draft\\xff\\xc2\\x9b"]


def test_mountpoint_of_any_bytes(local, home, folder):
    """mount, status and .warg/status show such a mount point in JSON, and status finds its daemon."""
    path = os.path.join(folder, ODD)
    os.mkdir(path)
    done = home.wargfs("mount", "--json", *local, path)
    try:
        assert json.loads(done.stdout)["mountpoint"] == os.path.join(folder, SHOWN)
        with open(os.path.join(path, ".warg/status")) as file:
            assert json.load(file)["mountpoint"] == os.path.join(folder, SHOWN)
        assert json.loads(home.wargfs("status", path, "--json").stdout)["mountpoint"] == os.path.join(folder, SHOWN)
        assert f"mountpoint   {os.path.join(folder, SHOWN)}\n" in home.wargfs("status", path).stdout
    finally:
        mounts.unmount_by_force(path)


def test_daemon_that_answers_nothing(home):
    """The fault blames this machine, not a registry."""
    folder = os.path.join(home.runtime, "wargfs")
    os.mkdir(folder, 0o700)
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(os.path.join(folder, "1.sock"))
        listening.listen()
        asking = home.start(programs.WARGFS, "status", stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        listening.accept()[0].close()
        said = asking.communicate()[1]
    assert asking.returncode == 1 and said.startswith("wargfs status: the mount of process 1: "), said


@pytest.mark.parametrize("words, said", [
    (("config", "--registry", "http://127.0.0.1:1/", "--content-dir", "/tmp/" + ODD), "UTF-8"),
    ((ODD,), f"'{SHOWN}'"),
    (("ls", "\x1b[2J"), "\\x1b[2J"),
])
def test_words_of_any_bytes(home, words, said):
    done = home.wargfs(*words, status=None)
    assert done.returncode in (1, 2) and said in done.stderr and "memory" not in done.stderr, done.stderr
    assert not os.path.exists(home.config)


def test_folders_of_any_bytes(local, new_mount, home, folder):
    """A home with such a name works, and is shown escaped; so does the folder of a local registry."""
    home.environment["XDG_CACHE_HOME"] = os.path.join(folder, ODD)
    registry = os.path.join(folder, ODD + "registry")
    os.symlink(local[1], registry)
    os.mkdir(local[1], 0o700)
    mount = new_mount(None, words=("--local", registry), home=home)
    os.mkdir(mount.at("local", "p"))
    with open(mount.at("local", "p", "1.0.0.wasm"), "wb") as file:
        file.write(wasm(100, 1))
    words = "download", "local:p", "--registry", "local:" + registry
    assert SHOWN in json.loads(home.wargfs(*words, "--json").stdout)["cached"]


# ---- Inherited descriptors ----

@contextlib.contextmanager
def in_background(home, folder, *words, before=""):
    """`wargfs mount` from a shell, with more shell text before or after it; ends with its mount."""
    path = os.path.join(folder, "mount")
    os.makedirs(path, exist_ok=True)
    script = f"{before}\"$@\" {words[-1]}"
    done = home.run("sh", "-c", script, "sh", programs.WARGFS, "mount", *words[:-1], path, stderr=subprocess.PIPE,
                    stdout=subprocess.PIPE, capture_output=False, status=None)
    try:
        yield path, done
    finally:
        mounts.unmount_by_force(path)


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_started_with_closed_descriptors(local, home, folder, closed):
    """As by cron and at, with closed descriptors: the mount and its server work."""
    with in_background(home, folder, *local, closed) as (path, done):
        assert done.returncode == 0 and mounts.mounted_at(path)
        os.mkdir(os.path.join(path, "local/p"))
        with open(os.path.join(path, "local/p/1.0.0.wasm"), "wb") as file:
            file.write(wasm(100, 1))
    assert home.wargfs("ls", "local:p", "--registry", "local:" + local[1]).stdout == "1.0.0\n"


def test_nothing_inherited_is_kept(local, home, folder):
    """A lock that the shell held is free when the shell ends, although mount and server run on."""
    lock = os.path.join(folder, "lock")
    with in_background(home, folder, *local, "", before=f"exec 7>{lock} 8>{lock} 9>{lock}; flock 9; ") as (path, done):
        assert done.returncode == 0 and mounts.mounted_at(path) and servers_of(local[1])
        with open(lock) as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def test_server_keeps_what_is_for_it(home, folder):
    """A token may be read from /dev/fd/N: such files are read before inherited descriptors are closed."""
    ours, its = os.pipe()
    other = os.open(folder, os.O_RDONLY)
    os.write(its, b"sesame")
    os.close(its)
    log = os.path.join(folder, "log")
    with open(log, "w") as output:
        server = subprocess.Popen(
            [*programs.TIED, programs.WARGFS, "serve", "--data", os.path.join(folder, "data"), "--namespace", "test",
             "--listen", "127.0.0.1:0", "--auth-token-file", f"/dev/fd/{ours}"], env=home.environment,
            stdin=subprocess.DEVNULL, stdout=output, stderr=output, pass_fds=(ours, other))
    try:
        until(lambda: "records" in mounts.read(log).decode() or server.poll() is not None, "the server listens")
        assert server.poll() is None, mounts.read(log)
        held = {os.readlink(f"/proc/{server.pid}/fd/{fd}") for fd in os.listdir(f"/proc/{server.pid}/fd")}
        assert not held & {folder, os.readlink(f"/proc/self/fd/{ours}")}
    finally:
        os.close(ours)
        os.close(other)
        server.terminate()
        assert server.wait(30) == 0


# ---- Limits and signals of the starter ----

BIG = wasm(600000, 7)


def test_small_file_limit(local, home, folder):
    """A low limit is reported and ends no process; only the operation that exceeds it fails."""
    with in_background(home, folder, *local, "", before="ulimit -f 500; ") as (path, done):
        assert done.returncode == 0 and b"limited to 256000: " in done.stderr.encode(), done.stderr
        os.mkdir(os.path.join(path, "local/p"))
        for name, content, error in (("1.0.0.wasm", BIG, "EFBIG"), ("2.0.0.wasm", wasm(100, 1), None)):
            assert mounts.errno_of(write_file, os.path.join(path, "local/p", name), content) == error
        assert os.listdir(os.path.join(path, "local/p")).count("2.0.0.wasm") == 1
        big = write_file(os.path.join(folder, "big.wasm"), BIG)
        words = "publish", "release", "-n", "local:p", "-v", "3.0.0", big, "--registry", "local:" + local[1]
        done = home.run("prlimit", "--fsize=256000", programs.WARGFS, *words, status=1)
        assert "File too large" in done.stderr


def write_file(path, content):
    with open(path, "wb") as file:
        file.write(content)
    return path


def test_signals_of_the_starter(local, home, folder):
    """Signals that the starter blocked or ignored still end the mount."""
    path = os.path.join(folder, "mount")
    os.mkdir(path)
    words = programs.WARGFS, "mount", "-f", *local, path
    process = home.start("env", "--block-signal=TERM,INT,ALRM,CHLD", "--ignore-signal=CHLD,ALRM,TERM", *words)
    try:
        until(lambda: mounts.mounted_at(path), "the mount stands")
        process.terminate()
        assert process.wait(30) == 0
    finally:
        mounts.unmount_by_force(path)
        process.kill()


# ---- The standard output ----

def test_output_that_nobody_takes(local, new_mount, home, folder):
    """With a full or closed standard output a publish succeeds and reports that; a listing fails."""
    new_mount(None, words=local, home=home)
    content = write_file(os.path.join(folder, "content.wasm"), wasm(100, 1))
    registry = "--registry", "local:" + local[1]
    for version, output in (("1.0.0", ">/dev/full"), ("2.0.0", ">&-"), ("3.0.0", "| :"), ("4.0.0", ">/dev/full 2>&1")):
        words = programs.WARGFS, "publish", "release", "-n", "local:p", "-v", version, content, *registry
        home.run("bash", "-c", f'"$@" {output}; exit ${{PIPESTATUS[0]}}', "bash", *words)
    assert home.wargfs("ls", "local:p", *registry).stdout.split() == ["1.0.0", "2.0.0", "3.0.0", "4.0.0"]
    for output in ">/dev/full", ">&-":
        done = home.run("sh", "-c", f'"$@" {output}', "sh", programs.WARGFS, "ls", "local:p", *registry, status=1)
        assert "standard output" in done.stderr


# ---- Sockets ----

@pytest.fixture
def serve(home, folder):
    """Starts servers at one socket path: serve(data) returns the process and its first line."""
    path = os.path.join(folder, "socket")
    started = []

    def start(data):
        server = home.start(programs.WARGFS, "serve", "--data", os.path.join(folder, data), "--namespace", "test",
                            "--listen", f"unix:{path}", stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        started.append(server)
        return server, server.stdout.readline()
    start.path = path
    yield start
    for server in started:
        server.kill()
        server.communicate()


def is_answered(path):
    with socket.socket(socket.AF_UNIX) as asking:
        asking.connect(path)
        asking.sendall(b"GET /healthz HTTP/1.0\r\n\r\n")
        return asking.recv(12).startswith(b"HTTP/1.")


def test_socket_of_another_server(serve):
    """The socket of a living server is kept, that of a dead one replaced; at its end a server removes its socket."""
    first, _ = serve("one")
    second, said = serve("two")
    assert second.wait(30) == 1 and "Address already in use" in said and "a server listens at" in said
    assert is_answered(serve.path)
    first.kill()
    first.wait()
    third, _ = serve("two")
    assert is_answered(serve.path)
    third.terminate()
    assert third.wait(30) == 0 and not os.path.exists(serve.path)


def test_socket_that_is_another_by_now(serve):
    """A server removes only the socket that it made."""
    first, _ = serve("one")
    os.unlink(serve.path)
    serve("two")
    first.terminate()
    assert first.wait(30) == 0
    assert is_answered(serve.path)


def test_several_begin_at_once(serve, home, folder):
    """Servers that start at a dead socket at once: one gets it, the others report that."""
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(serve.path)
    words = [(programs.WARGFS, "serve", "--data", os.path.join(folder, f"data{i}"), "--namespace", "test", "--listen",
              f"unix:{serve.path}") for i in range(4)]
    servers = [home.start(*each, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) for each in words]
    try:
        said = [server.stdout.readline() for server in servers]
        assert sorted("Address already in use" in line for line in said) == [False, True, True, True], said
        assert is_answered(serve.path)
    finally:
        for server in servers:
            server.kill()
            server.communicate()


def test_status_of_a_number_that_another_has(local, home, folder):
    """Two daemons with one pid, as in containers that share the runtime folder: both sockets stay and answer."""
    at = os.path.join(home.runtime, "wargfs")
    os.mkdir(at, 0o700)
    path = os.path.join(folder, "mount")
    os.mkdir(path)
    with socket.socket(socket.AF_UNIX) as other:
        script = f"ln -s {at}/other {at}/$$.sock; exec \"$@\""
        other.bind(os.path.join(at, "other"))
        other.listen()
        process = home.start("sh", "-c", script, "sh", programs.WARGFS, "mount", "-f", *local, path)
        try:
            until(lambda: mounts.mounted_at(path), "the mount stands")
            until(lambda: sorted(os.listdir(at)) == sorted([f"{process.pid}-1.sock", f"{process.pid}.sock", "other"]),
                  lambda: f"its socket is there: {os.listdir(at)}")
            os.unlink(os.path.join(at, f"{process.pid}.sock"))
            assert json.loads(home.wargfs("status", "--json", path).stdout)["mountpoint"] == path
        finally:
            mounts.unmount_by_force(path)
            process.wait(30)


# ---- Folders of ours ----

OURS = {"cache": ".cache/wargfs", "contents": ".cache/warg/content", "state": ".local/state/wargfs",
        "keys": ".config/warg/keyring", "sockets": "run/wargfs", "registry": "registry", "home": ".",
        "configuration": ".config/warg", "above": ".cache", "link": "link"}


@pytest.mark.parametrize("at", OURS.values(), ids=OURS)
def test_mounted_over_what_is_ours(home, at):
    """A mount over our own folders is refused at once: the daemon would deadlock, and SIGKILL would not end it."""
    registry = os.path.join(home.path, "registry")
    covered = os.path.join(home.path, at)
    os.makedirs(os.path.dirname(covered), exist_ok=True)
    if at == "link":  # the path to the cache leads through the mount point by a link
        os.mkdir(covered)
        os.symlink(folder_beside(home), os.path.join(covered, "out"))
        home.environment["XDG_CACHE_HOME"] = os.path.join(home.path, "way")
        os.symlink("work/../link/out/cache", os.path.join(home.path, "way"))
    os.makedirs(covered, 0o700, exist_ok=True)
    done = home.wargfs("mount", "--local", registry, covered, status=2)
    assert re.search(rf"{covered.removesuffix('/.')} cannot be mounted on: the mount would hide .* at ", done.stderr)
    assert not mounts.mounted_at(covered) and not os.path.exists(os.path.join(registry, "operator.key"))


def folder_beside(home):
    path = home.path + "-beside"
    os.makedirs(os.path.join(path, "cache"))
    return path


def test_mounted_beside_what_is_ours(local, new_mount, home):
    """A folder whose name only begins like the mount point's, or that is above it, is allowed."""
    home.environment["XDG_CACHE_HOME"] = os.path.join(home.path, "mountain")
    path = os.path.join(home.path, "mountain/wargfs/mount")
    os.makedirs(path)
    home.wargfs("mount", *local, path)
    try:
        assert os.listdir(path) == ["local"]
    finally:
        mounts.unmount_by_force(path)


def test_covered_later(local, new_mount, home):
    """Another file system mounted over our folders: a running mount still reads and publishes with them."""
    mount = new_mount(None, words=local, home=home)
    os.mkdir(mount.at("local", "p"))
    write_file(mount.at("local", "p", "1.0.0.wasm"), wasm(100, 1))
    covered = [os.path.join(home.path, at) for at in (".cache/warg/content", ".cache/wargfs", ".local/state/wargfs")]
    for path in covered:
        subprocess.run(["mount", "-t", "tmpfs", "tmpfs", path], check=True)
    try:
        write_file(mount.at("local", "p", "2.0.0.wasm"), wasm(100, 2))
        assert [mount.read("local/p", f"{version}.0.0.wasm") for version in (1, 2)] == [wasm(100, 1), wasm(100, 2)]
        assert [os.listdir(path) for path in covered] == [[], [], []]
    finally:
        for path in covered:
            subprocess.run(["umount", path], check=True)


# ---- Secrets ----

KEY = forge.PUBLISHER.text  # a private one


@pytest.mark.parametrize("words", [
    ("serve", "--data", "d", "--operator-key", KEY), ("serve", "--data", "d", f"--operator-key={KEY}"),
    ("serve", "--data", "d", "--operator-key-file", KEY), ("serve", "--data", "d", "--auth-token-file", KEY),
    ("serve", "--operator-key-file", KEY), ("login", KEY), ("key", "set", KEY),
    ("serve", "--data", "d", "--tls-certificate", "/dev/null", "--tls-key", KEY),
    ("publish", "grant", "-n", "a:b", KEY), ("publish", "revoke", "-n", "a:b", KEY), ("ls", f"--json={KEY}"),
    ("verify", "--operator-key", KEY), ("mount", "-o", f"password={KEY}", "m"),
    ("serve", "--data", "d", "--content-base-url", f"https://user:{KEY}@host/"),
    ("ls", "--registry", f"https://user:{KEY}@host/"), ("ls", "--registry", f"https://{KEY}@host/?{KEY}"),
    ("ls", "--registry", f"https://host/?token={KEY}"), ("ls", "--registry", f"user:{KEY}@host/#{KEY}"),
    ("mount", f"https://u:{KEY}@host/", "m"), ("serve", "--data", "d", "--import", f"https://u:{KEY}@host/"),
    ("config", "--registry", f"http://u:{KEY}@localhost/"),
], ids=" ".join)
def test_secrets_are_not_repeated(home, words):
    """No error message shows what may be a secret, on the terminal or in a log."""
    os.mkdir(os.path.join(home.work, "m"))
    done = home.wargfs(*words, status=None)
    assert done.returncode in (1, 2) and done.stderr
    assert KEY.partition(":")[2][:20] not in done.stdout + done.stderr, done.stderr


@pytest.mark.parametrize("words, said", [
    (("ls", "--regis", "x"), "there is no option '--regis'"), (("ls", "--j"), "there is no option '--j'"),
    (("ls", "--registry"), "the option '--registry' needs a value"), (("ls", "-k"), "there is no option '-k'"),
    (("ls", "--json=1"), "the option '--json' takes no value"), (("ls", "--="), "there is no option '--'"),
    (("publish", "release", "-n"), "the option '-n' needs a value"), (("ls", "a", "--", "--json"), "too many"),
    (("ls", "--", "--json"), "'--json' is neither"), (("ls", "-lx"), "there is no option '-x'"),
])
def test_options_are_whole_words(home, words, said):
    assert said in home.wargfs(*words, status=2).stderr
    assert "Usage" in home.wargfs(words[0], *(["release"] if words[0] == "publish" else []), "-h").stdout


# ---- Configuration of others ----

def test_configuration_of_another_user(home):
    """A configuration of another user in a shared folder is reported and ignored."""
    path = os.path.join(home.path, "warg-config.json")
    write_file(path, json.dumps({"homeUrl": "http://127.0.0.1:1/", "contentDir": "/tmp/not-made"}).encode())
    os.chmod(path, 0o666)
    done = home.wargfs("ls", status=2)
    assert f"{path} is ignored: " in done.stderr and "no registry is configured" in done.stderr
    os.chmod(path, 0o644)
    assert "127.0.0.1:1" in home.wargfs("ls", status=6).stderr
