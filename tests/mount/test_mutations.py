# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Answers changed by chance, on a whole mount: what is shown is true, or nothing is.

Most mutations are tried without a mount, as that is quicker (tests/mutation). $WARGFS_MUTATIONS_COUNT of them are tried
here, from the seed $WARGFS_MUTATIONS_SEED on.
"""
import os
import random
import signal
import subprocess

import pytest

import liar as liars
import programs
from mounts import mounted_at
from registry import CONTENTS, PACKAGES, path_of
from waiting import until

PROGRAM = os.environ.get("WARGFS_MUTATIONS") or os.path.join(os.path.dirname(__file__),
                                                             "../../build/tests/mutation/mutations")
COUNT = int(os.environ.get("WARGFS_MUTATIONS_COUNT", 40))
SEED = int(os.environ.get("WARGFS_MUTATIONS_SEED", 1))
CALLS = ("well-known", "checkpoint", "logs", "names", "ledger", "records", "inclusion", "sources", "bytes")
STEPS = {"0.1.0.wasm", "0.2.0.wasm", "0.3.0.wasm", "latest.wasm"}
ALL = {name.partition(":")[2] for name in PACKAGES}
READ = ("test:hello", "1.0.0"), ("test:tiny", "1.0.0")


def changed_by(seed):
    """The lie that `mutations --pipe --seed` makes of an honest answer."""
    @liars.travels
    def send(exchange, answer):
        done = subprocess.run([PROGRAM, "--pipe", "--seed", str(seed)], input=answer.body, check=True,
                              capture_output=True)
        exchange.wfile.write(done.stdout)
        exchange.hang_up()
    return send


def check(mount, must):
    """Whatever can be had is true. must: all can be had."""
    def attempt(action, *arguments):
        try:
            return action(*arguments)
        except OSError:
            assert not must, mount.log
            return None

    listed = attempt(mount.list, "test")
    if listed is not None:
        whole = os.getxattr(mount.at("test"), "user.warg.complete") == b"true"
        assert set(listed) == ALL if whole or must else set(listed) <= ALL
    steps = attempt(mount.list, "test/steps")
    assert steps is None or set(steps) == STEPS
    for name, version in READ:
        found = attempt(mount.read, path_of(name, version))
        assert found is None or found == CONTENTS[name, version]
    # What is not there is not.
    assert not os.path.lexists(mount.at("test/invented"))


@pytest.mark.parametrize("seed", range(SEED, SEED + COUNT))
def test_mutation(new_mount, liar, seed):
    call = random.Random(seed).choice(CALLS)
    liar.lie(call, changed_by(seed))
    mount = new_mount(liar.url, "timeout=20", wait=False).expect("^wargfs: ")
    until(lambda: mounted_at(mount.path) or mount.process.poll() is not None, "it comes to something")
    if mount.process.poll() is None:
        check(mount, False)
        liar.be_honest()
        # What was withheld is asked for again when it looks again.
        mount.process.send_signal(signal.SIGHUP)
        until(lambda: set(mount.list("test")) == ALL, lambda: f"all is listed: {mount.log}")
        check(mount, True)
    else:
        assert mount.refused()[0] in (1, 3, *programs.FAILURES)
