# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""The audit of the map: what the operator signs of it is compared with what the ledger makes of it."""
import base64
import glob
import json
import os
import signal

import pytest

import forge
from liar import changed
from lies import signed
from mounts import errno_of, read
from registry import CONTENTS, path_of
from waiting import until

HELLO = path_of("test:hello", "1.0.0")


def ledger_of(server):
    """Log and record id of each record, as texts."""
    sources = json.loads(server.get("v1/ledger"))["sources"]
    packed = b"".join(server.get(source["url"].lstrip("/")) for source in sources)
    ids = ["sha256:" + packed[at:at + 32].hex() for at in range(0, len(packed), 32)]
    return packed, list(zip(ids[::2], ids[1::2]))


def progress(mount):
    return json.loads(mount.home.wargfs("status", "--json", mount.path).stdout)["audit"]


def wait_for_audit(mount, length):
    until(lambda: progress(mount)["logLength"] == length, lambda: f"an audit at {length}: {progress(mount)}")
    return progress(mount)


def test_honest(new_mount, liar, server):
    """The real server's map is the one that its log makes, and what it grows by is audited."""
    early, late = server.lengths[1], server.lengths[-1]
    liar.stay_at(early)
    mount = new_mount(liar.url, "refresh=0")
    assert progress(mount) == {"logLength": None, "wanted": None, "rebuilt": 0}
    assert mount.list("test")
    assert wait_for_audit(mount, early) == {"logLength": early, "agrees": True, "wanted": None, "rebuilt": early}
    liar.be_honest()
    mount.process.send_signal(signal.SIGHUP)
    assert wait_for_audit(mount, late) == {"logLength": late, "agrees": True, "wanted": None, "rebuilt": late}
    assert f"map audited  at length {late}: it agrees with the log" in mount.status().stdout


@pytest.fixture
def false_map(liar, server):
    """The operator signs a map in which one package is not at its last record. Every proof of it holds."""
    _, ledger = ledger_of(server)
    entries = dict(ledger)
    other = forge.package_log_id("test:other")
    entries[other] = forge.digest(b"a record that nobody published")
    lying = forge.Map(entries)

    def prove(answer):
        leaves = json.loads(answer.call.request)["leafs"]
        changed(lambda value: value.update(map=base64.b64encode(
            lying.prove(ledger[leaf][0] for leaf in leaves)).decode()))(answer)

    liar.lie("checkpoint", signed(mapRoot=lying.root()))
    liar.lie("inclusion", prove)
    return lying


def evidence(home, suffix):
    return glob.glob(os.path.join(home.path, ".local/state/wargfs/*/evidence/map-*" + suffix))


def test_contradiction(home, new_mount, liar, server, false_map):
    """It is found, kept, said and not forgotten, and nobody who only reads what was proven has to mind."""
    length = server.lengths[-1]
    packed, ledger = ledger_of(server)
    mount = new_mount(liar.url, "refresh=1", home=home)
    assert mount.read(HELLO) == CONTENTS["test:hello", "1.0.0"]
    assert "hello" in mount.list("test")
    mount.wait_for_log(rf"the map of the checkpoint at length {length} is not the one that its log makes")
    mount.wait_for_log("seen to contradict its own log")

    kept, = evidence(home, ".json")
    told = json.loads(read(kept))
    assert told["charge"] == "map" and told["offered"]["contents"]["mapRoot"] == false_map.root()
    assert told["mapRoot"] == forge.Map(dict(ledger)).root() == server.checkpoint()["contents"]["mapRoot"]
    assert read(os.path.join(os.path.dirname(kept), told["ledger"])) == packed[:length * 64]

    assert progress(mount)["agrees"] is False
    status = json.loads(home.wargfs("status", "--json", mount.path).stdout)
    assert status["trust"]["map"] == os.path.basename(kept) and "fork" not in status["trust"]
    shown = mount.status().stdout
    assert "MAP LIES" in shown and "CONTRADICTS THE LOG" in shown and os.path.dirname(kept) in shown
    assert json.loads(mount.read(".warg/status"))["trust"]["map"]

    assert mount.read(HELLO) == CONTENTS["test:hello", "1.0.0"]
    assert errno_of(mount.list, "test") is None
    mount.end()
    liar.be_honest()
    status, log = new_mount(liar.url, home=home, wait=False).refused()
    assert status == 3 and "contradict its own log" in log
    assert home.wargfs("reset", "--registry", liar.url, "--yes").stdout == "1 registry forgotten\n"
    assert evidence(home, ".json") and evidence(home, ".ledger")
    new_mount(liar.url, home=home).end()
