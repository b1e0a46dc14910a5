# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Registries that live in a folder: begun by their first mount, joined by the others, ended with the last."""
import contextlib
import errno
import json
import os
import re
import signal
import socket
import sqlite3
import stat
import subprocess
import threading
import time

import pytest

import mounts
import programs
from registry import wasm
from waiting import until

CONTENT = wasm(30000, 61)


@pytest.fixture
def registry(folder):
    """A folder for a registry. No server of it is left at the end."""
    path = os.path.join(folder, "registry")
    yield path
    until(lambda: not servers_of(path), "the server ends with its last mount")


def servers_of(path):
    """The processes that have the registry's database open for writing: those that hold its lock file."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            if any(os.readlink(f"/proc/{pid}/fd/{fd}") == os.path.join(path, "lock")
                   for fd in os.listdir(f"/proc/{pid}/fd")):
                found.append(int(pid))
        except OSError:
            pass
    return found


@pytest.fixture
def new_local(registry, new_mount):
    """Mounts the registry: new_local(*options, home=)."""
    def make(*options, words=("--local", registry), **more):
        return new_mount(None, *options, words=words, **more)
    return make


def write(mount, name, version, content=CONTENT):
    os.makedirs(mount.at(*name.split(":")), exist_ok=True)
    path = mount.at(*name.split(":"), f"{version}.wasm")
    with open(path, "wb") as file:
        file.write(content)
    return path


def test_first_mount(new_local, registry, home):
    """Everything is made without a question, and for nobody else."""
    mount = new_local(home=home)
    assert mount.list() == ["local"]
    path = write(mount, "local:hello", "0.1.0")
    assert mounts.read(path) == CONTENT
    assert stat.S_IMODE(os.stat(registry).st_mode) == 0o700
    for name in ("operator.key", "signing.key", "users", "server.log"):
        assert stat.S_IMODE(os.stat(os.path.join(registry, name)).st_mode) == 0o600
    assert stat.S_IMODE(os.stat(os.path.join(registry, "socket")).st_mode) == 0o600
    with open("/proc/self/mountinfo", errors="surrogateescape") as file:
        line = next(line for line in file if f" {mount.path} " in line)
    assert f"local:{registry}" in line and " rw," in line
    assert not os.path.exists(home.config)


def test_it_keeps_what_it_has(new_local, registry, new_home):
    """With another home, which knows nothing of it; also after it was moved."""
    mount = new_local()
    write(mount, "local:hello", "0.1.0")
    mount.end()
    until(lambda: not servers_of(registry), "the server ends")
    assert not os.path.exists(os.path.join(registry, "socket"))
    moved = registry + "-moved"
    os.rename(registry, moved)
    mount = new_local(words=("--local", moved))
    assert mount.read("local/hello/0.1.0.wasm") == CONTENT
    write(mount, "local:hello", "0.2.0", wasm(1000, 62))
    mount.end()
    until(lambda: not servers_of(moved), "the server ends")
    os.rename(moved, registry)


def test_moved_under_its_mount(new_local, registry, home):
    """A moved registry works at its new path with its keys; nothing is made at the old path."""
    mount = new_local("refresh=1", home=home)
    moved = registry + "-moved"
    os.rename(registry, moved)
    keys = sorted(name for name in os.listdir(moved) if name.endswith(".key"))
    for number in range(40):  # more than there are connections to the database
        write(mount, "local:hello", f"0.{number}.0", wasm(300, 70 + number))
    assert keys == ["operator.key"] and os.path.exists(os.path.join(moved, "signing.key"))
    assert not os.path.exists(registry)
    assert "0.39.0" in home.wargfs("ls", "--registry", f"local:{moved}", "local:hello").stdout
    mount.end()
    until(lambda: not servers_of(moved), "the server ends")
    assert not os.path.exists(registry)
    again = new_local(words=("--local", moved))
    assert again.read("local/hello/0.39.0.wasm") == wasm(300, 109)
    write(again, "local:hello", "1.0.0")
    again.end()
    until(lambda: not servers_of(moved), "the server ends")


def test_several_mounts(new_local, registry):
    """One server for all of them, which ends with the last; the one that started it may go first."""
    first, second = new_local(), new_local("refresh=1")
    (server,) = servers_of(registry)
    write(first, "local:hello", "0.1.0")
    first.end()
    assert servers_of(registry) == [server]
    until(lambda: second.list("local") == ["hello"], "the other one sees it")
    assert second.read("local/hello/0.1.0.wasm") == CONTENT
    write(second, "local:hello", "0.2.0", wasm(1000, 63))


def test_two_at_once(new_local, registry):
    started = [new_local(wait=False) for _ in range(4)]
    for mount in started:
        mount.wait()
    assert len(servers_of(registry)) == 1
    write(started[0], "local:hello", "0.1.0")
    for mount in started:
        assert mount.list() == ["local"]


def test_daemon_is_killed(new_local, registry):
    """The kernel gives up its part: the server ends, or goes on for the others."""
    first, second = new_local(), new_local()
    first.process.kill()
    first.process.wait()
    mounts.unmount_by_force(first.path)
    first.over = True
    write(second, "local:hello", "0.1.0")
    second.process.kill()
    second.process.wait()
    mounts.unmount_by_force(second.path)
    second.over = True
    until(lambda: not servers_of(registry), "the server ends")
    third = new_local()
    assert third.read("local/hello/0.1.0.wasm") == CONTENT


@contextlib.contextmanager
def hanging_up(path):
    """A socket at which everybody is let in, and told nothing: as of a process that is about to be gone."""
    if os.path.exists(path):
        os.unlink(path)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen()

        def hang_up():
            with contextlib.suppress(OSError):
                while True:
                    listener.accept()[0].close()

        thread = threading.Thread(target=hang_up)
        thread.start()
        try:
            yield
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()


def test_server_that_is_about_to_be_gone(new_local, registry):
    """It lets one in and does not answer: it is not joined."""
    new_local().end()
    until(lambda: not servers_of(registry), "the server ends")
    with hanging_up(os.path.join(registry, "socket")):
        write(new_local(), "local:hello", "0.1.0")


def test_server_is_killed(new_local, registry):
    """Another one is started by itself: mounts go on. It ends with them."""
    mount = new_local("timeout=5").expect("^wargfs: ")
    path = write(mount, "local:hello", "0.1.0")
    (server,) = servers_of(registry)
    os.kill(server, signal.SIGKILL)
    assert mounts.read(path) == CONTENT
    until(lambda: servers_of(registry) not in ([], [server]), "another server starts")
    until(lambda: answers(registry), "it answers")
    write(mount, "local:hello", "0.2.0", wasm(1000, 64))
    assert new_local().read("local/hello/0.2.0.wasm") == wasm(1000, 64)


def answers(path):
    with socket.socket(socket.AF_UNIX) as client:
        folder = os.open(path, os.O_PATH)
        try:
            client.connect(f"/proc/self/fd/{folder}/socket")
            client.sendall(b"GET /healthz HTTP/1.0\r\n\r\n")
            return b"200" in client.recv(100)
        except OSError:
            return False
        finally:
            os.close(folder)


@pytest.mark.parametrize("replace", [False, True])
def test_socket_is_removed(new_local, registry, replace):
    """The server makes it anew: those who use it go on, and others can join."""
    mount = new_local("timeout=5").expect("^wargfs: ")
    write(mount, "local:hello", "0.1.0")
    (server,) = servers_of(registry)
    place = os.path.join(registry, "socket")
    if replace:
        with socket.socket(socket.AF_UNIX) as dead:
            dead.bind(place + ".new")
        os.rename(place + ".new", place)
    else:
        os.unlink(place)
    assert new_local().read("local/hello/0.1.0.wasm") == CONTENT
    write(mount, "local:hello", "0.2.0", wasm(1000, 64))
    assert server not in servers_of(registry)


def test_log_stays_small(new_local, registry):
    """The log is kept when another server starts; at a size it is moved to a second file."""
    mount = new_local()
    write(mount, "local:hello", "0.1.0")
    mount.end()
    until(lambda: not servers_of(registry), "the server ends")
    database = sqlite3.connect(os.path.join(registry, "registry.db"), isolation_level=None)
    database.execute("DELETE FROM log_nodes")
    database.close()
    log = os.path.join(registry, "server.log")
    with open(log, "w") as file:
        file.write("said before\n")
    new_local().end()
    until(lambda: not servers_of(registry), "the server ends")
    assert re.match(r"said before\nwargfs: .", mounts.read(log).decode())
    database = sqlite3.connect(os.path.join(registry, "registry.db"), isolation_level=None)
    database.execute("DELETE FROM log_nodes")
    database.close()
    with open(log, "a") as file:
        file.write("x" * (1 << 20))
    new_local().end()
    until(lambda: not servers_of(registry), "the server ends")
    assert os.path.getsize(log) < 10000 and os.path.getsize(log + ".1") > 1 << 20


def test_namespaces(new_local, registry, home, folder):
    """Those that are asked for, in place of the usual one; a server that runs already takes no more."""
    mount = new_local(words=("--local", registry, "--namespace", "mine", "--namespace", "ours"))
    assert mount.list() == ["mine", "ours"]
    place = os.path.join(folder, "place")
    os.mkdir(place)
    done = home.wargfs("mount", "--local", registry, "--namespace", "late", place, status=5)
    assert "runs already, without the namespace late" in done.stderr
    mount.end()
    until(lambda: not servers_of(registry), "the server ends")
    assert new_local(words=("--local", registry, "--namespace", "late")).list() == ["late", "mine", "ours"]


def test_half_begun(new_local, registry, home, folder):
    """Keys were made, and then nothing: the next mount begins it as a new one."""
    place = os.path.join(folder, "place")
    os.mkdir(place)
    done = home.wargfs("mount", "--local", registry, "--namespace", "Bad", place, status=2)
    assert "'Bad' is not a namespace" in done.stderr and os.path.exists(os.path.join(registry, "operator.key"))
    assert new_local().list() == ["local"]


def test_read_only(new_local, registry):
    mount = new_local("ro")
    with pytest.raises(OSError):
        os.mkdir(mount.at("local/hello"))


def test_commands(new_local, registry, home):
    """Commands reach it as local:DIR, mounted or not."""
    name = f"local:{registry}"
    assert "there is no registry" in home.wargfs("ls", "--registry", f"local:{home.path}", status=4).stderr
    mount = new_local(home=home)
    write(mount, "local:hello", "0.1.0")
    assert "hello" in home.wargfs("ls", "--registry", name, "local").stdout
    mount.end()
    content = os.path.join(home.work, "content.wasm")
    with open(content, "wb") as file:
        file.write(wasm(900, 66))
    home.wargfs("publish", "release", "--registry", name, "-n", "local:hello", "-v", "0.2.0", content)
    home.wargfs("download", "--registry", name, "local:hello", "-o", os.path.join(home.work, "out.wasm"))
    with open(os.path.join(home.work, "out.wasm"), "rb") as file:
        assert file.read() == wasm(900, 66)
    said = json.loads(home.wargfs("info", "--registry", name, "--json").stdout)
    assert "local:hello" in json.dumps(said)
    receipt = os.path.join(home.work, "proof.json")
    home.wargfs("verify", "--registry", name, "local:hello")
    assert not os.path.exists(receipt)


def test_misuse(registry, home, folder):
    place = os.path.join(folder, "place")
    os.mkdir(place)
    for words in (("--local", registry, "http://localhost:1", place), ("--namespace", "x", "http://localhost:1", place),
                  ("--local", registry, "--registry", "http://localhost:1", place)):
        home.wargfs("mount", *words, status=2)
    assert not os.path.exists(registry)
    os.mkdir(registry)
    os.chmod(registry, 0o777)
    assert "written to by others" in home.wargfs("mount", "--local", registry, place, status=1).stderr
    os.chmod(registry, 0o700)
    with open(os.path.join(registry, "registry.db"), "w") as file:
        file.write("no database" * 1000)
    assert "not a database" in home.wargfs("mount", "--local", registry, place, status=1).stderr
    file = os.path.join(home.work, "file")
    with open(file, "w"):
        pass
    home.wargfs("mount", "--local", file, place, status=1)
    missing = os.path.join(folder, "missing/registry")
    assert "No such file" in home.wargfs("mount", "--local", missing, place, status=1).stderr


def test_other_server_has_it(registry, home, folder):
    """One that was started by hand listens elsewhere."""
    place = os.path.join(folder, "place")
    os.mkdir(place)
    os.mkdir(registry, 0o700)
    process = home.start(programs.WARGFS, "serve", "--data", registry, "--listen", "127.0.0.1:0",
                         stdout=subprocess.PIPE, text=True)
    try:
        process.stdout.readline()
        start = time.monotonic()
        done = home.wargfs("mount", "--local", registry, place, status=5)
        assert "another server (process " in done.stderr and time.monotonic() - start < 60
    finally:
        process.terminate()
        process.communicate(timeout=30)


# ---- A small disk ----


@pytest.fixture
def small(folder):
    """A disk of 8 MiB."""
    path = os.path.join(folder, "small")
    os.mkdir(path)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", path], check=True)
    yield path
    mounts.unmount_by_force(path)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount a tmpfs")
@pytest.mark.parametrize("spare", [0, 600000])
def test_full_disk(new_local, small, spare):
    """On a full disk writing fails with ENOSPC, and df shows that disk; nothing is published, and nothing lost."""
    registry = os.path.join(small, "registry")
    filler = os.path.join(small, "filler")
    try:
        mount = new_local(words=("--local", registry)).expect("is full|No space")
        write(mount, "local:hello", "0.1.0")
        theirs, ours = os.statvfs(small), os.statvfs(mount.path)
        assert (ours.f_blocks * ours.f_frsize, ours.f_files) == (theirs.f_blocks * theirs.f_frsize, theirs.f_files)
        assert ours.f_bavail * ours.f_frsize <= 8 << 20
        with contextlib.suppress(OSError), open(filler, "wb") as file:
            while True:
                file.write(bytes(4096))
                file.flush()
        assert os.statvfs(mount.path).f_bavail == 0
        os.truncate(filler, os.path.getsize(filler) - spare)  # room for the record, but not for its content
        content = wasm(2000000, 67)
        with pytest.raises(OSError) as told:
            write(mount, "local:hello", "0.2.0", content)
        assert told.value.errno == errno.ENOSPC
        assert mount.read("local/hello/0.1.0.wasm") == CONTENT
        os.unlink(filler)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(mount.at("local/hello/0.2.0.wasm"))
        write(mount, "local:hello", "0.2.0", content)
        assert mounts.read(mount.at("local/hello/0.2.0.wasm")) == content
        mount.end()
    finally:
        until(lambda: not servers_of(registry), "the server ends")
