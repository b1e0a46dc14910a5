# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Bounds of a server against clients: connections, bodies, reserved places, and ambiguous requests."""
import base64
import contextlib
import json
import os
import re
import socket
import sqlite3
import struct

import pytest

from publisher import EPOCH, Record, digest, init, release
from registry import wasm
from waiting import until

CONTENT = wasm(700, 31)


def raw(method, path, body=b""):
    return (f"{method} /{path} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n"
            f"content-length: {len(body)}\r\n\r\n").encode() + body


def answered(server, source="127.0.0.1"):
    """A connection from this address with one answered request; None: it was refused."""
    one = socket.create_connection(server.address, source_address=(source, 0))
    with contextlib.suppress(ConnectionError):
        one.sendall(raw("GET", "healthz"))
        if one.recv(12) == b"HTTP/1.1 200":
            return one
    one.close()
    return None


def test_connections_of_one_address(serve):
    """A client can open so many connections and no more; others are not affected, and a closed one can be replaced."""
    server = serve("--client-connections", "3")
    with contextlib.ExitStack() as held:
        for _ in range(3):  # connections that waited for its start may still be open
            held.enter_context(until(lambda: answered(server), "one more is taken"))
        assert not answered(server)
        held.enter_context(answered(server, "127.0.0.2"))
    until(lambda: answered(server), "there is room again").close()


# Requests of which two parsers may see different ends.
UNCLEAR = (
    ("host: x", "content-length: 2", "content-length: 2"),
    ("host: x", "content-length: 2", "content-length: 0"),
    ("host: x", "content-length: 2", "transfer-encoding: chunked"),
    ("host: x", "transfer-encoding: gzip, chunked"),
    ("host: x", "transfer-encoding: chunked", "transfer-encoding: chunked"),
    ("host: x", "content-length: 0x2"),
    ("host: x", "content-length: +2"),
    ("host: x", "host: y", "content-length: 2"),
    ("content-length: 2",),
    ("host: x",),
    ("host: x", "content-length : 2"),
    ("host: x", "transfer-encoding : chunked"),
    ("host: x", "x: y", " content-length: 2"),
    ("host: x", "content-length:", " 2"),
    ("host: x\rcontent-length: 2",),
)


@pytest.mark.parametrize("lines", UNCLEAR, ids=range(len(UNCLEAR)))
def test_unclear_end(serve, lines):
    """400, and the following bytes are not parsed as a request."""
    server = serve()
    with socket.create_connection(server.address) as stranger:
        stranger.settimeout(30)
        head = "\r\n".join(("POST /v1/fetch/names HTTP/1.1", *lines, "", ""))
        stranger.sendall(head.encode() + b"{}" + raw("GET", "healthz"))
        heard = b""
        with contextlib.suppress(ConnectionError):
            while piece := stranger.recv(1 << 16):
                heard += piece
    # libmicrohttpd writes the header of its own refusals twice.
    statuses = re.findall(rb"HTTP/1\.[01] (\d{3}) ", heard)
    assert heard.startswith(b"HTTP/1.") and set(statuses) == {b"400"}, heard


def test_token_before_the_body(serve, home):
    """A request without permission is refused after its header, without reading the body."""
    path = os.path.join(home.path, "token")
    with open(path, "w") as file:
        file.write("sesame")
    os.chmod(path, 0o600)
    server = serve("--auth-token-file", path)
    record = Record("test:secret", init())
    with socket.create_connection(server.address) as stranger:
        stranger.settimeout(30)
        stranger.sendall(f"POST /{record.path} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n"
                         "content-length: 2000000\r\n\r\n".encode())
        assert stranger.recv(12) == b"HTTP/1.1 401"


def test_too_much_for_a_record(serve, connect):
    """A fault of the client affects that request only, and is not in the server's log."""
    server = serve()
    client = connect(server)
    record = Record("test:large", init())
    body = {"packageName": record.name,
            "record": {**record.body, "contentBytes": base64.b64encode(bytes((1 << 20) + 1)).decode()}}
    answer = client.post(record.path, body)
    assert answer.status == 422 and "message" in answer.json, answer.body
    answer = client.post("v1/fetch/names", b"[" + b"{}," * 100000 + b"0]", content_type="application/json")
    assert answer.status == 413, answer.body
    client.close()
    server.terminate()
    server.start()


def test_a_proof_of_the_same_twice(serve, connect):
    client = connect(serve())
    for leaves, status in (([0], 200), ([0, 0], 422), (list(range(20000)), 422)):
        assert client.post("v1/proof/inclusion", {"logLength": 1, "leafs": leaves}).status == status


def test_a_place_is_not_held_by_a_trickle(serve, connect):
    """A waiting record reserves its package's place only while its contents arrive at a fair rate."""
    server = serve()
    client = connect(server)
    waiting = Record("test:held", init(), release("1.0.0", CONTENT))
    other = Record("test:held", init(), seconds=EPOCH + 1)
    assert client.send(waiting).json["state"] == "sourcing"
    assert client.send(other).status == 409
    with contextlib.closing(sqlite3.connect(os.path.join(server.data, "registry.db"))) as database:
        database.execute("UPDATE submitted SET since = since - 1000")
        database.commit()
    with socket.create_connection(server.address) as trickle:
        head = (f"POST /{waiting.path}/{waiting.id}/content/{digest(CONTENT)} HTTP/1.1\r\nhost: x\r\n"
                "content-length: 1000000000\r\n\r\n").encode()
        trickle.sendall(head + bytes(1 << 20))
        until(lambda: b"bytes_total 1048576" in server.get("metrics"), "it comes")
        assert client.send(other).status == 409
    with socket.create_connection(server.address) as trickle:
        trickle.sendall(head + b"x")
        until(lambda: b"bytes_total 1048577" in server.get("metrics"), "one byte comes")
        until(lambda: client.send(other).status == 202, "the place is free")


def is_read(server, connection):
    """Whether the server has read all that was sent on a connection, by the kernel's table of its end."""
    ends = [f"{int.from_bytes(socket.inet_aton(host), 'little'):08X}:{port:04X}"
            for host, port in (server.address, connection.getsockname())]
    with open("/proc/net/tcp") as file:
        queues = [line.split()[4] for line in file if line.split()[1:3] == ends]
    return queues and queues[0].endswith(":00000000")


def test_reset_while_its_request_waits(serve, connect):
    """Clients that reset their connections while their records wait for the disk do not keep the server from ending."""
    server = serve()
    with contextlib.closing(sqlite3.connect(os.path.join(server.data, "registry.db"), isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        for number in range(8):
            record = Record(f"test:reset{number}", init())
            body = json.dumps({"packageName": record.name, "record": record.body}).encode()
            with socket.create_connection(server.address) as one:
                one.sendall(raw("POST", record.path, body))
                until(lambda: is_read(server, one), "it has the request")
                one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        other.execute("ROLLBACK")
    until(lambda: connect(server).length() > 1, "a record is published")
    server.terminate()
