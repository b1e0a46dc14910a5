# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""What outlives the cache: the registry is held to its word, and what accuses it is kept."""
import glob
import json
import os
import shutil

from lies import signed
from mounts import errno_of, read
from registry import CONTENTS, path_of

HELLO = path_of("test:hello", "1.0.0")


def evidence(home, charge):
    return glob.glob(os.path.join(home.path, ".local/state/wargfs/*/evidence", f"{charge}-*.json"))


def empty_cache(home):
    shutil.rmtree(os.path.join(home.cache, "registries"))


def test_rollback_with_an_empty_cache(home, liar, new_mount, server):
    new_mount(liar.url, home=home).end()
    empty_cache(home)
    liar.lie("checkpoint", signed(logLength=server.lengths[0]))
    status, log = new_mount(liar.url, home=home, wait=False).refused()
    assert status == 3 and "rollback" in log, log
    kept, = evidence(home, "rollback")
    told = json.loads(read(kept))
    assert told["held"]["contents"]["logLength"] == server.lengths[-1]
    assert told["offered"]["contents"]["logLength"] == server.lengths[0]
    liar.be_honest()
    mount = new_mount(liar.url, home=home)
    assert mount.read(HELLO) == CONTENTS["test:hello", "1.0.0"]


def test_fork_is_not_forgotten(home, liar, new_mount):
    mount = new_mount(liar.url, "refresh=1", home=home)
    assert mount.read(HELLO) == CONTENTS["test:hello", "1.0.0"]
    liar.lie("checkpoint", signed(mapRoot="sha256:" + "0" * 64))
    mount.wait_for_log("a fork")
    liar.be_honest()
    mount.wait_for_log("seen to fork")
    assert mount.read(HELLO) == CONTENTS["test:hello", "1.0.0"]
    assert errno_of(mount.list, "test") is None
    told = json.loads(home.wargfs("status", "--json", mount.path).stdout)
    assert told["trust"]["fork"].startswith("fork-")
    assert "FORK SEEN" in mount.status().stdout
    mount.end()
    status, log = new_mount(liar.url, home=home, wait=False).refused()
    assert status == 3 and "seen to fork" in log
    assert len(evidence(home, "fork")) == 1
    home.wargfs("reset", "--registry", liar.url, status=1)
    told = home.wargfs("reset", "--registry", liar.url, "--yes").stdout
    assert told == "1 registry forgotten\n"
    assert len(evidence(home, "fork")) == 1
    new_mount(liar.url, home=home).end()


def test_reset_all(home, liar):
    home.configure(liar.url)
    home.wargfs("info", "test:hello")
    told = json.loads(home.wargfs("reset", "--all", "--yes", "--json").stdout)
    assert len(told["forgotten"]) == 1
    assert home.wargfs("info").stdout == ""
