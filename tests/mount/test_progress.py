# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""The line that tells of long work: at a terminal only, not wider than it, and gone at the end."""
import contextlib
import fcntl
import os
import pty
import re
import select
import signal
import struct
import termios
import threading

import pytest

import programs
from liar import Liar, read_late, send_whole, travels
from mounts import mounted_at, unmount_by_force
from registry import wasm
from waiting import until

CLEAN = "\r\x1b[K"
STANDS = r"wargfs (mount|serve): [^\r\n]+; Ctrl-C [^\r\n]*ends it\r\n"  # in the foreground


class Terminal:
    """A command whose standard error is a terminal. All that it writes there is gathered."""

    def __init__(self, home, *words, columns=0, kind="xterm"):
        self.ours, self.its = pty.openpty()
        fcntl.ioctl(self.its, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
        self.text = ""
        home.environment["TERM"] = kind
        self.process = home.start(programs.WARGFS, *words, stdout=-3, stderr=self.its)

    def look(self):
        while select.select([self.ours], [], [], 0)[0]:
            self.text += os.read(self.ours, 65536).decode()
        return self.text

    def wait_for(self, pattern):
        return until(lambda: re.search(pattern, self.look()), lambda: f"{pattern} in {self.text!r}")

    def end(self):
        """Its exit status, when all that it wrote has been read."""
        status = self.process.wait(60)
        self.text = re.sub(programs.MET.replace(r"\n", r"\r\n") + "|" + STANDS, "", self.look())
        return status

    def lines(self):
        """What stood in the line, one after another."""
        return [line for line in self.text.replace("\x1b[K", "").replace("\n", "\r").split("\r") if line]

    def close(self):
        self.process.kill()
        self.process.wait()
        os.close(self.ours)
        os.close(self.its)


@pytest.fixture
def at_terminal():
    with contextlib.ExitStack() as stack:
        def start(*arguments, **options):
            terminal = Terminal(*arguments, **options)
            stack.callback(terminal.close)
            return terminal
        yield start


@travels
def held(exchange, answer):
    """Nothing, until the liar is honest again; then all."""
    exchange.released.wait(60)
    send_whole(exchange, answer)


@travels
def half(exchange, answer):
    """Half of it, and the rest when the liar is honest again."""
    exchange.begin(answer, len(answer.body))
    exchange.wfile.write(answer.body[:len(answer.body) // 2])
    exchange.released.wait(60)
    exchange.wfile.write(answer.body[len(answer.body) // 2:])


COMMANDS = (
    (("update",), "packages"),
    (("ls", "-l", "test"), "test"),
    (("info", "test:steps"), "test:steps"),
    (("download", "test:steps", "-o", "x.wasm"), "test:steps"),
    (("fetch", "test:steps", "test:tiny"), "packages"),
)


@pytest.mark.parametrize("words, what, columns", [(*row, 0) for row in COMMANDS] + [
    (("ls", "test:hello"), "test:hello", columns) for columns in (80, 24, 12)], ids=str)
def test_waiting(home, liar, at_terminal, words, what, columns):
    """Long before anything is known the time is told; at the end the line is empty."""
    home.configure(liar.url)
    liar.lie("checkpoint", held)
    terminal = at_terminal(home, *words, columns=columns)
    told = f"{what}: 1 s"[:(columns or 80) - 1]
    terminal.wait_for(re.escape(told))
    liar.be_honest()
    assert terminal.end() == 0
    assert all(len(line) < (columns or 80) for line in terminal.lines())
    assert terminal.text.endswith(CLEAN)


def test_content(home, liar, at_terminal):
    """A content has a bar: how much of it is there, of how much."""
    home.configure(liar.url)
    home.wargfs("info", "test:big")
    liar.lie("bytes", half)
    terminal = at_terminal(home, "download", "test:big", "-o", "x.wasm", columns=100)
    terminal.wait_for(r"test:big 1\.0\.0: \[#{15}\.{15}\] 16\.0 MiB of 32\.0 MiB, [\d.]+ .iB/s, \d+ s left\x1b")
    liar.be_honest()
    assert terminal.end() == 0
    assert all(len(line) < 100 for line in terminal.lines()) and terminal.text.endswith(CLEAN)


def write_content(home, name, seed):
    with open(os.path.join(home.work, name), "wb") as file:
        file.write(wasm(24 << 20, seed))
    return name


@pytest.fixture
def slow(serve):
    """A liar before a registry of its own: what is published there is seen by no other test."""
    slow = Liar(serve())
    yield slow
    slow.close()
    assert not slow.mistakes, "\n".join(slow.mistakes)


@pytest.mark.parametrize("kind, more", (("xterm", ()), ("dumb", ()), ("xterm", ("--json",))), ids=str)
def test_upload(home, slow, at_terminal, kind, more):
    """A content that is sent has a bar like one that comes, and none where a line cannot be taken away."""
    home.configure(slow.url)
    slow.lie("upload", read_late)
    package = f"test:up-{kind}{len(more)}"
    content = write_content(home, "up.wasm", len(kind) * 2 + len(more))
    words = "publish", "release", *more, "-n", package, "-v", "1.0.0", content
    terminal = at_terminal(home, *words, columns=100, kind=kind)
    until(lambda: slow.count("upload"), "it is uploaded")
    is_shown = kind == "xterm" and not more
    if is_shown:
        terminal.wait_for(rf"{package}: \[#+\.+\] [\d.]+ .iB of 24\.0 MiB, [\d.]+ .iB/s, [\d min]+ s left\x1b")
    else:
        with contextlib.suppress(Exception):
            terminal.process.wait(1.5)
    slow.be_honest()
    assert terminal.end() == 0
    assert all(len(line) < 100 for line in terminal.lines())
    assert terminal.text.endswith(CLEAN) if is_shown else not terminal.text


def test_uploads(home, slow, at_terminal):
    """Of several contents of one record it is said which one, and what is waited for when all are sent."""
    home.configure(slow.url)
    home.wargfs("publish", "start", "test:up-two")
    for number in (1, 2):
        content = write_content(home, "up.wasm", 20 + number)
        home.wargfs("publish", "release", "-n", "test:up-two", "-v", f"{number}.0.0", content)
    slow.lie("upload", read_late)
    terminal = at_terminal(home, "publish", "submit", columns=100)
    terminal.wait_for(r"test:up-two, content 1 of 2: \[")
    released, slow.released = slow.released, threading.Event()
    released.set()
    terminal.wait_for(r"test:up-two, content 2 of 2: \[")
    slow.be_honest()
    assert terminal.end() == 0 and terminal.text.endswith(CLEAN)


@pytest.mark.parametrize("columns, bar", ((100, "###############..............."), (40, "#####......"), (30, "")))
def test_contents(home, liar, at_terminal, columns, bar):
    """Many contents have one bar, which gives way where there is no room."""
    home.configure(liar.url)
    liar.lie("bytes", held)
    home.wargfs("info", "test:tiny")
    waiting = threading.Event()

    def hold_other(answer):
        if answer.headers["content-length"] != "8":
            waiting.set()
            held(answer)
    liar.lie("bytes", hold_other)
    terminal = at_terminal(home, "fetch", "test:tiny", "test:other", columns=columns)
    bar = re.escape(f"[{bar}] ") if bar else ""
    terminal.wait_for(r"fetching: " + bar + r"1 of 2 contents\x1b")
    assert waiting.is_set()
    liar.be_honest()
    assert terminal.end() == 0
    assert all(len(line) < columns for line in terminal.lines()) and terminal.text.endswith(CLEAN)


def test_import(home, liar, at_terminal):
    """While a registry comes to a server of ours; not any more when that serves."""
    liar.lie("bytes", held)
    words = "serve", "--data", "data", "--listen", "unix:socket", "--import", liar.url
    terminal = at_terminal(home, *words, columns=100)
    terminal.wait_for(r"http://127\.0\.0\.1:\d+/: \[\.+\] 0 of \d+ contents\x1b")
    liar.be_honest()
    socket = os.path.join(home.work, "socket")
    until(lambda: os.path.exists(socket), "it serves")
    terminal.process.terminate()
    assert terminal.end() == 0
    assert all(len(line) < 100 for line in terminal.lines()) and terminal.text.endswith(CLEAN)


@pytest.mark.parametrize("foreground", (False, True), ids=("background", "foreground"))
def test_mount(home, liar, folder, at_terminal, foreground):
    """While the first checkpoint is waited for; not any more when the mount stands."""
    place = os.path.join(folder, "place")
    os.mkdir(place)
    liar.lie("checkpoint", held)
    terminal = at_terminal(home, "mount", *(["-f"] if foreground else []), liar.url, place)
    try:
        terminal.wait_for(r"http://127\.0\.0\.1:\d+/?: 1 s")
        liar.be_honest()
        until(lambda: mounted_at(place), "it is mounted")
        terminal.wait_for(rf"\r\x1b\[K({STANDS})?$")
    finally:
        unmount_by_force(place)
    assert terminal.end() == 0 and terminal.text.endswith(CLEAN)


@pytest.mark.parametrize("number", (signal.SIGINT, signal.SIGTERM))
@pytest.mark.parametrize("call, words", (("checkpoint", ("update",)), ("bytes", ("fetch", "test:big")),
                                         ("checkpoint", ("mount", "-f", "URL", ".")),
                                         ("ledger", ("serve", "--data", "data", "--import", "URL"))), ids=str)
def test_interrupted(home, liar, at_terminal, number, call, words):
    """The line goes, too, when a signal ends the work; and the command dies of the signal."""
    home.configure(liar.url)
    liar.lie(call, held)
    terminal = at_terminal(home, *[liar.url if word == "URL" else word for word in words])
    terminal.wait_for(r"[:\]] 1 s\x1b")
    terminal.process.send_signal(number)
    assert terminal.end() == -number
    liar.be_honest()
    assert CLEAN in terminal.text and not terminal.text.rpartition(CLEAN)[2].startswith(words[0])


@pytest.mark.parametrize("kind", ("dumb", ""))
def test_dumb_terminal(home, liar, at_terminal, kind):
    """One that cannot take a line away gets none."""
    home.configure(liar.url)
    liar.lie("bytes", half)
    terminal = at_terminal(home, "fetch", "test:tiny", kind=kind)
    until(lambda: liar.count("bytes"), "the content is under way")
    with contextlib.suppress(Exception):
        terminal.process.wait(1.5)
    liar.be_honest()
    assert terminal.end() == 0 and terminal.text == ""


def test_quick(home, liar, at_terminal):
    """What is done at once shows nothing, and neither does what is no terminal."""
    home.configure(liar.url)
    terminal = at_terminal(home, "fetch", "test:tiny")
    assert terminal.end() == 0 and terminal.text == ""
    assert home.wargfs("fetch", "test:tiny").stderr == ""
