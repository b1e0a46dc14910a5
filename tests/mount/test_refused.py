# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""A record that warg-server publishes and we refuse only affects its own package: read, listed, mirrored, moved."""
import base64
import json
import os
import sqlite3

import pytest

import forge
import odd
import programs
from liar import Liar, changed
from mounts import errno_of, read
from publisher import Client, Record, digest, release
from registry import wasm
from waiting import until

pytestmark = pytest.mark.reference("only the reference's server publishes such records")

FILES = sorted(name for name in (odd.GOOD, odd.TAKEN, *odd.REFUSED) if name != odd.LONG)


@pytest.fixture(scope="module")
def server(everything):
    """The reference's server with one package of each kind."""
    server = programs.Server(programs.Home(os.path.join(everything, "odd")))
    try:
        server.packages = odd.publish(server)
        yield server
    finally:
        server.end()


@pytest.fixture(scope="module")
def mirror(server, everything):
    """A mirror of it, for tests that only read."""
    mirror = programs.ImportedServer(programs.Home(os.path.join(everything, "odd-mirror")), server.url)
    yield mirror
    mirror.end()


def is_refused(name):
    return name in odd.REFUSED


# ---- Read ----


def test_ls(home, server):
    """The listing is complete; the package whose name is no valid file name is reported."""
    home.configure(server.url)
    done = home.wargfs("ls", "test")
    assert done.stdout.split() == FILES
    assert done.stderr.count("\n") == 1 and odd.LONG[:40] in done.stderr and "309 bytes" in done.stderr, done.stderr
    told = json.loads(home.wargfs("ls", "test", "--json").stdout)
    assert told["complete"] and len(told["refusedNames"]) == 1 and odd.LONG[:40] in told["refusedNames"][0]
    assert home.wargfs("ls").stdout.split() == ["test"]


def test_ls_long(home, server):
    """Each refused package is shown as refused with its reason; the others normally."""
    home.configure(server.url)
    done = home.wargfs("ls", "-l", "test", status=3)
    shown = dict(line.split("  ", 1) for line in done.stdout.splitlines())
    assert shown == {name: "refused" if is_refused(name) else "2.0.0  2 releases" for name in FILES}
    for name in FILES:
        said = [line for line in done.stderr.splitlines() if f"package {name}," in line]
        assert len(said) == is_refused(name), (name, said)
        assert all(odd.REFUSED[name][1] in line and "operator" not in line for line in said), (name, said)
    told = json.loads(home.wargfs("ls", "-l", "test", "--json", status=3).stdout)
    assert {one["package"] for one in told["packages"] if "refused" in one} == set(odd.REFUSED) & set(FILES)


def test_mount(new_mount, server):
    mount = new_mount(server.url)
    mount.expect("package test:")
    test = os.path.join(mount.path, "test")
    assert sorted(os.listdir(test)) == [name.partition(":")[2] for name in FILES]
    for name in FILES:
        path = os.path.join(test, name.partition(":")[2])
        if is_refused(name):
            assert errno_of(os.listdir, path) == "EBADMSG", name
            assert errno_of(read, os.path.join(path, "2.0.0.wasm")) == "EBADMSG", name
            assert odd.REFUSED[name][1] in os.getxattr(path, "user.warg.last_error").decode(), name
        else:
            assert read(os.path.join(path, "2.0.0.wasm")) == odd.CONTENTS[name]
            assert len(os.listdir(path)) == 3
    assert os.getxattr(test, "user.warg.complete") == b"true"
    status = json.loads(read(os.path.join(mount.path, ".warg/status")))
    assert odd.LONG[:40] in status["refusedNames"][0]


@pytest.mark.parametrize("name", [odd.GOOD, odd.TAKEN, "test:large", "test:key"])
def test_one(home, server, name):
    """A fault names its log."""
    home.configure(server.url)
    done = home.wargfs("info", name, status=None)
    assert done.returncode == (0 if not is_refused(name) else 1 if name == "test:large" else 3)
    assert is_refused(name) == bool(done.stderr) and "operator" not in done.stderr, done.stderr
    assert not is_refused(name) or f"package {name}" in done.stderr


# ---- Mirrored and moved ----


def logs_of(server, length):
    ids = [forge.package_log_id(name) for name in server.packages]
    body = {"logLength": length, "limit": 1000, "packages": {one: None for one in ids}}
    client = Client(server, keep=False)
    answers = [client.post("v1/fetch/logs", body).json["packages"],
               client.post("v1/fetch/names", {"packages": ids}).json["packages"]]
    return answers


def check_same(here, server):
    """The same registry: equal roots, records, names and contents."""
    here.packages = server.packages
    signed = server.checkpoint()["contents"]
    length = signed["logLength"]
    ledger = server.get("v1/ledger/records/0")[:64 * length]
    assert here.get("v1/ledger/records/0")[:64 * length] == ledger
    theirs, ours = logs_of(server, length), logs_of(here, length)
    assert all(theirs[0].values())
    assert [{**record, "fetchToken": None} for log in ours[0].values() for record in log] == \
        [{**record, "fetchToken": None} for log in theirs[0].values() for record in log]
    assert ours[1] == theirs[1] and odd.LONG in ours[1].values()
    for content in odd.CONTENTS.values():
        assert here.get("content/" + digest(content).replace(":", "-")) == content


def fsck(server):
    done = server.home.wargfs("serve", "fsck", "--data", server.data, "--content-dir", server.contents)
    lines = done.stdout.splitlines()
    assert lines[-1].endswith("all is well") and f"{len(odd.REFUSED)} of them refused" in lines[-1]
    for name in odd.REFUSED:
        place = f"log {forge.package_log_id(name)}" if name == odd.LONG else f"package {name}"
        said = [line for line in lines if line.startswith(f"{place}, refused from record ")]
        assert len(said) == 1 and odd.REFUSED[name][1] in said[0], (name, lines)
    assert len(lines) == len(odd.REFUSED) + 1


def collect_garbage(server):
    """gc keeps the contents that a refused record releases."""
    files = os.path.join(server.contents, "files")
    with open(os.path.join(files, digest(b"stray").replace(":", "-")), "wb") as file:
        file.write(b"stray")
    for name in os.listdir(files):
        os.utime(os.path.join(files, name), (10**9, 10**9))
    done = server.home.wargfs("serve", "gc", "--data", server.data, "--content-dir", server.contents)
    assert done.stdout.startswith("1 contents of 5 bytes"), done.stdout
    for content in odd.CONTENTS.values():
        assert read(os.path.join(files, digest(content).replace(":", "-"))) == content


def check_told(server):
    """The server reported refused packages at its start, in one sentence."""
    said = server.surprises()
    assert len(said) == 1 and f"{len(odd.REFUSED) - 1} more" in said[0] and "imported as it is" in said[0], said


def test_mirror(mirror, server):
    ours, theirs = (json.loads(one.get("v1/fetch/checkpoint"))["contents"] for one in (mirror, server))
    assert {**ours, "timestamp": 0} == {**theirs, "timestamp": 0}
    check_same(mirror, server)
    check_told(mirror)
    fsck(mirror)


def test_mirror_of_mirror(mirror, server, bring):
    check_same(bring(mirror.url), server)


def test_clients_of_mirror(mirror, home, new_mount):
    """Clients see at the mirror what they saw at the origin."""
    home.configure(mirror.url)
    done = home.wargfs("ls", "-l", "test", status=3)
    assert done.stdout.count("refused") == len(odd.REFUSED) - 1
    mount = new_mount(mirror.url)
    mount.expect("package test:")
    for name in FILES:
        path = os.path.join(mount.path, name.replace(":", "/"), "2.0.0.wasm")
        assert errno_of(read, path) == ("EBADMSG" if is_refused(name) else None), name
    # The reference's client accepts most of them, from both servers.
    home.warg("download", "test:year", "--version", "2.0.0", "--output", os.path.join(home.work, "out.wasm"))
    assert read(os.path.join(home.work, "out.wasm")) == odd.CONTENTS["test:year"]


def test_move(server, bring, home):
    """With the operator's key the registry accepts publishes to all packages except the refused ones."""
    own = bring(server.url, key=True)
    check_same(own, server)
    client = Client(own)
    for name, records in server.packages.items():
        content = wasm(400, "more " + name)
        record = Record(name, release("3.0.0", content), prev=records[-1][0], seconds=1_800_000_000)
        if not is_refused(name):
            client.publish(record, content)
            continue
        answer = client.send(record)
        assert answer.status == 422, (name, answer.body)
        assert name == odd.LONG or odd.REFUSED[name][1] in answer.json["message"], answer.body
        assert name == odd.LONG or "it was imported" in answer.json["message"]
    client.close()
    own.process.terminate()
    assert own.process.wait(30) == 0
    fsck(own)
    collect_garbage(own)
    fsck(own)
    # Without the origin it still knows the refused packages.
    again = programs.OwnServer(own.home, data=own.data, contents=own.contents)
    try:
        client = Client(again, keep=False)
        year = server.packages["test:year"][-1][0]
        assert client.send(Record("test:year", release("4.0.0", wasm(300, 5)), prev=year)).status == 422
        home.configure(again.url)
        assert home.wargfs("ls", "-l", "test", status=3).stdout.count("3.0.0  3 releases") == 2
    finally:
        again.end()


# ---- Lies about refused packages ----


def relabelled(name, at, **changes):
    """Change a record's signer or signature, which no proof covers, on the way."""
    def change(value):
        log = value.get("packages", {}).get(forge.package_log_id(name))
        if log:
            log[at].update(changes)
    return changed(change)


@pytest.mark.parametrize("name, at, changes", [
    ("test:year", 1, {"signature": forge.PUBLISHER.sign(b"other bytes")}),
    ("test:year", 1, {"keyId": forge.STRANGER.id}),
    ("test:unknown", 1, {"signature": forge.PUBLISHER.sign(b"other bytes")}),
    ("test:large", 1, {"signature": forge.PUBLISHER.sign(b"other bytes")}),
    ("test:version", 0, {"signature": forge.PUBLISHER.sign(b"other bytes")}),
    ("test:early", 0, {"signature": 'ecdsa-p256:MEQ"'}),
    ("test:key", 0, {"signature": "ecdsa-p256:"}),
    (odd.GOOD, 1, {"signature": forge.PUBLISHER.sign(b"other bytes")}),
    (odd.GOOD, 1, {"contentBytes": base64.b64encode(b"\x7a\x00").decode()}),
    ("test:year", 1, {"contentBytes": base64.b64encode(b"\x7a\x00").decode()}),
])
def test_lies(server, home, name, at, changes):
    """A lie about a package still ends the import: nothing is stored."""
    liar = Liar(server)
    try:
        liar.lie("logs", relabelled(name, at, **changes))
        done = home.wargfs("serve", "--data", os.path.join(home.path, "data"), "--listen", "127.0.0.1:0",
                           "--import", liar.url, status=3)
        assert f"package {name}" in done.stderr and "listens at" not in done.stdout
    finally:
        liar.close()
    assert not liar.mistakes


MARKS = {
    "a mark of one that is good": (
        "INSERT INTO refused SELECT log_id, (SELECT head FROM logs WHERE logs.log_id = packages.log_id), 'x'"
        " FROM packages WHERE name = CAST('test:good' AS BLOB)", "breaks no rule"),
    "a mark is gone": ("DELETE FROM refused WHERE CAST(reason AS TEXT) LIKE '%unknown field%'", "unknown field"),
    "a mark of another record": (
        "UPDATE refused SET registry_index = 0 WHERE CAST(reason AS TEXT) LIKE '%unknown field%'", "unknown field"),
    "a mark of no record": ("UPDATE refused SET registry_index = 1000 WHERE CAST(reason AS TEXT) LIKE '%between%'",
                            "between 1970 and 9999"),
    "a mark of nothing": ("INSERT INTO refused VALUES (x'" + "55" * 32 + "', 3, 'x')", "are not there"),
}


@pytest.mark.parametrize("what", MARKS)
def test_fsck_of_marks(server, bring, what):
    """No package is marked as refused without a reason."""
    mirror = bring(server.url)
    mirror.process.terminate()
    mirror.process.wait(30)
    statement, words = MARKS[what]
    database = sqlite3.connect(os.path.join(mirror.data, "registry.db"))
    assert database.execute(statement).rowcount > 0
    database.commit()
    database.close()
    done = mirror.home.wargfs("serve", "fsck", "--data", mirror.data, "--content-dir", mirror.contents, status=1)
    problems = [line for line in done.stdout.splitlines() if "refused from record" not in line]
    assert any(words in line for line in problems[:-1]) and "wrong" in problems[-1], problems


def test_follows(server, bring):
    """Records after a refused one are imported, newly refused packages are reported, others continue."""
    mirror = bring(server.url, "--refresh", "1")
    before = dict(server.packages)
    year, good = before["test:year"][-1][0], before[odd.GOOD][-1][0]
    contents = [wasm(250, f"grown {i}") for i in range(3)]
    grown = [Record("test:year", release("3.0.0", contents[0]), prev=year, seconds=500_000_000_000),
             Record(odd.GOOD, release("3.0.0", contents[1]), prev=good),
             odd.OddRecord(odd.TAKEN, release("3.0.0", contents[2]), prev=before[odd.TAKEN][-1][0],
                           edit=odd.at(400_000_000_000))]
    odd.send(server, list(zip(grown, contents)))
    length = server.checkpoint()["contents"]["logLength"]
    until(lambda: json.loads(mirror.get("v1/fetch/checkpoint"))["contents"]["logLength"] >= length, "it follows")
    check_same(mirror, server)
    said = mirror.surprises()
    assert len(said) == 2 and odd.TAKEN in said[1] and "imported as it is" in said[1], said
    for content in contents:
        assert mirror.get("content/" + digest(content).replace(":", "-")) == content
