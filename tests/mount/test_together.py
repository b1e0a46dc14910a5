# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Several at work on one cache: mounts and commands, processes of their own, and what becomes of it when one ends."""
import os
import signal
import subprocess

import pytest

import programs
from liar import travels
from mounts import read
from registry import BIG, CONTENTS
from waiting import until

CONTENT = CONTENTS["test:big", "1.0.0"]
PATH = "test/big/1.0.0.wasm"
READERS = 64


@travels
def stuck(exchange, answer):
    """Half, and the rest only once the liar is honest."""
    released = exchange.released
    exchange.begin(answer, len(answer.body))
    exchange.wfile.write(answer.body[:len(answer.body) // 2])
    exchange.wfile.flush()
    released.wait()
    exchange.wfile.write(answer.body[len(answer.body) // 2:])


@pytest.fixture
def readers_of(folder):
    """Starts programs that read the file on mounts in turn, and end well if it is the right one."""
    right = os.path.join(folder, "right.wasm")
    with open(right, "wb") as file:
        file.write(CONTENT)

    def start(mounts, count):
        return [subprocess.Popen([*programs.TIED, "cmp", mounts[i % len(mounts)].at(PATH), right],
                                 stderr=subprocess.DEVNULL) for i in range(count)]
    return start


def expect_all_read(readers):
    assert [reader.wait() for reader in readers] == [0] * len(readers)


def has_half(home):
    """Whether half of it came. The last of it may still be in memory."""
    folder = os.path.join(home.cache, "content/temp")
    return sum(os.path.getsize(os.path.join(folder, name)) for name in os.listdir(folder)) > BIG // 2 - (1 << 20)


def left_overs(home):
    return [name for folder in ("warg/content/temp", "wargfs/downloads")
            for name in os.listdir(os.path.join(os.path.dirname(home.cache), folder))]


def test_one_download(new_mount, liar, home, readers_of):
    """Readers on two mounts share one download, and a command does too."""
    mounts = [new_mount(liar.url, home=home) for _ in range(2)]
    liar.forget()
    liar.lie("bytes", stuck)
    readers = readers_of(mounts, READERS)
    command = home.start(programs.WARGFS, "download", "--registry", liar.url, "test:big", "-o", "out.wasm",
                         stdout=subprocess.DEVNULL)
    until(lambda: has_half(home), "half of it")
    liar.be_honest()
    expect_all_read(readers)
    assert command.wait() == 0
    assert read(os.path.join(home.work, "out.wasm")) == CONTENT
    assert liar.count("bytes") == 1
    assert left_overs(home) == []


def test_one_is_killed(new_mount, liar, home, readers_of):
    """Who waited for the download of another that dies downloads itself; nothing is left of the dead."""
    first, second = (new_mount(liar.url, home=home) for _ in range(2))
    liar.lie("bytes", stuck)
    lost = readers_of([first], 1)
    until(lambda: has_half(home), "half of it")
    readers = readers_of([second], 8)
    first.process.kill()
    until(lambda: liar.count("bytes") == 2, "another download")
    liar.be_honest()
    expect_all_read(readers)
    assert lost[0].wait()
    first.abandon()
    first.over = True
    second.end()
    third = new_mount(liar.url, home=home)
    assert left_overs(home) == []
    assert third.read(PATH) == CONTENT
    assert liar.count("bytes") == 2


def test_one_stands_still(new_mount, liar, home, readers_of):
    """A process that lives, has the claim and does nothing is not waited for without a bound."""
    first = new_mount(liar.url, home=home)
    liar.lie("bytes", stuck)
    early = readers_of([first], 1)
    until(lambda: has_half(home), "half of it")
    first.process.send_signal(signal.SIGSTOP)
    try:
        liar.be_honest()
        # A time-out that is too short for this machine ends the second download, too.
        for timeout in (1, 8, 64):
            late = new_mount(liar.url, f"timeout={timeout}", home=home).expect("no answer before the deadline")
            statuses = [reader.wait() for reader in readers_of([late], 2)]
            if statuses == [0, 0]:
                break
        assert statuses == [0, 0]
    finally:
        first.process.send_signal(signal.SIGCONT)
    expect_all_read(early)
    assert liar.count("bytes") == 2 or timeout > 1
    assert left_overs(home) == []


def test_readers_leave(new_mount, liar, home, readers_of):
    """Whoever waits for another's download can be killed."""
    first, second = (new_mount(liar.url, home=home) for _ in range(2))
    liar.lie("bytes", stuck)
    early = readers_of([first], 1)
    until(lambda: has_half(home), "half of it")
    late = readers_of([second], 2)
    for reader in late:
        reader.kill()
        reader.wait()
    liar.be_honest()
    expect_all_read(early)
    assert second.read(PATH) == CONTENT
    assert liar.count("bytes") == 1
