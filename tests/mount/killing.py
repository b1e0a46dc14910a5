# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""kill -9 before a system call, by strace: which calls there are, and what is killed at which of them.

Strace counts each kind of call by itself, for each thread. So a place to die is a kind of call and a number. Every so
many-th of them is taken; how many that makes is said in the environment by WARGFS_KILLS: a number for each test, or
`all`, which takes each place once.
"""
import os
import re
import signal


def traced(calls, output, *injection):
    """The words that have a program traced. What is traced cannot look for leaks."""
    options = os.environ.get("ASAN_OPTIONS", "") + ":detect_leaks=0"
    return ("strace", "-f", "-qq", "-o", output, "-e", "trace=" + calls, *injection, "-E", "ASAN_OPTIONS=" + options)


def killed_at(place):
    call, number = place
    return traced(call, os.devnull, "-e", f"inject={call}:signal=KILL:when={number}")


def all_places(trace):
    """In the order in which they come up: of each kind of call, as many as the thread made that made the most."""
    with open(trace, errors="replace") as file:
        made = re.findall(r"^(\d+) +(\w+)\(", file.read(), re.M)
    counts, places = {}, {}
    for thread, call in made:
        counts[thread, call] = counts.get((thread, call), 0) + 1
        places[call, counts[thread, call]] = None
    return list(places)


def places(trace, kills):
    """Of the calls that were traced, those to be killed at."""
    found = all_places(trace)
    asked = os.environ.get("WARGFS_KILLS") or str(kills)
    if asked == "all" or int(asked) >= len(found):
        return found
    return [found[i * (len(found) - 1) // (int(asked) - 1)] for i in range(int(asked))]


def is_killed(home, place, *words):
    """Run a command that hardly survives it. strace dies of the same signal."""
    done = home.run(*killed_at(place), *words, status=None)
    assert done.returncode in (0, -signal.SIGKILL), f"{place}: {done.returncode} {done.stderr}"
    return done.returncode != 0


def expect_most(killed):
    """The last calls are not the same in each run."""
    assert sum(killed) >= len(killed) * 3 // 4, killed
