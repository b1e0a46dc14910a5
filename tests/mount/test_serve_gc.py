# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""A server, and `wargfs serve gc`, remove what publishers leave behind; contents that a record names stay."""
import concurrent.futures
import json
import os
import random
import sqlite3
import threading
import time

import pytest

import programs
from publisher import Client, Record, digest, init, release
from registry import wasm
from waiting import until

CONTENT, OTHER = wasm(300, 140), wasm(310, 141)
TEXT = b"this is no component"


@pytest.fixture
def server(home):
    server = programs.OwnServer(home)
    yield server
    server.end()


@pytest.fixture
def client(server):
    client = Client(server, keep=False)
    yield client
    client.close()


def gc(home, server, *words, status=0):
    return home.wargfs("serve", "gc", "--data", server.data, "--content-dir", server.contents, *words, status=status)


def path_of(server, content):
    return os.path.join(server.contents, "files", digest(content).replace(":", "-"))


def lay(server, content, age):
    """Store a content that was not uploaded."""
    with open(path_of(server, content), "wb") as file:
        file.write(content)
    os.utime(path_of(server, content), (time.time() - age,) * 2)


def execute(server, *statements):
    database = sqlite3.connect(os.path.join(server.data, "registry.db"), timeout=30)
    found = [database.execute(statement).fetchall() for statement in statements]
    database.commit()
    database.close()
    return found


def reject(client, name, *contents, **options):
    """Let a record be rejected: its contents are uploaded, but one is no component."""
    entries = [release(f"1.{i}.0", content) for i, content in enumerate((*contents, TEXT))]
    record = Record(name, init(), *entries, **options)
    missing = client.send(record).json["missingContent"]
    for content in contents:
        if digest(content) in missing:
            assert client.upload(record, content).status in (201, 400)  # another record may have brought it meanwhile
    assert client.upload(record, TEXT).status == 422
    return record


def fsck(home, server):
    return home.wargfs("serve", "fsck", "--data", server.data, "--content-dir", server.contents).stdout


def test_by_itself(home, server, client):
    """Contents go soon after their record was rejected; those that another record names stay."""
    client.publish(Record("test:has", init(), release("1.0.0", CONTENT)), CONTENT)
    waits = Record("test:waits", init(), release("1.0.0", wasm(330, 142)), release("1.1.0", wasm(330, 143)))
    client.send(waits)
    client.upload(waits, wasm(330, 142))
    record = reject(client, "test:is-rejected", CONTENT, OTHER, wasm(330, 142))
    assert client.state(record)["state"] == "rejected"
    until(lambda: not os.path.exists(path_of(server, OTHER)), "it is gone")
    assert client.ask("GET", "content/" + digest(OTHER).replace(":", "-")).status == 404
    for content in (CONTENT, wasm(330, 142)):
        assert client.ask("GET", "content/" + digest(content).replace(":", "-")).body == content
    client.upload(waits, wasm(330, 143))
    assert client.state(waits)["state"] == "published"
    # Only the reason of the rejected record is left.
    assert execute(server, "SELECT length(content), length(signature) FROM submitted") == [[(0, 0)]]
    assert "rejected by policy" in client.state(record)["reason"]
    # The content can be uploaded again.
    client.publish(Record("test:later", init(), release("1.0.0", OTHER)), OTHER)
    until(lambda: execute(server, "SELECT * FROM received WHERE digest NOT IN (SELECT digest FROM missing)") == [[]],
          "nothing is watched any more")
    assert "all is well" in fsck(home, server)


def test_at_the_start(home, server, client):
    """After a restart: leftovers of a killed server; a record that waited for a day; old reasons."""
    waits = Record("test:waits", init(), release("1.0.0", CONTENT), release("1.1.0", OTHER))
    client.send(waits)
    client.upload(waits, CONTENT)
    fresh = Record("test:fresh", init(), release("1.0.0", OTHER))
    client.send(fresh)
    old, recent = reject(client, "test:is-old"), reject(client, "test:recent", wasm(340, 148))
    server.end()
    execute(server, f"UPDATE submitted SET since = since - 90000 WHERE record_id = x'{waits.id[7:]}'",
            f"UPDATE submitted SET since = since - 3000000 WHERE record_id = x'{old.id[7:]}'")
    server.start()
    again = Client(server)
    until(lambda: again.state(waits)["state"] == "rejected", "it has waited for long enough")
    until(lambda: not os.path.exists(path_of(server, CONTENT)), "its content is gone")
    until(lambda: again.ask("GET", f"{old.path}/{old.id}").status == 404, "an old reason is gone")
    assert again.state(recent)["state"] == "rejected" and again.state(fresh)["state"] == "sourcing"
    assert execute(server, f"SELECT count(*) FROM packages WHERE log_id = x'{old.log_id[7:]}'") == [[(0,)]]
    again.close()


def test_command(home, server, client):
    """gc beside a running server removes all leftovers that are a day old, and only contents."""
    client.publish(Record("test:has", init(), release("1.0.0", CONTENT)), CONTENT)
    waits = Record("test:waits", init(), release("1.0.0", OTHER), release("1.1.0", wasm(330, 144)))
    client.send(waits)
    client.upload(waits, OTHER)
    for content in (CONTENT, OTHER):
        os.utime(path_of(server, content), (1, 1))
    lay(server, wasm(350, 145), 100000)
    lay(server, wasm(350, 146), 10)
    kept = [os.path.join(server.contents, name) for name in ("files/thesis.txt", "files/sha256-12", "letter.txt")]
    for path in kept:
        with open(path, "w") as file:
            file.write("kept")
        os.utime(path, (1, 1))
    assert json.loads(gc(home, server, "--dry-run", "--json").stdout) == {"contents": 1, "bytes": 350, "records": 0}
    assert os.path.exists(path_of(server, wasm(350, 145)))
    assert gc(home, server).stdout == "1 contents of 350 bytes, and 0 rejected records: gone\n"
    assert not os.path.exists(path_of(server, wasm(350, 145)))
    assert all(map(os.path.exists, [*kept, *(path_of(server, content) for content in
                                             (CONTENT, OTHER, wasm(350, 146)))]))
    assert "0 contents" in gc(home, server).stdout


def test_nothing_is_lost(home, server, client, folder):
    """Nothing is removed from a damaged registry, or from another registry's folder."""
    client.publish(Record("test:has", init(), release("1.0.0", CONTENT)), CONTENT)
    os.utime(path_of(server, CONTENT), (1, 1))
    lay(server, wasm(350, 147), 100000)
    other = programs.OwnServer(programs.Home(os.path.join(folder, "other")))
    other.end()
    other.contents = server.contents
    assert "another registry's" in gc(home, other, status=2).stderr
    server.end()
    for statement, undo in (("UPDATE records SET content = content || x'00' WHERE registry_index = 1",
                             "UPDATE records SET content = substr(content, 1, length(content) - 1)"
                             " WHERE registry_index = 1"),
                            ("UPDATE records SET registry_index = 7 WHERE registry_index = 1",
                             "UPDATE records SET registry_index = 1 WHERE registry_index = 7"),
                            ("UPDATE checkpoints SET log_root = zeroblob(32)", None)):
        execute(server, statement)
        assert "wargfs serve gc: " in gc(home, server, status=1).stderr
        assert all(os.path.exists(path_of(server, content)) for content in (CONTENT, wasm(350, 147)))
        if undo:
            execute(server, undo)
    assert "there is no registry in" in home.wargfs("serve", "gc", "--data", folder, "--content-dir", server.contents,
                                           status=4).stderr
    home.wargfs("serve", "gc", status=2)


@pytest.mark.parametrize("kills", [0, 3])
def test_beside_publishers(home, server, kills):
    """Many clients publish the same few contents, some in records that are rejected, while server and gc remove
    garbage, and the server may be killed. A published record always has its content.
    """
    shared = [wasm(400 + i, 150 + i) for i in range(3)]
    over = threading.Event()
    counts = {"published": 0, "rejected": 0}

    def publish(number):
        chance = random.Random(number)
        for turn in range(1000):
            if over.is_set():
                return
            client, slot, name = Client(server), chance.randrange(len(shared)), f"test:p{number}x{turn}"
            content = shared[slot]
            try:
                if chance.random() < 0.6:
                    reject(client, name, content)
                    counts["rejected"] += 1
                    continue
                record = Record(name, init(), release("1.0.0", content))
                answer = client.send(record).json
                if answer["state"] == "sourcing":
                    client.upload(record, content)
                    answer = client.state(record)
                if answer["state"] == "published":
                    assert client.ask("GET", "content/" + digest(content).replace(":", "-")).body == content
                    counts["published"] += 1
                    # A published content stays, so use another one.
                    shared[slot] = wasm(chance.randrange(400, 4000), chance.randrange(1 << 30))
            except (OSError, ValueError, KeyError, programs.subprocess.SubprocessError) as error:
                if not kills:
                    raise AssertionError(f"{name}: {error!r}") from error
            except AssertionError:
                if not kills:
                    raise
            finally:
                client.close()

    with concurrent.futures.ThreadPoolExecutor(6) as pool:
        publishers = [pool.submit(publish, number) for number in range(6)]
        try:
            for _ in range(kills):
                before = dict(counts)
                until(lambda: all(counts[key] > before[key] for key in counts), "it goes on")
                gc(home, server, status=None)
                server.end()
                server.start()
            for _ in range(4):
                before = dict(counts)
                gc(home, server)
                until(lambda: all(counts[key] > before[key] for key in counts), "it goes on")
        finally:
            over.set()
        for publisher in publishers:
            publisher.result()
    assert "all is well" in fsck(home, server)
    server.terminate() if not kills else server.end()
    server.start()
    assert "all is well" in fsck(home, server)
