# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""A registry with one damaged row: it starts, reports it, and serves all packages but the row's.

For each row of each table the row is deleted, and one column changed, a different one in each row; with
WARGFS_DAMAGES=all every column.
"""
import os
import shutil
import sqlite3

import pytest

import programs
from publisher import Client, Record, init, release, yank
from registry import wasm
from waiting import until

CONTENT, OTHER = wasm(400, 120), wasm(450, 130)
NAMES = ("test:one", "test:two", "test:three")
SHARED = ("log_nodes", "map_nodes", "checkpoints", "missing", "received")  # no package may suffer from these
# Rows that cannot be computed: the operator's own records. Published packages are served nevertheless.
CLOSING = {("records", 0, None), ("records", 0, "content")}


@pytest.fixture(scope="module")
def kept(everything):
    """A stopped registry: three packages, a record that waits for a content, a rejected one."""
    server = programs.OwnServer(programs.Home(os.path.join(everything, "damaged")))
    client = Client(server)
    heads = {}
    for name in NAMES:
        heads[name] = Record(name, init(), release("1.0.0", CONTENT))
        client.publish(heads[name], CONTENT)
    heads["test:one"] = Record("test:one", release("1.1.0", CONTENT), prev=heads["test:one"])
    client.publish(heads["test:one"])
    client.send(Record("test:waits", init(), release("1.0.0", OTHER)))
    client.send(Record("test:three", yank("7.0.0"), prev=heads["test:three"]))
    client.close()
    server.terminate()
    database = sqlite3.connect(os.path.join(server.data, "registry.db"))
    database.execute("PRAGMA journal_mode=DELETE")
    database.close()
    return server.data, server.contents, heads


def damages(data, table):
    """Each row of a table, with the possible damages."""
    database = sqlite3.connect(os.path.join(data, "registry.db"))
    columns = [row[1] for row in database.execute(f"PRAGMA table_info({table})")]
    rows = database.execute(f"SELECT * FROM {table}").fetchall()
    database.close()
    for number, row in enumerate(rows):
        chosen = columns if os.environ.get("WARGFS_DAMAGES") == "all" else [columns[number % len(columns)]]
        for column in (None, *chosen):
            yield number, column, row, columns


def spoil(data, table, column, row, columns):
    """Change a column of a row, or delete the row. False: a constraint forbids it."""
    database = sqlite3.connect(os.path.join(data, "registry.db"), isolation_level=None)
    database.execute("PRAGMA foreign_keys=OFF")
    where = " AND ".join(f"{name} IS ?" for name in columns)
    try:
        if column is None:
            database.execute(f"DELETE FROM {table} WHERE {where}", row)
            return True
        value = row[columns.index(column)]
        if isinstance(value, bytes):
            value = bytes(byte ^ 0xff for byte in value) or b"x"
        else:
            value = 7 if value is None else value + 1000
        database.execute(f"UPDATE {table} SET {column} = ? WHERE {where}", (value, *row))
        return True
    except sqlite3.IntegrityError:
        return False
    finally:
        database.close()


def packages_read(home, server):
    """The packages whose logs a new client can prove. With a lost record there is no ledger to list."""
    shutil.rmtree(os.path.join(home.path, ".cache"), ignore_errors=True)
    done = home.wargfs("ls", "-l", "--registry", server.url, "test", status=None)
    found = {name for name in (*NAMES, "test:new") if name.split(":")[1] in done.stdout}
    if not found and "does not tell the names" in done.stderr:
        found = {name for name in (*NAMES, "test:new")
                 if not home.wargfs("ls", "-l", "--registry", server.url, name, status=None).returncode}
    return found, done.stderr


def look(home, server, heads, spared, is_closed):
    """Read all packages, publish to each, and read again."""
    found, said = packages_read(home, server)
    assert is_closed or len(set(NAMES) - found) <= spared, said
    client = Client(server)
    states = {}
    for name in NAMES:
        answer = client.send(Record(name, release("2.0.0", CONTENT), prev=heads[name]))
        states[name] = answer.json.get("state", answer.status)
    if is_closed:
        assert set(states.values()) == {503}
        assert client.ask("GET", "content/" + "sha256-" + "0" * 64).status == 404
        return
    assert list(states.values()).count("published") >= len(NAMES) - spared, states
    client.publish(Record("test:new", init(), release("1.0.0", OTHER)), OTHER)
    client.close()
    found, said = packages_read(home, server)
    assert "test:new" in found and len(set(NAMES) - found) <= spared, said


@pytest.mark.parametrize("table", (*SHARED, "records", "logs", "packages", "submitted"))
def test_one_row(kept, folder, table):
    data, contents, heads = kept
    wrong, count = [], 0
    for number, column, row, columns in damages(data, table):
        top = os.path.join(folder, f"{number}-{column}")
        copies = [os.path.join(top, name) for name in ("data", "contents")]
        for path, to in zip((data, contents), copies):
            shutil.copytree(path, to)
        if not spoil(copies[0], table, column, row, columns):
            continue
        count += 1
        home = programs.Home(os.path.join(top, "home"))
        server = None
        try:
            server = programs.OwnServer(home, data=copies[0], contents=copies[1])
            look(home, server, heads, 0 if table in SHARED else 1, (table, number, column) in CLOSING)
        except AssertionError as error:
            with open(os.path.join(home.path, "server.log")) as file:
                wrong.append(f"{table} {number} {column or 'gone'}: {error} {file.read()}")
        finally:
            if server:
                server.end()
        shutil.rmtree(top)
    assert not wrong, "\n".join(wrong)
    assert count


@pytest.fixture(scope="module")
def long(everything):
    """A stopped registry of more records than are checked before it serves."""
    server = programs.OwnServer(programs.Home(os.path.join(everything, "long")))
    client = Client(server)
    first = Record("test:one", init(), release("1.0.0", CONTENT))
    client.publish(first, CONTENT)
    head = Record("test:many", init())
    client.publish(head)
    for number in range(260):
        head = Record("test:many", release(f"1.0.{number}", CONTENT), prev=head)
        client.publish(head)
    client.close()
    server.terminate()
    return server.data, server.contents, first, head


@pytest.mark.parametrize("name, damage", (
    ("id", "UPDATE records SET record_id = zeroblob(32) WHERE registry_index = 1"),
    ("log", "UPDATE records SET log = 1 WHERE registry_index = 1"),
    ("head", "UPDATE logs SET head = 0, length = 0 WHERE head = 1"),
    ("log id", "UPDATE logs SET log_id = zeroblob(32) WHERE head = 1"),
    ("node", "UPDATE log_nodes SET hash = zeroblob(32) WHERE node = 2"),
    ("map", "UPDATE map_nodes SET leaf_hash = zeroblob(32) WHERE depth = 256")))
def test_nothing_enters_before_the_check(long, folder, name, damage):
    """A large registry serves while it is checked; what is published meanwhile does not enter by damaged rows."""
    data, contents, first, _ = long
    home = programs.Home(os.path.join(folder, "home"))
    for path, to in (data, "data"), (contents, "contents"):
        shutil.copytree(path, os.path.join(folder, to))
    database = sqlite3.connect(os.path.join(folder, "data", "registry.db"), isolation_level=None)
    database.execute("PRAGMA foreign_keys=OFF")
    assert database.execute(damage).rowcount
    database.close()
    server = programs.OwnServer(home, data=os.path.join(folder, "data"), contents=os.path.join(folder, "contents"))
    client = Client(server)
    again = client.send(Record("test:one", init(), release("1.0.0", OTHER)))
    assert again.status == 409 or again.json.get("state") in ("rejected", None), again.body
    after = Record("test:one", release("2.0.0", CONTENT), prev=first)
    assert client.send(after).json["state"] == "published"
    client.close()
    listed = home.wargfs("ls", "-l", "--registry", server.url, "test:one").stdout
    assert "1.0.0" in listed and "2.0.0" in listed
    with open(server.log) as file:
        assert name == "head" or "repaired" in file.read()
    server.end()
    sound = home.run(programs.WARGFS, "serve", "fsck", "--data", os.path.join(folder, "data"), "--content-dir",
                     os.path.join(folder, "contents"))
    assert sound.returncode == 0


def test_it_ends_during_the_check(long, folder):
    """Told to end as soon as it serves, it ends in good order."""
    data, contents, _, head = long
    for path, to in (data, "data"), (contents, "contents"):
        shutil.copytree(path, os.path.join(folder, to))
    home = programs.Home(os.path.join(folder, "home"))
    server = programs.OwnServer(home, data=os.path.join(folder, "data"), contents=os.path.join(folder, "contents"))
    server.restart()
    server.restart()
    client = Client(server)
    client.publish(Record("test:many", yank("1.0.0"), prev=head))
    client.close()
    until(lambda: Client(server).length() == 264, "the record is under a checkpoint")
    server.terminate()
