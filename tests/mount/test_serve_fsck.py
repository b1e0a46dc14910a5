# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""wargfs serve fsck: whatever is changed in a registry's folder is found, and named."""
import concurrent.futures
import json
import os
import shutil
import sqlite3
import threading

import pytest

import programs
from publisher import Client, Record, digest, init, release, yank
from registry import wasm
from waiting import until

CONTENTS = [wasm(500 + i, 80 + i) for i in range(3)]


@pytest.fixture(scope="module")
def kept(everything):
    """A registry of some records, which stands still: its data folder, and that of its contents."""
    server = programs.OwnServer(programs.Home(os.path.join(everything, "fsck")), "--namespace", "more")
    client = Client(server)
    for name in ("test:one", "test:two", "more:three"):
        first = Record(name, init(), release("1.0.0", CONTENTS[0]))
        client.publish(first, CONTENTS[0])
        client.publish(Record(name, release("1.1.0", CONTENTS[1]), yank("1.0.0"), prev=first), CONTENTS[1])
    client.send(Record("test:waits", init(), release("1.0.0", CONTENTS[2])))
    client.close()
    server.terminate()
    return server.data, server.contents


@pytest.fixture
def copy(kept, folder):
    """A copy of it that may be spoiled."""
    copies = [os.path.join(folder, os.path.basename(path)) for path in kept]
    for path, to in zip(kept, copies):
        shutil.copytree(path, to)
    return copies


def fsck(home, folders, status, *words):
    data, contents = folders
    return home.wargfs("serve", "fsck", "--data", data, "--content-dir", contents, *words, status=status)


def test_all_is_well(home, kept):
    assert fsck(home, kept, 0).stdout == "7 records of 3 packages, 7 checkpoints, 2 contents: all is well\n"
    assert json.loads(fsck(home, kept, 0, "--json").stdout) == {
        "records": 7, "packages": 3, "checkpoints": 7, "contents": 2, "problems": [], "refused": []}


def test_while_eight_publish(home, copy):
    """fsck reads one snapshot of a growing registry: each run finds more records, and nothing wrong."""
    data, contents = copy
    server = programs.OwnServer(home, data=data, contents=contents)
    looked = threading.Event()

    def publish(number):
        client, prev = Client(server), None
        while not looked.is_set() or not prev:
            prev = Record(f"test:busy-p{number}", *(() if prev else (init(),)), prev=prev)
            client.publish(prev)
        client.close()

    try:
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            publishers = [pool.submit(publish, number) for number in range(8)]
            try:
                counts = []
                for _ in range(4):
                    least = counts[-1]["records"] if counts else 7
                    until(lambda least=least: server.checkpoint()["contents"]["logLength"] > least, "it grew")
                    counts.append(json.loads(fsck(home, copy, 0, "--json").stdout))
            finally:
                looked.set()
            for publisher in publishers:
                publisher.result()
        assert all(count["problems"] == [] and count["checkpoints"] <= count["records"] for count in counts)
        assert 7 <= counts[0]["records"] < counts[1]["records"] < counts[2]["records"] < counts[3]["records"]
    finally:
        server.end()


ZEROS = "x'" + "00" * 32 + "'"
SPOILED = {
    "a record's content": ("UPDATE records SET content = x'00' WHERE registry_index = 3", "record 3", "another id"),
    "a record's id": (f"UPDATE records SET record_id = {ZEROS} WHERE registry_index = 3", "record 3", "another id"),
    "a signature": ("UPDATE records SET signature = (SELECT signature FROM records WHERE registry_index = 2)"
                    " WHERE registry_index = 3", "log sha256:", "signature"),
    "the operator's signature": ("UPDATE records SET signature = (SELECT signature FROM records"
                                 " WHERE registry_index = 1) WHERE registry_index = 0", "operator's log", "signature"),
    "a key id": (f"UPDATE records SET key_id = {ZEROS} WHERE registry_index = 4", "log sha256:", "record 4"),
    "a record is gone": ("DELETE FROM records WHERE registry_index = 2", "record 2", "its place is 3"),
    "the last record is gone": ("DELETE FROM records WHERE registry_index = 6", "last checkpoint", "6 records"),
    "two records change places": ("UPDATE records SET registry_index = -1 WHERE registry_index = 2;"
                                  "UPDATE records SET registry_index = 2 WHERE registry_index = 4;"
                                  "UPDATE records SET registry_index = 4 WHERE registry_index = -1",
                                  "the checkpoint of 3 records", "another root"),
    "a node of the log": (f"UPDATE log_nodes SET hash = {ZEROS} WHERE node = 4", "node 4", "another one"),
    "a node of the log is gone": ("DELETE FROM log_nodes WHERE node = 3", "no node 3", ""),
    "a leaf of the map": (f"UPDATE map_nodes SET leaf_hash = {ZEROS} WHERE leaf_hash IS NOT NULL", "node",
                          "of the map does not match the hash"),
    "a fork of the map": (f"UPDATE map_nodes SET left_hash = {ZEROS} WHERE left_hash IS NOT NULL", "node",
                          "of the map does not match the hash"),
    "a node of the map is gone": ("PRAGMA foreign_keys = OFF; DELETE FROM map_nodes WHERE leaf_hash IS NOT NULL",
                                  "no node", "of the map"),
    "a root of a checkpoint": (f"UPDATE checkpoints SET log_root = {ZEROS} WHERE log_length = 4",
                               "checkpoint of 4 records", "the log has another root"),
    "a map root of a checkpoint": (f"UPDATE checkpoints SET map_root = {ZEROS} WHERE log_length = 4",
                                   "checkpoint of 4 records", "the map has another root"),
    "a time of a checkpoint": ("UPDATE checkpoints SET timestamp = timestamp - 1 WHERE log_length = 4",
                               "checkpoint of 4 records", "signature"),
    "a signer of a checkpoint": (f"UPDATE checkpoints SET key_id = {ZEROS} WHERE log_length = 4",
                                 "checkpoint of 4 records", "key"),
    "the last checkpoint is gone": ("DELETE FROM checkpoints WHERE log_length = 7", "last checkpoint", "7 records"),
    "the head of a log": ("UPDATE logs SET head = head - 1 WHERE length = 2", "log sha256:", "head"),
    "a name": (f"UPDATE packages SET name = x'{b'test:other'.hex()}' WHERE name = x'{b'test:one'.hex()}'",
               "log sha256:", "test:other"),
    "a name that is none": (f"UPDATE packages SET name = x'00' WHERE name = x'{b'test:one'.hex()}'", "log sha256:", ""),
    "a name is gone": ("PRAGMA foreign_keys = OFF;"
                       f"DELETE FROM packages WHERE name = x'{b'test:one'.hex()}'", "log sha256:", "no name"),
    "what refers to nothing": ("PRAGMA foreign_keys = OFF;"
                               f"DELETE FROM packages WHERE name = x'{b'test:waits'.hex()}'", "the database",
                               "submitted"),
}


@pytest.mark.parametrize("what", SPOILED)
def test_database(home, copy, what):
    statements, *words = SPOILED[what]
    database = sqlite3.connect(os.path.join(copy[0], "registry.db"))
    database.executescript(statements)
    database.close()
    said = fsck(home, copy, 1).stdout.splitlines()
    assert any(all(word in line for word in words) for line in said[:-1]), said
    assert said[-1].endswith(": 1 thing is wrong" if len(said) == 2 else f": {len(said) - 1} things are wrong")


def content_path(folders, content):
    return os.path.join(folders[1], "files", digest(content).replace(":", "-"))


def test_content_changed(home, copy):
    with open(content_path(copy, CONTENTS[0]), "r+b") as file:
        file.seek(100)
        file.write(b"X")
    said = fsck(home, copy, 1).stdout.splitlines()
    assert len(said) == 2 and digest(CONTENTS[0])[7:] in said[0] and "other bytes" in said[0]


def test_content_gone(home, copy):
    os.unlink(content_path(copy, CONTENTS[0]))
    said = fsck(home, copy, 1).stdout.splitlines()
    assert len(said) == 4 and all("is not there" in line for line in said[:3])


def test_content_of_another_kind(home, copy):
    path = content_path(copy, CONTENTS[0])
    os.rename(path, path + "-away")
    os.symlink(path + "-away", path)
    said = fsck(home, copy, 1).stdout
    assert "it is no file" in said and "2 things" in said


def test_no_registry(home, folder):
    assert fsck(home, (folder, folder), 4).stderr == f"wargfs serve fsck: there is no registry in {folder}\n"
    with open(os.path.join(folder, "registry.db"), "w") as file:
        file.write("text" * 2000)
    assert "not a database" in fsck(home, (folder, folder), 1).stderr
    assert "--data DIR" in home.wargfs("serve", "fsck", status=2).stderr
