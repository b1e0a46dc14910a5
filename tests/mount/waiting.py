# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Waiting for a condition, with a bound, and what was there when it ran out."""
import time

BOUND = 30


def until(condition, what, seconds=BOUND):
    """Look until condition() is true, and return what it gave. Fails with `what`, which may be called."""
    end = time.monotonic() + seconds
    while True:
        found = condition()
        if found:
            return found
        if time.monotonic() > end:
            raise AssertionError(f"not within {seconds} s: {what() if callable(what) else what}")
        time.sleep(0.01)
