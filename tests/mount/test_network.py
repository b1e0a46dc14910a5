# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""A network that is cut, loses, and is slow: packets vanish, nothing is refused (see wire.py)."""
import os
import signal
import subprocess
import threading

import pytest

import liar as liars
from mounts import errno_of, mounted_at
from registry import BIG, CONTENTS
from waiting import until
from wire import Wire

TINY = CONTENTS["test:tiny", "1.0.0"]
HELLO = "test/hello/0.9.0.wasm"
STEPS = ["0.1.0.wasm", "0.2.0.wasm", "0.3.0.wasm", "latest.wasm"]


@pytest.fixture
def wire():
    wire = Wire()
    yield wire
    wire.close()


@pytest.fixture
def liar(server, wire):
    """One at the far end."""
    liar = liars.Liar(server, wire.far)
    yield liar
    liar.close()
    assert not liar.mistakes, "\n".join(liar.mistakes)


@pytest.fixture
def far_mount(new_mount, wire, liar):
    """Mounts by daemons at the near end. That they complain of the network is no surprise."""
    def make(*options, **more):
        with wire.near:
            return new_mount(liar.url, *options, **more).expect("^wargfs: ")
    return make


def states(*pids):
    """What the threads of processes are at: a letter each, as in ps."""
    found = ""
    for pid in pids:
        for task in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{task}/stat") as file:
                found += file.read().rpartition(")")[2].split()[0]
    return found


def start_waiting(mount, wire, *command):
    """A program that waits for what does not come; in a way that it can be woken from, as does the daemon."""
    dropped = wire.dropped
    waiting = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    until(lambda: wire.dropped > dropped, "something is sent")
    # The daemon may be at the disk for a moment.
    until(lambda: "D" not in states(waiting.pid, mount.process.pid), "nobody is in state D")
    assert waiting.poll() is None
    return waiting


def test_cut(far_mount, wire):
    """What is cached stays, what is not fails in time, what is asked of the daemon is answered; then all is well."""
    mount = far_mount("timeout=2")
    assert mount.read("test/tiny/1.0.0.wasm") == TINY
    assert mount.list("test/hello")
    wire.cut()
    assert mount.read("test/tiny/1.0.0.wasm") == TINY
    assert "0.9.0.wasm" in mount.list("test/hello")
    assert mount.stat("test/tiny/1.0.0.wasm").st_size == len(TINY)
    assert not os.path.lexists(mount.at("test/absent"))
    assert os.statvfs(mount.path).f_blocks
    assert mount.status().returncode == 0
    assert errno_of(mount.read, HELLO) == "ETIMEDOUT"
    assert errno_of(mount.list, "test/steps") == "ETIMEDOUT"
    assert mount.status().returncode == 0
    assert mount.read("test/tiny/1.0.0.wasm") == TINY
    wire.heal()
    assert mount.read(HELLO) == CONTENTS["test:hello", "0.9.0"]
    assert mount.list("test/steps") == STEPS
    assert mount.last_error("test/steps") == ""


WAITING = (("cat", HELLO), ("ls", "test/steps"), ("stat", "test/steps/0.1.0.wasm"))


@pytest.mark.parametrize("number", (signal.SIGKILL, signal.SIGINT, signal.SIGTERM), ids=lambda number: number.name)
@pytest.mark.parametrize("program, path", WAITING, ids=[program for program, _ in WAITING])
def test_killed_while_cut(far_mount, wire, program, path, number):
    """Long before the time is up; and nobody else notices."""
    mount = far_mount("timeout=600")
    assert mount.list("test/hello")
    wire.cut()
    waiting = start_waiting(mount, wire, program, mount.at(path))
    waiting.send_signal(number)
    assert waiting.wait(30) == -number
    assert mount.status().returncode == 0
    wire.heal()
    assert mount.read(HELLO) == CONTENTS["test:hello", "0.9.0"]


def test_cut_at_mount(far_mount, wire):
    """Too slow is no forgery; and once it is not cut any more, it mounts."""
    wire.cut()
    status, log = far_mount("timeout=2", wait=False).refused()
    assert status == 6 and "before the deadline" in log, log
    wire.heal()
    assert far_mount().read("test/tiny/1.0.0.wasm") == TINY


def test_told_to_end_while_cut(far_mount, wire):
    """Before it is mounted."""
    wire.cut()
    dropped = wire.dropped
    mount = far_mount("timeout=600", wait=False)
    until(lambda: wire.dropped > dropped, "something is sent")
    mount.process.send_signal(signal.SIGTERM)
    mount.refused()


@pytest.fixture
def halfway(liar):
    """Contents stop in the middle until the event that is returned; `reached` is set when they do."""
    reached, go_on = threading.Event(), threading.Event()

    @liars.travels
    def stop(exchange, answer):
        half = len(answer.body) // 2
        exchange.begin(answer, len(answer.body))
        exchange.wfile.write(answer.body[:half])
        reached.set()
        assert go_on.wait(60)
        exchange.wfile.write(answer.body[half:])
    liar.lie("bytes", stop)
    yield reached, go_on
    go_on.set()


def start_reading(mount, path):
    """Read on a thread. Returns it, and the list that will hold the bytes, or the errno."""
    found = []

    def run():
        try:
            found.append(mount.read(path))
        except OSError as error:
            found.append(error.errno)
    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    return thread, found


def test_cut_in_a_download(far_mount, wire, liar, halfway):
    """It fails in time, whole or not at all; afterwards it can be had."""
    reached, go_on = halfway
    mount = far_mount("timeout=2")
    thread, found = start_reading(mount, "test/big/1.0.0.wasm")
    assert reached.wait(30)
    wire.cut()
    thread.join(60)
    assert errno_of(mount.read, "test/big/1.0.0.wasm") == "ETIMEDOUT"
    assert found and isinstance(found[0], int) and os.strerror(found[0]) == "Connection timed out"
    assert mount.status().returncode == 0
    go_on.set()
    liar.be_honest()
    wire.heal()
    assert mount.read("test/big/1.0.0.wasm") == CONTENTS["test:big", "1.0.0"]
    assert mount.stat("test/big/1.0.0.wasm").st_size == BIG


def test_cut_for_a_moment(far_mount, wire, halfway):
    """A download that is held up goes on as if nothing had been."""
    reached, go_on = halfway
    mount = far_mount("timeout=60")
    thread, found = start_reading(mount, "test/big/1.0.0.wasm")
    assert reached.wait(30)
    dropped = wire.dropped
    wire.cut()
    go_on.set()
    until(lambda: wire.dropped > dropped, "something is lost")
    wire.heal()
    thread.join(60)
    assert found == [CONTENTS["test:big", "1.0.0"]]


def test_cut_in_a_refresh(far_mount, wire, liar, server):
    """What was proven before stays, and what is new comes by itself."""
    liar.stay_at(server.lengths[1])
    mount = far_mount("timeout=2", "refresh=1")
    assert mount.list("test/steps") == ["0.1.0.wasm", "latest.wasm"]
    wire.cut()
    liar.past = None
    mount.wait_for_log("^wargfs: .*before the deadline")
    assert mount.list("test/steps") == ["0.1.0.wasm", "latest.wasm"]
    wire.heal()
    until(lambda: mount.list("test/steps") == STEPS, "what is new is seen")


@pytest.mark.parametrize("restarts", (False, True), ids=("hung up", "restarted"))
def test_half_open(far_mount, wire, liar, restarts):
    """Connections that the other side has given up, and nobody heard of it."""
    mount = far_mount("timeout=20")
    assert mount.list("test/hello")
    wire.cut()
    if restarts:
        liar.close()
        liar.open()
    else:
        liar.hang_up()
    wire.heal()
    assert mount.read(HELLO) == CONTENTS["test:hello", "0.9.0"]
    assert mount.list("test/steps") == STEPS


WEATHER = (("loss", {"loss": 0.16}), ("delay", {"delay": 0.1}))  # each way: of ten round trips three are lost


@pytest.mark.parametrize("name, weather", WEATHER, ids=[name for name, _ in WEATHER])
def test_bad_weather(far_mount, wire, name, weather):
    """Slow, and otherwise as ever."""
    wire.disturb(**weather)
    mount = far_mount("timeout=100")
    assert mount.read("test/page/1.0.0.wasm") == CONTENTS["test:page", "1.0.0"]
    assert mount.list("test/steps") == STEPS
    assert wire.dropped if wire.loss else wire.delay


def test_unmount_while_cut(far_mount, wire):
    """In the middle of a refresh that would wait for long."""
    mount = far_mount("timeout=600", "refresh=1")
    assert mount.list("test/hello")
    wire.cut()
    dropped = wire.dropped
    until(lambda: wire.dropped > dropped, "it asks")
    mount.end()


def test_unmount_under_a_reader(far_mount, wire):
    """A reader that waits is told, and the daemon ends."""
    mount = far_mount("timeout=600")
    assert mount.list("test/hello")
    wire.cut()
    waiting = start_waiting(mount, wire, "cat", mount.at(HELLO))
    mount.process.send_signal(signal.SIGTERM)
    assert mount.wait_for_end() == 0
    assert waiting.wait(30) > 0
    assert not mounted_at(mount.path)
