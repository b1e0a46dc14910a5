"""kill -9 before a system call, by strace: which calls there are, and what is killed at which of them.

Every so many-th call is taken; how many that makes is said in the environment by WARGFS_KILLS: a number for each test,
or `all`, which takes each call once.
"""
import os
import re
import signal


def traced(calls, output, *injection):
    """The words that have a program traced. What is traced cannot look for leaks."""
    options = os.environ.get("ASAN_OPTIONS", "") + ":detect_leaks=0"
    return ("strace", "-f", "-qq", "-o", output, "-e", "trace=" + calls, *injection, "-E", "ASAN_OPTIONS=" + options)


def killed_at(calls, number):
    return traced(calls, os.devnull, "-e", f"inject={calls}:signal=KILL:when={number}")


def count_calls(trace):
    """The most that one thread made: strace counts for each of them."""
    with open(trace, errors="replace") as file:
        threads = re.findall(r"^(\d+) +\w+\(", file.read(), re.M)
    return max(threads.count(thread) for thread in set(threads))


def numbers(trace, kills):
    """Of the calls that were traced, those to be killed at."""
    calls = count_calls(trace)
    asked = os.environ.get("WARGFS_KILLS") or str(kills)
    if asked == "all" or int(asked) >= calls:
        return range(1, calls + 1)
    return sorted({1 + i * (calls - 1) // (int(asked) - 1) for i in range(int(asked))})


def is_killed(home, calls, number, *words):
    """Run a command that hardly survives it. strace dies of the same signal."""
    done = home.run(*killed_at(calls, number), *words, status=None)
    assert done.returncode in (0, -signal.SIGKILL), f"call {number}: {done.returncode} {done.stderr}"
    return done.returncode != 0


def expect_most(killed):
    """The last calls are not the same in each run."""
    assert sum(killed) >= len(killed) * 3 // 4, killed
