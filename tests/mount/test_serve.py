# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""wargfs serve: what it keeps, what it lets in, and how it begins and ends."""
import concurrent.futures
import json
import os
import re
import resource
import shutil
import signal
import socket
import sqlite3
import stat
import subprocess
import threading

import pytest

import forge
import programs
import prometheus
from publisher import EPOCH, Client, Record, digest, grant, init, release, revoke, yank
from registry import wasm
from waiting import until

CONTENT = wasm(700, 31)


def refused(home, *words, status=1, **environment):
    """What a server says that does not start."""
    home.environment.update(environment)
    return home.wargfs("serve", *words, status=status).stderr


# ---- What it keeps ----


def test_restart(serve, connect):
    """All that was published is there again, with proofs for all lengths; what waited for contents waits still."""
    server = serve()
    client = connect(server)
    first = Record("test:kept", init(), release("1.0.0", CONTENT))
    client.publish(first, CONTENT)
    second = Record("test:kept", release("1.1.0", CONTENT), prev=first)
    client.publish(second)
    other = wasm(800, 32)
    waiting = Record("test:waits", init(), release("1.0.0", other))
    assert client.send(waiting).json["state"] == "sourcing"
    before = client.checkpoint()["contents"]
    proofs = [client.post("v1/proof/inclusion", {"logLength": length, "leafs": [length - 1]}).body
              for length in (1, 2, 3)]
    server.restart()
    client = connect(server)
    after = client.checkpoint()["contents"]
    assert {**after, "timestamp": before["timestamp"]} == before
    for length, proof in zip((1, 2, 3), proofs):
        assert client.post("v1/proof/inclusion", {"logLength": length, "leafs": [length - 1]}).body == proof
    assert client.state(waiting)["state"] == "sourcing"
    assert client.upload(waiting, other).status == 201
    assert client.state(waiting) == {"recordId": waiting.id, "state": "published", "registryIndex": 3}


def test_content_that_nobody_noted(serve, connect):
    """It got its name, and the power went: the record that waits for it is published at the next start."""
    server = serve()
    client = connect(server)
    record = Record("test:noted", init(), release("1.0.0", CONTENT))
    client.send(record)
    server.terminate()
    with open(os.path.join(server.contents, "files", digest(CONTENT).replace(":", "-")), "wb") as file:
        file.write(CONTENT)
    server.start()
    assert connect(server).state(record)["state"] == "published"


def test_key_is_made(serve, home):
    """At the first start; nobody else may read it, and it stays the same."""
    server = serve()
    own = programs.OwnServer(home)
    own.end()
    assert not os.path.exists(os.path.join(own.data, "operator.key"))  # there was one in the environment
    del own.environment["WARG_OPERATOR_KEY"]
    own.data += "-made"
    own.contents += "-made"
    own.start()
    key = os.path.join(own.data, "operator.key")
    assert stat.S_IMODE(os.stat(key).st_mode) == 0o600
    assert stat.S_IMODE(os.stat(own.data).st_mode) == 0o700
    with open(key) as file:
        made = forge.Key(file.read())
    with open(own.log) as file:
        said = file.read()
    assert made.id in said and made.public in said and own.url in said
    own.restart()
    signed = json.loads(own.get("v1/fetch/checkpoint"))
    assert signed["keyId"] == made.id
    own.end()
    # It is given in a file as well, with a newline at the end or without.
    path = os.path.join(home.path, "key")
    os.rename(key, path)
    with open(path, "a") as file:
        file.write("\n")
    assert "others may read" not in refused(home, "--data", own.data, "--content-dir", own.contents, "--listen",
                                            f"127.0.0.1:{server.address[1]}", "--operator-key-file", path)
    os.chmod(path, 0o640)
    assert "others may read this key" in refused(home, "--data", own.data, "--operator-key-file", path)


def test_refused_no_more(serve, connect):
    """The mark of a package that keeps the rules of this program is taken at the start; those of others stay."""
    server = serve()
    client = connect(server)
    first = Record("test:fine", init())
    client.publish(first)
    server.terminate()
    unknown = forge.package_log_id("test:unknown")
    database = sqlite3.connect(os.path.join(server.data, "registry.db"))
    with database:
        for log in first.log_id, unknown:
            database.execute("INSERT INTO refused VALUES (?, 1, 'it breaks a rule of the past')",
                             (bytes.fromhex(log.partition(":")[2]),))
    database.close()
    server.start()
    connect(server).publish(Record("test:fine", release("1.0.0", CONTENT), prev=first), CONTENT)
    server.terminate()
    database = sqlite3.connect(os.path.join(server.data, "registry.db"))
    assert database.execute("SELECT log_id FROM refused").fetchall() == [(bytes.fromhex(unknown.partition(":")[2]),)]
    database.close()


@pytest.mark.parametrize("sign", ["begun", "contents"])
def test_database_is_lost(serve, connect, home, sign):
    """A registry of the same key with another history would be refused by each client: none is begun."""
    server = serve("--content-dir", os.path.join(home.path, "data/contents"), data=os.path.join(home.path, "data"))
    connect(server).publish(Record("test:lost", init(), release("1.0.0", CONTENT)), CONTENT)
    server.terminate()
    signs = {"begun", "contents"}
    for other in signs - {sign}:
        os.rename(os.path.join(server.data, other), os.path.join(home.path, other))
    os.rename(os.path.join(server.data, "registry.db"), os.path.join(home.path, "kept"))
    before = sorted(os.listdir(server.data))
    said = refused(home, "--data", server.data, status=programs.ABSENT, WARG_OPERATOR_KEY=forge.OPERATOR.text)
    assert "lacks its registry.db" in said and f"remove '{sign}' there" in said
    assert sorted(os.listdir(server.data)) == before
    os.rename(os.path.join(home.path, "kept"), os.path.join(server.data, "registry.db"))
    server.start()
    assert connect(server).length() == 2
    server.terminate()
    os.unlink(os.path.join(server.data, "registry.db"))
    shutil.rmtree(os.path.join(server.data, "contents"), ignore_errors=True)
    os.unlink(os.path.join(server.data, "begun"))
    server.start()
    assert connect(server).length() == 1


def test_another_key(serve, home):
    """A registry is its operator's: with another key it does not start, and the other key is not kept."""
    server = serve()
    server.terminate()
    said = refused(home, "--data", server.data, "--content-dir", server.contents,
                   status=programs.REFUSED, WARG_OPERATOR_KEY=forge.STRANGER.text)
    assert "begun with another" in said
    server.start()


def test_two_servers(serve, home):
    """One data folder, and one folder of contents, is one server's."""
    server = serve()
    said = refused(home, "--data", server.data, "--listen", "127.0.0.1:0", status=programs.REFUSED)
    assert f"another server (process {server.process.pid}) is already using the folder" in said
    said = refused(home, "--data", os.path.join(home.path, "new"), "--content-dir", server.contents, "--listen",
                   "127.0.0.1:0", status=programs.REFUSED)
    assert f"another server (process {server.process.pid}) is already using the folder" in said
    server.terminate()
    server.start()


def test_misuse(home):
    data = os.path.join(home.path, "data")
    assert "--data DIR" in refused(home, status=2)
    assert "no address" in refused(home, "--data", data, "--listen", "nowhere", status=2)
    assert "no address" in refused(home, "--data", data, "--listen", "registry.test:80", status=2)
    assert "is not a namespace" in refused(home, "--data", data, "--namespace", "lo_ud", status=2)
    assert "is not a size" in refused(home, "--data", data, "--content-limit", "5X", status=2)
    assert "is not a size" in refused(home, "--data", data, "--content-limit", "5G", status=2)
    assert "not the URL" in refused(home, "--data", data, "--content-base-url", "ftp://x", status=2)
    assert "certificate" in refused(home, "--data", data, "--tls-key", "/dev/null", status=2)
    assert "No such file" in refused(home, "--data", data, "--authorized-keys-file", "/nowhere")
    assert "--registry" not in home.wargfs("serve", "--help").stdout


# ---- Who may publish what ----


def test_namespaces(serve, connect):
    """Those that were asked for, later ones too; an imported one is another registry's."""
    server = serve("--namespace", "more", "--namespace", "there=example.com", "--namespace", "test")
    client = connect(server)
    assert client.length() == 1
    client.publish(Record("more:here", init()))
    answer = client.send(Record("there:here", init()))
    assert (answer.status, answer.json) == (409, {"status": 409, "type": "namespaceImport", "id": "there"})
    assert client.send(Record("nowhere:here", init())).json["type"] == "namespace"
    server.more = ("--namespace", "late")
    server.restart()
    client = connect(server)
    assert client.length() == 3
    client.publish(Record("late:here", init()))
    server.more = ("--namespace", "there")
    server.terminate()
    assert "and stays so" in refused(server.home, *server.words()[2:], WARG_OPERATOR_KEY=forge.OPERATOR.text, status=2)


AUTHORIZED = f"""
# who may publish here
[namespace.test]  # all of it
keys = ["{forge.PUBLISHER.id}"]

[package."more:delegated"]
keys = [
    '{forge.PUBLISHER.id}', # and nobody else at first
]
delegation = true
"""


def test_authorized_keys(serve, connect, home):
    path = os.path.join(home.path, "keys.toml")
    with open(path, "w") as file:
        file.write(AUTHORIZED + "namespace.odd = {keys = ['somebody']}\n")
    refused(home, "--data", "data", "--authorized-keys-file", path)
    with open(path, "w") as file:
        file.write("namespace.odd = {keys = ['somebody']}\n" + AUTHORIZED)
    server = serve("--namespace", "more", "--authorized-keys-file", path)
    with open(server.log) as file:
        assert f"warning: {path}, line 1: 'somebody' is no key id" in file.read()
    client = connect(server)
    assert client.send(Record("test:mine", init())).status == 202
    answer = client.send(Record("test:yours", init(forge.STRANGER), key=forge.STRANGER))
    assert answer.status == 401
    assert answer.json["message"] == (f"key id `{forge.STRANGER.id}` is not authorized to publish to package "
                                      "`test:yours`")
    assert client.send(Record("more:other", init())).status == 401
    first = Record("more:delegated", init(), grant(forge.STRANGER, 1))
    client.publish(first)
    second = Record("more:delegated", release("1.0.0", CONTENT), prev=first, key=forge.STRANGER)
    client.publish(second, CONTENT)
    assert client.send(Record("more:delegated", init(forge.STRANGER), key=forge.STRANGER)).status == 401


def test_token(serve, connect, home):
    """It is wanted for publishing, and for nothing else; our client and the reference's send it."""
    path = os.path.join(home.path, "token")
    with open(path, "w") as file:
        file.write("a-secret\n")
    os.chmod(path, 0o644)
    assert "others may read this token" in refused(home, "--data", "data", "--auth-token-file", path)
    os.chmod(path, 0o600)
    server = serve("--auth-token-file", path)
    client = connect(server)
    record = Record("test:token", init(), release("1.0.0", CONTENT))
    for headers in ({}, {"authorization": "Bearer another"}, {"authorization": "Basic a-secret"}):
        answer = client.send(record, **headers)
        assert answer.status == 401 and answer.type == "application/json" and answer.json["status"] == 401
    assert client.send(record, authorization="Bearer a-secret").status == 202
    assert client.upload(record, CONTENT).status == 201
    assert client.state(record)["state"] == "published"
    home.configure(server.url)
    content = os.path.join(home.work, "content.wasm")
    with open(content, "wb") as file:
        file.write(CONTENT)
    done = home.wargfs("publish", "release", "-n", "test:with-token", "-v", "1.0.0", content, status=None)
    assert done.returncode != 0 and "wargfs login" in done.stderr
    home.wargfs("login", input="a-secret\n", stdin=None)
    home.wargfs("publish", "release", "-n", "test:with-token", "-v", "1.0.0", content)
    home.warg("publish", "release", "-n", "test:with-token", "-v", "1.1.0", content)


def test_contents_that_are_refused(serve, connect):
    """What is no Wasm file, or too large, is no content: the record is rejected, and so for good."""
    server = serve("--content-limit", "2k")
    client = connect(server)
    text = b"not even close"
    record = Record("test:text", init(), release("1.0.0", text))
    client.send(record)
    answer = client.upload(record, text)
    assert answer.status == 422
    assert answer.json["message"].startswith("content is not valid WebAssembly: magic header not detected: bad magic")
    state = client.state(record)
    assert state["state"] == "rejected" and digest(text) in state["reason"] and "policy" in state["reason"]
    assert client.upload(record, text).status == 405
    cut = CONTENT[:-1]
    record = Record("test:cut", init(), release("1.0.0", cut))
    client.send(record)
    assert client.upload(record, cut).status == 422
    large = wasm(2049, 33)
    record = Record("test:large", init(), release("1.0.0", large))
    client.send(record)
    assert client.upload(record, large).status == 413
    assert client.state(record)["state"] == "sourcing"

    def pieces():
        yield large
    answer = client.post(f"{record.path}/{record.id}/content/{digest(large)}", pieces())
    assert answer.status == 422 and "larger than 2048 bytes" in answer.json["message"]
    assert os.listdir(os.path.join(server.contents, "files")) == []
    assert os.listdir(os.path.join(server.contents, "tmp")) == []
    largest = wasm(2048, 34)
    client.publish(Record("test:largest", init(), release("1.0.0", largest)), largest)


NO_WASM = (
    (b"", "unexpected end-of-file (at offset 0x0)"),
    (b"\0asm\x0d\0", "unexpected end-of-file (at offset 0x4)"),
    (b"\0asm\2\0\0\0", "unknown binary version: 0x2 (at offset 0x0)"),
    (b"\0asm\x0c\0\1\0", "unsupported component version: 0xc (at offset 0x0)"),
    (CONTENT[:-1], "unexpected end-of-file (at offset 0xe)"),
)


def test_words_of_the_reference(serve, connect):
    """Its integration tests, and perhaps its users' programs, look for these words."""
    client = connect(serve())
    for number, (content, words) in enumerate(NO_WASM):
        record = Record(f"test:no-wasm{number}", init(), release("1.0.0", content))
        client.send(record)
        answer = client.upload(record, content)
        assert (answer.status, answer.json["message"]) == (422, f"content is not valid WebAssembly: {words}")
        assert client.state(record)["reason"] == (f"content with digest `{digest(content)}` was rejected by policy: "
                                                  f"content is not valid WebAssembly: {words}")


def test_wrong_content(serve, connect):
    """Other bytes are not taken; the record waits on."""
    client = connect(serve())
    record = Record("test:wrong", init(), release("1.0.0", CONTENT))
    client.send(record)
    answer = client.upload(record, wasm(700, 99), of=digest(CONTENT))
    assert answer.status == 400 and "does not match" in answer.json["message"]
    assert client.upload(record, CONTENT).status == 201


def test_log_rules(serve, connect):
    """The client's own state machine decides; what is against its rules is told at once, and remembered."""
    client = connect(serve())
    first = Record("test:rules", init(), release("1.0.0", CONTENT))
    client.publish(first, CONTENT)
    second = Record("test:rules", grant(forge.STRANGER, 1), prev=first)
    client.publish(second)
    for entries, options, words in (
            ((release("1.0.0", CONTENT),), {}, "second time"),
            ((yank("3.0.0"),), {}, "never released"),
            ((yank("1.0.0"),), {"key": forge.STRANGER}, "permission"),
            ((release("2.0.0", CONTENT),), {"prev": first}, "prev"),
            ((release("2.0.0", CONTENT),), {"seconds": EPOCH - 1}, "before that of"),
            ((init(),), {}, "init"),
            ((revoke(forge.STRANGER, 2),), {}, "yank")):
        record = Record("test:rules", *entries, **{"prev": second, **options})
        answer = client.send(record)
        assert answer.status == 202 and answer.json["state"] == "rejected", (entries, answer.body)
        assert words in answer.json["reason"], answer.json["reason"]
        assert client.state(record) == answer.json == client.send(record).json
    assert client.length() == 3


def test_place_is_taken(serve, connect):
    """While a record waits for its contents, another one of the package is told to wait for it."""
    client = connect(serve())
    first = Record("test:place", init(), release("1.0.0", CONTENT))
    client.send(first)
    other = Record("test:place", init())
    answer = client.send(other)
    assert (answer.status, answer.json) == (409, {"status": 409, "type": "record", "id": first.id})
    assert client.send(first).json["state"] == "sourcing"
    client.upload(first, CONTENT)
    answer = client.send(other)
    assert answer.json["state"] == "rejected"


def test_many_contents(serve, connect):
    """A record of several, some of them the same, some there already; the last one publishes it."""
    client = connect(serve())
    contents = [wasm(300 + i, 50 + i) for i in range(5)]
    client.publish(Record("test:before", init(), release("1.0.0", contents[0])), contents[0])
    record = Record("test:many", init(), *(release(f"1.{i}.0", contents[i % 5]) for i in range(10)))
    answer = client.send(record).json
    assert list(answer["missingContent"]) == [digest(content) for content in contents[1:]]
    for left, content in zip((3, 2, 1, 0), contents[1:]):
        assert client.upload(record, content).status == 201
        state = client.state(record)
        assert len(state.get("missingContent", ())) == left
    assert state["state"] == "published"


def test_two_records_one_content(serve, connect):
    client = connect(serve())
    records = [Record(f"test:shares-p{i}", init(), release("1.0.0", CONTENT)) for i in range(3)]
    for record in records:
        assert client.send(record).json["state"] == "sourcing"
    assert client.upload(records[1], CONTENT).status == 201
    assert sorted(client.state(record)["registryIndex"] for record in records) == [1, 2, 3]


def test_large_log(serve, connect, home):
    """A log of records as large as they may be comes in several answers, whatever number of records is asked for."""
    server = serve()
    client = connect(server)
    prev = None
    for number in range(10):
        entries = [release(f"{number}.{i}.0", CONTENT) for i in range(9000)]
        prev = Record("test:large-log", *(() if prev else (init(),)), *entries, prev=prev)
        client.publish(prev, CONTENT)
    small = Record("test:small-log", init())
    client.publish(small)
    token, found, pages, more = None, 0, 0, True
    while more:
        tokens = {prev.log_id: token, small.log_id: small.id if token else None}
        asked = {"logLength": 12, "limit": 1000, "packages": tokens}
        answer = client.post("v1/fetch/logs", asked)
        assert len(answer.body) < (8 << 20) + (3 << 19)  # one more record than enough
        records = answer.json["packages"][prev.log_id]
        assert len(answer.json["packages"][small.log_id]) == (0 if token else 1)
        token = records[-1]["fetchToken"] if records else token
        found, pages, more = found + len(records), pages + 1, answer.json["more"]
    assert (found, token) == (10, prev.id) and pages > 1
    home.configure(server.url)
    assert len(home.wargfs("ls", "test:large-log").stdout.splitlines()) == 90000


# ---- Many at once ----


def test_many_publishers(serve):
    """Each has its place once; commits were fewer than records."""
    server = serve()

    def publish(number):
        client = Client(server)
        try:
            records, prev = [], None
            for version in range(5):
                content = wasm(200 + number, number * 100 + version)
                entries = (release(f"0.{version}.0", content),)
                prev = Record(f"test:many-p{number}", *(() if prev else (init(),)), *entries, prev=prev)
                records.append(client.publish(prev, content))
            return records
        finally:
            client.close()

    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        places = [place for places in pool.map(publish, range(16)) for place in places]
    assert sorted(places) == list(range(1, 81))
    metrics = prometheus.check(server.get("metrics").decode(), "wargfs_serve_", "wargfs-serve.1")
    assert metrics["wargfs_serve_records_total"] == 80
    assert metrics["wargfs_serve_log_length"] == 81
    assert 5 <= metrics["wargfs_serve_commits_total"] < 80


def test_connections(serve, connect):
    """A thousand that say nothing, and two hundred that say it slowly: others are served."""
    server = serve("--client-connections", "2000")
    allowed, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 2000 if most == resource.RLIM_INFINITY else min(most, 2000)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(allowed, wanted), most))  # of a login shell: 1024
    idle = [socket.create_connection(server.address) for _ in range(1000)]
    slow = [socket.create_connection(server.address) for _ in range(200)]
    try:
        for one in slow:
            one.sendall(b"POST /v1/fetch/logs HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n"
                        b"content-length: 15\r\n\r\n{")
        client = connect(server)
        client.publish(Record("test:served", init(), release("1.0.0", CONTENT)), CONTENT)
        for one in slow:
            one.sendall(b'"logLength":1}')
        for one in slow:
            assert one.recv(15) == b"HTTP/1.1 200 OK"
    finally:
        for one in idle + slow:
            one.close()
        resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, most))


def raw(method, path, body=b""):
    return (f"{method} /{path} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n"
            f"content-length: {len(body)}\r\n\r\n").encode() + body


def memory(server):
    with open(f"/proc/{server.process.pid}/status") as file:
        return int(re.search(r"VmRSS:\s+(\d+) kB", file.read())[1])


@pytest.mark.parametrize("wanted, status, begin", (
    ("bytes=64-", 206, 64), ("bytes=128-", 416, None), ("bytes=64000-", 416, None), ("bytes=64000000-", 416, None),
    ("bytes=0-", 200, 0), ("bytes=1-", 200, 0), ("bytes=64-64", 200, 0), ("bytes=-64", 200, 0), ("bytes=", 200, 0),
    ("bytes=99999999999999999999-", 200, 0), ("records=64-", 200, 0)))
def test_ledger_range(serve, connect, wanted, status, begin):
    """What a client has of a part of the ledger is not sent again: whole records, to the end."""
    client = connect(serve())
    client.publish(Record("test:some", init(), release("1.0.0", CONTENT)), CONTENT)
    whole = client.ask("GET", "v1/ledger/records/0").body
    assert len(whole) == 2 * 64
    answer = client.ask("GET", "v1/ledger/records/0", range=wanted)
    assert answer.status == status and answer.body == (b"" if begin is None else whole[begin:])
    assert answer.headers.get("content-range") == ("bytes 64-127/128" if status == 206 else None)


def test_a_hundred_thousand_requests(serve, connect):
    """Memory stays where it is; nothing is lost, as the sanitizer sees at the end."""
    server = serve()
    record = Record("test:many-times", init(), release("1.0.0", CONTENT))
    connect(server).publish(record, CONTENT)
    publish = json.dumps({"packageName": record.name, "record": record.body}).encode()
    requests = (raw("GET", "v1/fetch/checkpoint"),
                raw("POST", "v1/fetch/logs", json.dumps({"logLength": 2, "packages": {record.log_id: None}}).encode()),
                raw("POST", "v1/proof/inclusion", b'{"logLength":2,"leafs":[1]}'),
                raw("POST", "v1/fetch/names", b"{"), raw("GET", "v1/nothing"), raw("POST", record.path, publish),
                raw("GET", f"content/{digest(CONTENT).replace(':', '-')}"), raw("GET", "v1/ledger/records/0"))
    batch = b"".join(requests) * 5

    def send(connection, times):
        for _ in range(times):
            connection.sendall(batch)
            heads, rest = 0, b""
            while heads < 5 * len(requests):
                heard = rest + connection.recv(1 << 20)
                heads += heard.count(b"HTTP/1.1 ")
                rest = heard[-len("HTTP/1.1"):]

    with socket.create_connection(server.address) as connection:
        send(connection, 1250)
        before = memory(server)
        send(connection, 1250)
    # A sanitizer keeps for a while what was freed.
    assert memory(server) < before + (65536 if programs.is_sanitized() else 2048)
    server.terminate()
    server.start()


NOTHING = None  # the connection ends without an answer
LOGS = b"POST /v1/fetch/logs HTTP/1.1\r\nhost: x\r\n"
MALFORMED = (
    (b"\0" * 100, {NOTHING}),
    (b"GET\r\n\r\n", {NOTHING}),
    (b"GET / HTTP/9.9\r\n\r\n", {505}),
    # A client that still sends after the answer may be cut off before it has read it.
    (b"GET / HTTP/1.1\r\nhost: x\r\nx: " + b"y" * 70000 + b"\r\n\r\n", {431, NOTHING}),
    (b"GET /" + b"a" * 70000 + b" HTTP/1.1\r\nhost: x\r\n\r\n", {414, NOTHING}),
    (LOGS + b"content-length: -5\r\n\r\n", {400}),
    (LOGS + b"content-length: 99999999999999999999999\r\n\r\n", {413}),
    (LOGS + b"transfer-encoding: chunked\r\n\r\nzz\r\n", {400}),
    (LOGS + b"transfer-encoding: chunked\r\n\r\nfffffffffffffffff\r\n", {413}),
    (b"GET /content/sha256-%00 HTTP/1.1\r\nhost: x\r\n\r\n", {404}),
    (b"GET /content/../../operator.key HTTP/1.1\r\nhost: x\r\n\r\n", {404}),
    (b"GET /v1/content/sha256:" + b"%2e%2e%2f" * 20 + b" HTTP/1.1\r\nhost: x\r\n\r\n", {404}),
)


@pytest.mark.parametrize("request_, expected", MALFORMED, ids=range(len(MALFORMED)))
def test_malformed(serve, connect, request_, expected):
    """The request is refused with the right status, and the server continues."""
    server = serve()
    with socket.create_connection(server.address) as stranger:
        stranger.settimeout(5)
        try:
            stranger.sendall(request_)
            stranger.shutdown(socket.SHUT_WR)
            answer = stranger.recv(100)
        except OSError:
            answer = b""
    status = re.match(rb"HTTP/1\.[01] (\d\d\d) ", answer)
    assert (int(status[1]) if status else NOTHING) in expected and (status or not answer), answer
    assert connect(server).length() == 1


HOSTS = ("example.com:8090", "[::1]:7", "a\"b", "x/y", "a b", "", "x" * 300)


def test_host(serve, connect):
    """The URL of a content is where the client reached us, if that is a host, and never more than that."""
    client = connect(serve())
    client.publish(Record("test:host", init(), release("1.0.0", CONTENT)), CONTENT)
    for host in HOSTS:
        answer = client.ask("GET", f"v1/content/{digest(CONTENT)}", host=host)
        url = answer.json["contentSources"][digest(CONTENT)][0]["url"]
        expected = host if host in HOSTS[:2] else "localhost"
        assert url == f"http://{expected}/content/{digest(CONTENT).replace(':', '-')}"


def test_health(serve, connect):
    assert connect(serve()).ask("GET", "healthz").body == b"ok\n"


def test_conditional_requests(serve, connect):
    client = connect(serve())
    client.publish(Record("test:etag", init(), release("1.0.0", CONTENT)), CONTENT)
    path = "content/" + digest(CONTENT).replace(":", "-")
    whole = client.ask("GET", path)
    tag, date = whole.headers["etag"], whole.headers["last-modified"]
    assert tag == f'"{digest(CONTENT)}"' and whole.body == CONTENT
    assert "immutable" in whole.headers["cache-control"]
    for headers in ({"if-none-match": tag}, {"if-none-match": f'"x", W/{tag}'}, {"if-none-match": "*"},
                    {"if-modified-since": date}):
        answer = client.ask("GET", path, **headers)
        assert (answer.status, answer.body) == (304, b"")
    for headers in ({"if-none-match": '"x"'}, {"if-modified-since": "Thu, 01 Jan 1970 00:00:00 GMT"},
                    {"if-modified-since": "yesterday"}, {"range": "bytes=0-3", "if-range": '"x"'}):
        assert client.ask("GET", path, **headers).status == 200
    for condition in (tag, date):
        answer = client.ask("GET", path, **{"range": "bytes=0-3", "if-range": condition})
        assert (answer.status, answer.body) == (206, CONTENT[:4])
    head = client.ask("HEAD", path)
    assert (head.status, head.body, head.headers["content-length"]) == (200, b"", str(len(CONTENT)))


# ---- Disks ----


@pytest.fixture
def small(folder):
    """A file system of a few megabytes."""
    path = os.path.join(folder, "small")
    os.mkdir(path)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", path], check=True)
    yield path
    subprocess.run(["umount", "-l", path], check=True)


def fill(path):
    with open(os.path.join(path, "filler"), "wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(65536))
        except OSError:
            pass
        try:
            while True:
                file.write(bytes(512))
        except OSError:
            pass


def test_full_disk(serve, connect, small):
    """It says that it cannot store anything, keeps what it has, and goes on as soon as there is room again."""
    server = serve("--data", os.path.join(small, "data"), "--content-dir", os.path.join(small, "contents"))
    client = connect(server)
    first = Record("test:full", init(), release("1.0.0", CONTENT))
    client.publish(first, CONTENT)
    fill(small)
    other = wasm(300000, 35)
    second = Record("test:full", release("1.1.0", other), prev=first)
    answer = client.send(second)
    if answer.status == 202:  # there was room in the log of the database
        answer = client.upload(second, other)
    assert answer.status == 507 and answer.headers["retry-after"], answer.body
    assert client.length() == 2
    assert client.ask("GET", f"v1/content/{digest(CONTENT)}").status == 200
    os.unlink(os.path.join(small, "filler"))
    client.publish(second, other)
    assert client.length() == 3


def test_read_only_disk(serve, connect, small):
    server = serve("--data", os.path.join(small, "data"), "--content-dir", os.path.join(small, "contents"))
    client = connect(server)
    first = Record("test:read-only", init(), release("1.0.0", CONTENT))
    client.publish(first, CONTENT)
    server.terminate()
    subprocess.run(["mount", "-o", "remount,ro", small], check=True)
    said = refused(server.home, *server.words()[2:], WARG_OPERATOR_KEY=forge.OPERATOR.text)
    assert os.path.join(small, "data") in said and "Read-only file system" in said
    subprocess.run(["mount", "-o", "remount,rw", small], check=True)
    server.start()
    assert connect(server).length() == 2


# ---- Beginning and end ----


def test_unix_socket(serve, home):
    path = os.path.join(home.path, "socket")
    process = home.start(programs.WARGFS, "serve", "--data", os.path.join(home.path, "data"), "--listen",
                         f"unix:{path}", stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout.readline() == f"registry    unix:{path}\n"
        assert stat.S_IMODE(os.stat(path).st_mode) == 0o600
        done = home.run("curl", "-sS", "--unix-socket", path, "http://localhost/v1/fetch/checkpoint")
        assert json.loads(done.stdout)["contents"]["logLength"] == 1
    finally:
        process.terminate()
        process.communicate(timeout=30)
    assert process.returncode == 0


def test_socket_takes_nothing_away(home):
    """What lies at its path and is no socket stays."""
    path = os.path.join(home.path, "file")
    with open(path, "w") as file:
        file.write("precious")
    assert "Address already in use" in refused(home, "--data", os.path.join(home.path, "data"), "--listen",
                                               f"unix:{path}")
    with open(path) as file:
        assert file.read() == "precious"


def test_service_manager(home):
    """A socket that it hands over is listened on; it is told when we are ready, and when we end."""
    told = os.path.join(home.path, "told")
    with socket.create_server(("127.0.0.1", 0)) as ours, socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(told)
        manager.settimeout(30)
        home.environment.update(NOTIFY_SOCKET=told, LISTEN_FDS="1")
        command = f'exec 3<&{ours.fileno()}; export LISTEN_PID=$$; exec "$0" "$@"'
        process = home.start("bash", "-c", command, programs.WARGFS, "serve", "--data", os.path.join(home.path, "data"),
                             pass_fds=(ours.fileno(),), stdout=subprocess.DEVNULL)
        try:
            assert manager.recv(100) == b"READY=1"
            address = ours.getsockname()
            client = Client(type("Server", (), {"address": address}))
            assert client.length() == 1
            client.close()
            process.terminate()
            assert manager.recv(100) == b"STOPPING=1"
            assert process.wait(30) == 0
        finally:
            process.kill()
            process.wait()


def test_end_in_good_order(serve):
    """What was accepted is finished: an upload that has begun, and its record."""
    server = serve()
    client = Client(server)
    content = wasm(1 << 20, 36)
    record = Record("test:end", init(), release("1.0.0", content))
    client.send(record)
    half = threading.Event()

    def pieces():
        yield content[:1000]
        half.wait(30)
        yield content[1000:]

    def upload():
        return client.ask("POST", f"{record.path}/{record.id}/content/{digest(content)}", pieces())

    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        answer = pool.submit(upload)
        until(lambda: os.listdir(os.path.join(server.contents, "tmp")), "the upload has begun")
        server.process.send_signal(signal.SIGTERM)

        def is_closed():
            try:
                socket.create_connection(server.address).close()
            except ConnectionError:
                return True
        until(is_closed, "it takes no more connections")
        half.set()
        assert answer.result(30).status == 201
    client.close()
    assert server.process.wait(30) == 0
    server.start()
    again = Client(server)
    assert again.state(record)["state"] == "published"
    again.close()


def test_tls(serve, home):
    """With a certificate it is https."""
    tls = os.path.join(os.path.dirname(__file__), "../data/tls")
    server = serve("--tls-certificate", os.path.join(tls, "certificate.pem"), "--tls-key", os.path.join(tls, "key.pem"))
    with open(server.log) as file:
        assert f"https://127.0.0.1:{server.address[1]}/" in file.read()
    done = home.run("curl", "-sSk", f"https://127.0.0.1:{server.address[1]}/v1/fetch/checkpoint")
    assert json.loads(done.stdout)["contents"]["logLength"] == 1
    done = home.run("curl", "-s", f"http://127.0.0.1:{server.address[1]}/v1/fetch/checkpoint", status=None)
    assert done.returncode != 0
    assert "certificate" in refused(home, "--data", os.path.join(home.path, "data"), "--listen", "127.0.0.1:0",
                                    "--tls-certificate", __file__, "--tls-key", __file__, status=2)
