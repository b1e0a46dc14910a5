# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""What all attacks share: their description, the folder and processes they use, and their measured cost.

A module `attack_*.py` has a list ATTACKS. Each attack is run by itself, with victims of its own, and returns what it
cost; `run` prints that beside what it may cost.
"""
import contextlib
import os
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "mount"))

MIB = 1 << 20

# Bounds of an attack's cost: bytes of memory beyond the data shown; how many time-outs a slot may be held; and how many
# times as long as before the others may wait, in the median.
CLIENT_MEMORY = 128 * MIB
SERVER_MEMORY = 64 * MIB
HELD_TIMEOUTS = 2
OTHERS = 2


@dataclass(frozen=True)
class Figure:
    """A measured value and its bound."""
    value: float
    bound: float

    @property
    def holds(self):
        return self.value <= self.bound


@dataclass
class Cost:
    """The cost of an attack. None: not measured by this attack."""
    memory: Figure = None  # bytes at the peak, beyond those before the attack
    held: Figure = None    # seconds that the longest slot was held
    others: Figure = None  # how many times as long as before the others waited, in the median
    wrong: list = field(default_factory=list)  # sentences about other failures

    @property
    def holds(self):
        return not self.wrong and all(figure.holds for figure in (self.memory, self.held, self.others) if figure)


@dataclass(frozen=True)
class Attack:
    what: str                          # a few words
    run: Callable[["Scene"], Cost]
    short: bool = True                 # whether it is part of the short form


class Scene:
    """The folder of one attack, and the resources to release at its end."""

    def __init__(self, folder, short):
        self.folder = folder
        self.short = short  # only as much as is needed to check the bound
        self.stack = contextlib.ExitStack()

    def enter(self, context):
        return self.stack.enter_context(context)

    def at_end(self, action, *arguments):
        self.stack.callback(action, *arguments)


def memory_of(pid, what="VmHWM"):
    """Bytes of a process: VmHWM, at the peak since it began or since forget_peak(); VmRSS, now."""
    with open(f"/proc/{pid}/status") as file:
        return next(int(line.split()[1]) << 10 for line in file if line.startswith(what + ":"))


def forget_peak(pid):
    """Reset VmHWM to the memory held now. Returns that in bytes."""
    with open(f"/proc/{pid}/clear_refs", "w") as file:
        file.write("5")
    return memory_of(pid, "VmRSS")


class Slots:
    """How long each slot was held, those still held included."""

    def __init__(self):
        self.lock = threading.Lock()
        self.since = {}
        self.longest = 0.0

    @contextlib.contextmanager
    def hold(self):
        key = object()
        with self.lock:
            self.since[key] = time.monotonic()
        try:
            yield
        finally:
            with self.lock:
                self.longest = max(self.longest, time.monotonic() - self.since.pop(key))

    def longest_held(self):
        with self.lock:
            return max([self.longest, *(time.monotonic() - since for since in self.since.values())])
