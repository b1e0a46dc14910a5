# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""How a mount begins and ends, what it says of itself, and how it lives through an outage."""
import json
import os
import re
import shutil
import signal
import socket
import subprocess

import pytest

from liar import InTurn, says, silent
from lies import HTML
from mounts import daemons, errno_of, mounted_at, read, unmount, unmount_by_force
from registry import CONTENTS
from waiting import until

TINY = CONTENTS["test:tiny", "1.0.0"]


@pytest.fixture
def place(folder):
    """A mountpoint that is clear at the end."""
    path = os.path.join(folder, "place")
    os.mkdir(path)
    yield path
    unmount_by_force(path)


def unused_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


BAD_URLS = (
    ("nobody listens", lambda: f"http://127.0.0.1:{unused_port()}/", 6, "."),
    ("plain http to elsewhere", lambda: "http://registry.example/", 2, "http"),
    ("no URL", lambda: "http://", 2, "no URL"),
    ("another scheme", lambda: "ftp://127.0.0.1/", 2, "."),
    ("no such host", lambda: "https://registry.invalid/", 6, "registry.invalid"),
)


@pytest.mark.parametrize("name, url, status, words", BAD_URLS, ids=[row[0] for row in BAD_URLS])
@pytest.mark.parametrize("foreground", ((), ("-f",)), ids=("background", "foreground"))
def test_bad_url(home, place, foreground, name, url, status, words):
    done = home.wargfs("mount", *foreground, url(), place, status=status)
    assert words in done.stderr and done.stderr.startswith("wargfs mount: ")
    assert not mounted_at(place)


def sends_to(url):
    def mutation(answer):
        says(302)(answer)
        answer.headers["location"] = url
    return mutation


PORTALS = (
    ("page", says(content_type="text/html; charset=x", body=HTML), "web page (text/html), not with a Warg registry"),
    ("511", says(511, content_type="text/plain"), "this network wants a login"),
    ("redirect", sends_to("https://portal.example/login?token=secret"), "https://portal.example/login,"),
)


@pytest.mark.parametrize("name, lie, words", PORTALS, ids=[row[0] for row in PORTALS])
def test_portal(new_home, new_mount, liar, name, lie, words):
    """A network's login page accuses nobody; a mount stands on what was proven before."""
    home = new_home()
    before = new_mount(liar.url, home=home)
    assert before.list("test") and before.list("test/hello")
    before.end()
    liar.lie("well-known", lie)
    liar.lie("checkpoint", lie)
    done = home.wargfs("update", "--registry", liar.url, status=6)
    assert words in done.stderr and "secret" not in done.stderr
    mount = new_mount(liar.url, "refresh=1", home=home)
    mount.wait_for_log("^wargfs: .*" + re.escape(words))
    assert mount.list("test/hello")


def later(status, seconds=None):
    """Puts the first request off."""
    def mutation(answer):
        says(status, "text/plain", b"later")(answer)
        if seconds:
            answer.headers["retry-after"] = str(seconds)
    return InTurn(mutation, None)


@pytest.mark.parametrize("status, seconds", ((502, None), (503, 1), (429, 1)))
def test_put_off(new_mount, liar, status, seconds):
    """What a gateway or a busy registry puts off is asked again, and nobody notices."""
    for call in "checkpoint", "logs", "sources", "bytes":
        liar.lie(call, later(status, seconds))
    mount = new_mount(liar.url, "timeout=20", "refresh=0")
    assert mount.read("test/tiny/1.0.0.wasm") == TINY
    assert liar.count("checkpoint") > 1 and liar.count("bytes") > 1 and liar.count("sources") > 1


def test_not_a_registry(home, place, liar):
    """In the background mode too it is an error on the terminal."""
    for call in ("well-known", "checkpoint"):
        liar.lie(call, says(content_type="text/html", body=HTML))
        assert "web page (text/html)" in home.wargfs("mount", liar.url, place, status=6).stderr
        assert not mounted_at(place)
        liar.be_honest()


def test_no_mountpoint(home, server, folder):
    path = os.path.join(folder, "missing")
    assert path in home.wargfs("mount", server.url, path, status=1).stderr


def test_discovery(new_mount, liar, server):
    """A URL that stands for another registry."""
    liar.lie("well-known", says(body=json.dumps({"wargUrl": server.url}).encode()))
    mount = new_mount(liar.url)
    assert mount.read("test/tiny/1.0.0.wasm") == TINY
    assert [call.name for call in liar.calls] == ["well-known"]


def test_background(home, server, place):
    done = home.wargfs("mount", server.url, place)
    assert done.stderr == ""
    assert mounted_at(place) and len(daemons(place)) == 1
    assert read(os.path.join(place, "test/tiny/1.0.0.wasm")) == TINY
    unmount(place)
    until(lambda: not daemons(place), "the daemon ends")


@pytest.mark.parametrize("number", (signal.SIGINT, signal.SIGTERM), ids=lambda number: number.name)
def test_signals(new_mount, server, number):
    mount = new_mount(server.url)
    mount.read("test/tiny/1.0.0.wasm")
    mount.process.send_signal(number)
    assert mount.wait_for_end() == 0
    assert not mounted_at(mount.path)


def test_signal_while_waiting(mount, liar):
    """A reader that waits does not hold up the end."""
    liar.lie("sources", silent)
    with subprocess.Popen(["cat", mount.at("test/page/1.0.0.wasm")], stderr=subprocess.PIPE) as reader:
        until(lambda: liar.count("sources"), "the reader waits")
        mount.expect("^wargfs: ").process.send_signal(signal.SIGTERM)
        assert mount.wait_for_end() == 0
        assert reader.wait(30) != 0


def test_status(mount, server):
    assert mount.list("test/hello")
    human = mount.status()
    assert human.returncode == 0
    for words in (mount.path, "http://127.0.0.1:", str(server.lengths[-1])):
        assert words in human.stdout
    told = json.loads(mount.home.wargfs("status", "--json", mount.path).stdout)
    assert str(server.lengths[-1]) in json.dumps(told)
    everyone = mount.home.wargfs("status", status=None).stdout  # mounts of other tests may hang
    assert mount.path in everyone


def test_status_without(home, place):
    assert home.wargfs("status", place, status=4).stderr


def test_status_without_sockets(mount, home, server):
    """A session that ends takes the sockets along, not the mount: its own file tells the same."""
    before = json.loads(mount.home.wargfs("status", "--json", mount.path).stdout)
    def listed():
        return [one["mountpoint"] for one in json.loads(mount.home.wargfs("status", "--json", status=None).stdout)]

    assert listed().count(mount.path) == 1
    for gone in os.path.join(mount.home.runtime, "wargfs"), mount.home.runtime:
        shutil.rmtree(gone)
        after = json.loads(mount.home.wargfs("status", "--json", mount.path).stdout)
        assert set(after) == set(before) and after["pid"] == mount.process.pid
        assert listed().count(mount.path) == 1
    mount.process.send_signal(signal.SIGSTOP)
    try:
        assert f"{mount.path} does not answer" in mount.home.wargfs("status", mount.path, status=1).stderr
    finally:
        mount.process.send_signal(signal.SIGCONT)


@pytest.fixture
def stopped(server):
    """Stops the server; it goes on at the end."""
    yield server.stop
    server.resume()


def test_stopped(new_mount, server, stopped):
    """What is cached stays fast, what is not fails in time, what is asked of the daemon is answered."""
    mount = new_mount(server.url, "timeout=1", "refresh=1").expect("^wargfs: ")
    assert mount.read("test/tiny/1.0.0.wasm") == TINY
    assert mount.list("test/hello")
    stopped()
    assert mount.read("test/tiny/1.0.0.wasm") == TINY
    assert errno_of(mount.read, "test/hello/0.9.0.wasm") == "ETIMEDOUT"
    assert errno_of(mount.list, "test/page") == "ETIMEDOUT"
    assert os.statvfs(mount.path).f_blocks
    assert mount.status().returncode == 0
    mount.wait_for_log("^wargfs: ")
    server.resume()
    assert mount.read("test/hello/0.9.0.wasm") == CONTENTS["test:hello", "0.9.0"]
    assert mount.list("test/page")


@pytest.mark.parametrize("number", (signal.SIGKILL, signal.SIGINT, signal.SIGTERM), ids=lambda number: number.name)
@pytest.mark.parametrize("call", ("logs", "sources", "bytes"))
def test_killed_reader(new_mount, liar, call, number):
    """Whoever waits can be killed, long before the time is up; nobody else notices."""
    mount = new_mount(liar.url, "timeout=600")
    mount.list("test")
    liar.forget()
    liar.lie(call, silent)
    reader = subprocess.Popen(["cat", mount.at("test/page/1.0.0.wasm")], stderr=subprocess.DEVNULL,
                              stdout=subprocess.DEVNULL)
    until(lambda: liar.count(call), "the reader waits")
    reader.send_signal(number)
    assert reader.wait(30) == -number
    liar.be_honest()
    liar.hang_up()
    mount.expect("^wargfs: ")
    until(lambda: errno_of(mount.read, "test/page/1.0.0.wasm") is None, mount.log)
    assert mount.read("test/page/1.0.0.wasm") == CONTENTS["test:page", "1.0.0"]


def test_gone(new_mount, liar):
    """The registry is gone, and comes back."""
    mount = new_mount(liar.url, "timeout=20").expect("^wargfs: ")
    assert mount.read("test/tiny/1.0.0.wasm") == TINY
    mount.list("test/hello")
    liar.close()
    assert errno_of(mount.read, "test/hello/0.9.0.wasm") == "EHOSTUNREACH"
    assert errno_of(mount.list, "test/page") == "EHOSTUNREACH"
    assert mount.read("test/tiny/1.0.0.wasm") == TINY
    liar.open()
    assert mount.read("test/hello/0.9.0.wasm") == CONTENTS["test:hello", "0.9.0"]
    assert mount.list("test/page") == ["1.0.0.wasm", "latest.wasm"]
    assert mount.last_error("test/page") == ""


def wait_in_mount(process):
    """Until a program waits for an answer of the mount's, as one that can be killed."""
    def waits():
        assert process.poll() is None, "it did not wait"
        with open(f"/proc/{process.pid}/wchan") as file:
            return file.read().startswith("request_wait_answer")
    until(waits, "a program waits for the mount")


def test_lookups_side_by_side(mount, liar):
    """Whoever waits for a name waits for nobody else's in the same folder, and can be killed."""
    liar.lie("logs", silent)
    paths = [mount.at("test", package) for package in ("hello", "page", "tiny")]
    programs = [subprocess.Popen(["stat", path], stdout=subprocess.DEVNULL) for path in paths]
    for program in programs:
        wait_in_mount(program)
    for program in programs:
        program.kill()
        program.wait()
    liar.be_honest()
    assert mount.read("test/tiny/1.0.0.wasm") == TINY


def test_foreign_attributes(mount):
    """What programs ask of every file is answered so that they do not ask again."""
    for name in ("security.selinux", "trusted.x", "system.posix_acl_access"):
        assert errno_of(os.getxattr, mount.at("test/tiny/1.0.0.wasm"), name) == "ENOTSUP"
    assert errno_of(os.getxattr, mount.at("test/tiny/1.0.0.wasm"), "user.warg.none") == "ENODATA"


def test_killed_daemon(new_mount, home, server):
    """What a killed daemon left stands in nobody's way: the next one takes its place. One that only hangs keeps it."""
    mount = new_mount(server.url)
    mount.process.send_signal(signal.SIGSTOP)
    assert "is mounted on" in home.wargfs("mount", server.url, mount.path, status=1).stderr
    mount.process.kill()
    mount.process.wait()
    mount.over = True
    assert errno_of(os.statvfs, mount.path) == "ENOTCONN"
    home.wargfs("mount", server.url, mount.path)
    assert mount.read("test/tiny/1.0.0.wasm") == TINY
    unmount(mount.path)
    assert not mounted_at(mount.path)


@pytest.fixture
def connections(folder):
    """What the kernel shows of its FUSE connections."""
    path = os.path.join(folder, "connections")
    os.mkdir(path)
    subprocess.run(["mount", "-t", "fusectl", "none", path], check=True)
    yield path
    subprocess.run(["umount", path], check=True)


def test_cut_off_with_open_files(new_mount, server, home, connections):
    """Of what is open when a mount is cut off the daemon hears no more; it leaves nothing of that in memory."""
    mount = new_mount(server.url, "rw", home=home)
    folder = os.open(mount.at("test"), os.O_RDONLY | os.O_DIRECTORY)
    os.listdir(folder)
    connection = str(os.minor(os.stat(mount.path).st_dev))
    with open(os.path.join(connections, connection, "abort"), "w") as abort:
        abort.write("1")
    os.close(folder)
    mount.end()
