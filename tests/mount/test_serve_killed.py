# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""kill -9 of our server at each system call while eight publish: what was acknowledged is there, and nothing is half
done.

The server starts again after each kill, on the same folders: registries that were killed once and again go on.
"""
import base64
import http.client
import os
import sqlite3
import subprocess
import threading

import pytest

import killing
import programs
from publisher import Client, Record, digest, init, release
from registry import wasm

# What changes something outside the process, or waits for it; futex and the like would only add places of chance.
CALLS = ("write,pwrite64,writev,sendmsg,sendto,sendfile,fsync,fdatasync,ftruncate,rename,renameat,renameat2,openat,"
         "unlink,unlinkat,mmap,read,pread64,recvfrom,epoll_ctl,accept4,fcntl")
PUBLISHERS = 8
RECORDS = 3


class Publisher(threading.Thread):
    """Publishes a package's releases until the server is gone, and knows what was acknowledged."""

    def __init__(self, server, package):
        super().__init__()
        self.server, self.package = server, package
        self.published, self.sent = {}, []
        self.mistake = None

    def run(self):
        client = Client(self.server)
        try:
            prev = None
            for version in range(RECORDS):
                content = wasm(300, hash((self.package, version)) & 0xffff)
                entries = () if prev else (init(),)
                prev = Record(self.package, *entries, release(f"0.{version}.0", content), prev=prev)
                self.sent.append((prev, content))
                self.published[prev.id] = client.publish(prev, content)
        except (OSError, http.client.HTTPException):
            pass
        except Exception as mistake:  # told by the test
            self.mistake = mistake
        finally:
            client.close()


class Served(programs.OwnServer):
    """A server that is started under strace, and dies of it."""

    def start_dying(self, place):
        """@return whether it began to listen"""
        try:
            self.start(*killing.killed_at(place))
        except AssertionError:
            assert self.process.wait(30) != 0
            return False
        return True


def publish(server, packages):
    publishers = [Publisher(server, package) for package in packages]
    for publisher in publishers:
        publisher.start()
    for publisher in publishers:
        publisher.join(60)
        assert not publisher.is_alive() and not publisher.mistake, publisher.mistake
    return publishers


def traced_places(server, folder, kills):
    """The calls of a server that serves eight, and ends in good order."""
    trace = os.path.join(folder, "trace")
    server.start(*killing.traced(CALLS, trace))
    publish(server, [f"test:traced-p{i}" for i in range(PUBLISHERS)])
    subprocess.run(["pkill", "-TERM", "-P", str(server.process.pid)], check=True)
    assert server.process.wait(60) == 0
    return killing.places(trace, kills)


def expect_kept(client, publishers, places):
    """All that was acknowledged, at its place, with its contents; the rest is there whole or not at all."""
    length = client.length()
    for publisher in publishers:
        for record_id, place in publisher.published.items():
            assert places.setdefault(place, record_id) == record_id and place < length
        if not publisher.published:
            continue
        log = client.post("v1/fetch/logs", {"logLength": length,
                                            "packages": {publisher.sent[0][0].log_id: None}}).json
        found = {record["fetchToken"]: record["registryIndex"] for record in log["packages"].popitem()[1]}
        assert publisher.published.items() <= found.items()
        for record, content in publisher.sent:
            if record.id in found:
                answer = client.ask("GET", "content/" + digest(content).replace(":", "-"))
                assert answer.body == content


def expect_go_on(client, publishers):
    """Who was cut off sends the same again, and has it published."""
    for publisher in publishers:
        for record, content in publisher.sent:
            assert client.publish(record, content) >= 0


def expect_whole(server, client, before):
    """The database is sound; the log only grew; proofs of all lengths that were seen are those of the newest root."""
    with sqlite3.connect(f"file:{server.data}/registry.db?mode=ro", uri=True) as database:
        assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert database.execute("PRAGMA foreign_key_check").fetchall() == []
        (orphans,) = database.execute("SELECT count(*) FROM submitted WHERE lacking <>"
                                      " (SELECT count(*) FROM missing WHERE submitted = submitted.id)").fetchone()
        assert orphans == 0
    now = client.checkpoint()["contents"]
    assert now["logLength"] >= before["logLength"]
    sources = client.ask("GET", "v1/ledger").json["sources"]
    ledger = b"".join(client.ask("GET", source["url"]).body for source in sources)
    assert len(ledger) == 64 * now["logLength"]
    assert client.post("v1/verify/checkpoint", client.checkpoint()).json == {"checkpoint": "verified",
                                                                             "signature": "verified"}
    for length in {before["logLength"], now["logLength"]}:
        answer = client.post("v1/proof/inclusion", {"logLength": length, "leafs": [length - 1]})
        assert answer.status == 200 and base64.b64decode(answer.json["log"])
    return now


@pytest.mark.skipif(not os.path.exists("/usr/bin/strace"), reason="there is no strace")
def test_killed_while_eight_publish(home, folder):
    server = Served(home)
    server.terminate()
    killed, places = [], {}
    before = {"logLength": 1}
    for number, place in enumerate(traced_places(server, folder, 12)):
        began = server.start_dying(place)
        publishers = publish(server, [f"test:round-r{number}-p{i}" for i in range(PUBLISHERS)]) if began else []
        if server.process.poll() is None:
            subprocess.run(["pkill", "-TERM", "-P", str(server.process.pid)], check=False)
        killed.append(server.process.wait(60) != 0)
        server.start()
        client = Client(server)
        expect_kept(client, publishers, places)
        before = expect_whole(server, client, before)
        expect_go_on(client, publishers)
        client.close()
        server.terminate()
    killing.expect_most(killed)
