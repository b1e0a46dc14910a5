# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Attacks on a server by clients at one address, while clients at another address send requests."""
import contextlib
import http.client
import itertools
import json
import multiprocessing
import os
import select
import socket
import ssl
import statistics
import subprocess
import threading
import time

import abuse
import programs
from abuse import MIB, Attack, Cost, Figure
from publisher import Record, digest, init, release
from registry import wasm
from waiting import until

LARGE_REGISTRY = os.path.join(os.path.dirname(os.path.abspath(programs.WARGFS)), "tests/bench/large_registry")
TLS = os.path.join(programs.HERE, "../data/tls")
WITH_TLS = ("--tls-certificate", os.path.join(TLS, "certificate.pem"), "--tls-key", os.path.join(TLS, "key.pem"))
STRANGER, NEIGHBOUR = "127.0.0.2", "127.0.0.3"
GRACE = 6        # seconds of tolerance for a busy machine
HEAD_SECONDS = 60
REQUEST_SECONDS = 60
UPLOAD_SECONDS = 30
CONNECTIONS = 250
RESTING = 16 * MIB  # memory that a server may keep after an attack, beyond that before it
LOG_CACHE = 32 * MIB  # CAP_SERVED_LOG_CACHE: the logs that were published to last stay in memory for the next record


def head(method, path, *lines):
    return "\r\n".join((f"{method} /{path} HTTP/1.1", "host: x", *lines, "", "")).encode()


def post(path, body, *lines):
    if not isinstance(body, bytes):
        body = json.dumps(body).encode()
    return head("POST", path, "content-type: application/json", f"content-length: {len(body)}", *lines) + body


def log_id(index):
    """The ids of the packages that large_registry makes."""
    return digest(b"l" + index.to_bytes(8, "little"))


# ---- Others ----


def connection_to(address, has_tls):
    more = {"timeout": 60, "source_address": (NEIGHBOUR, 0)}
    if not has_tls:
        return http.client.HTTPConnection(*address, **more)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(os.path.join(TLS, "certificate.pem"))
    return http.client.HTTPSConnection(*address, context=context, **more)


def ask_on(address, has_tls, rounds, pipe):
    """In a process of its own: send the requests of a round, and note how long each answer takes."""
    for requests in rounds:
        pipe.recv()
        taken, failed = [], 0
        connection = connection_to(address, has_tls)
        for method, path, body in requests:
            start = time.monotonic()
            try:
                connection.request(method, "/" + path, body, {"content-type": "application/json"})
                answer = connection.getresponse()
                answer.read()
                failed += answer.status not in (200, 202)
            except (OSError, http.client.HTTPException):
                failed += 1
                connection.close()
            taken.append(time.monotonic() - start)
            time.sleep(0.005)
        connection.close()
        pipe.send((statistics.median(taken), failed))


def published(count):
    """Requests that publish one record each, for so many packages."""
    records = [Record(f"test:neighbour-p{at}", init()) for at in range(count)]
    return [("POST", record.path, json.dumps({"packageName": record.name, "record": record.body}))
            for record in records]


class Neighbour:
    """A client that fetches the checkpoint, or publishes: one round before the attack, and one during it."""

    def __init__(self, scene, address, has_tls, publishes):
        self.ours, theirs = multiprocessing.Pipe()
        requests = [("GET", "v1/fetch/checkpoint", None)] * (80 if scene.short else 800)
        if publishes:
            requests = published(20 if scene.short else 100)
        rounds = requests[0::2], requests[1::2]
        self.process = multiprocessing.Process(target=ask_on, args=(address, has_tls, rounds, theirs))
        self.process.start()
        scene.at_end(self.end)

    def begin(self):
        self.ours.send(True)

    def result(self):
        """The median time of an answer, and the number of missing answers."""
        return self.ours.recv()

    def end(self):
        self.process.terminate()
        self.process.join()


def repeat(address, requests):
    """Send them, one after another, and read the answers, again and again."""
    requests = itertools.cycle(requests)
    while True:
        with contextlib.suppress(OSError, http.client.HTTPException), connect(address) as one:
            one.settimeout(60)
            while True:
                one.sendall(next(requests))
                answer = http.client.HTTPResponse(one)
                answer.begin()
                answer.read()


def repeat_all(address, lists):
    os.nice(10)
    threads = [threading.Thread(target=repeat, args=(address, requests)) for requests in lists]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def settle(connections):
    """Wait until no more of them are answered for a second."""
    answered, since = 0, time.monotonic()
    while time.monotonic() - since < 1:
        time.sleep(0.1)
        now = len(select.select(connections, [], [], 0)[0])
        if now != answered:
            answered, since = now, time.monotonic()


def connect(address):
    return socket.create_connection(address, timeout=1, source_address=(STRANGER, 0))


# ---- The victim ----


class Victim:
    """A server with a registry of many packages."""

    def __init__(self, scene, publishes=False, records=2000, has_tls=False):
        self.scene = scene
        self.records = records if scene.short else 14000
        home = programs.Home(os.path.join(scene.folder, "server"))
        data = os.path.join(home.path, "data")
        subprocess.run([LARGE_REGISTRY, "make", data, str(self.records)], check=True, stdout=subprocess.DEVNULL)
        self.server = programs.OwnServer(home, *(WITH_TLS if has_tls else ()), data=data)
        scene.at_end(self.server.end)
        if not has_tls:
            self.records = self.server.checkpoint()["contents"]["logLength"]
        self.neighbour = Neighbour(scene, self.server.address, has_tls, publishes)
        self.neighbour.begin()
        self.usual, failed = self.neighbour.result()
        assert not failed
        self.before = abuse.forget_peak(self.server.process.pid)

    @contextlib.contextmanager
    def many(self, count, *pieces):
        """So many connections that sent all this, as far as the server read it, and read nothing."""
        with contextlib.ExitStack() as stack:
            ones = []
            for _ in range(count):
                one = stack.enter_context(connect(self.server.address))
                with contextlib.suppress(OSError):
                    for piece in pieces:
                        one.sendall(piece)
                ones.append(one)
            settle(ones)
            yield

    @contextlib.contextmanager
    def repeating(self, lists):
        """Send the requests of each list repeatedly on a connection of its own and read the answers; in a process of
        its own, as real attackers have a machine of their own."""
        attacker = multiprocessing.Process(target=repeat_all, args=(self.server.address, lists))
        attacker.start()
        try:
            time.sleep(0 if self.scene.short else 1)
            yield
        finally:
            attacker.kill()
            attacker.join()

    def cost(self, **more):
        """The cost during the attack: memory, and in the long form the time of other clients."""
        self.neighbour.begin()
        taken, failed = self.neighbour.result()
        pid = self.server.process.pid
        assert self.server.process.poll() is None, "the server ended"
        cost = Cost(memory=Figure(abuse.memory_of(pid) - self.before, abuse.SERVER_MEMORY), **more)
        if not self.scene.short:
            cost.others = Figure(taken / self.usual, abuse.OTHERS)
        if failed:
            cost.wrong.append(f"{failed} requests of others were not answered")
        return cost

    def at_rest(self, cost, resting=RESTING):
        """After the attack the memory is returned."""
        def held():
            return abuse.memory_of(self.server.process.pid, "VmRSS") - self.before
        with contextlib.suppress(AssertionError):
            until(lambda: held() <= resting, "memory comes back", 10)
        if held() > resting:
            cost.wrong.append(f"{held() / MIB:.0f} MiB did not come back")
        return cost

    def proofs(self, count=None):
        leaves = list(range(1, min(count or self.records, self.records)))
        return post("v1/proof/inclusion", {"logLength": self.records, "leafs": leaves})

    def logs(self):
        packages = {log_id(index): None for index in range(1, self.records)}
        return post("v1/fetch/logs", {"logLength": self.records, "limit": 1000, "packages": packages})


# ---- Requests that do not end ----


def unfinished(*lines):
    def run(scene):
        victim = Victim(scene)
        path = f"v1/package/{digest(b'x')}/record"
        body = bytes(1900000)
        if "transfer-encoding: chunked" in lines:
            body = f"{len(body):x}\r\n".encode() + body
        with victim.many(60 if scene.short else CONNECTIONS,
                         head("POST", path, "content-type: application/json", *lines), body):
            cost = victim.cost()
        return victim.at_rest(cost)
    return run


def header_lines(scene):
    victim = Victim(scene)
    with victim.many(CONNECTIONS, b"GET / HTTP/1.1\r\nhost: x\r\nx: ", b"y" * 30000):
        return victim.cost()


# ---- Answers that are not read ----


def unread(what, count=CONNECTIONS):
    def run(scene):
        victim = Victim(scene, records=6000)  # the kernel buffers the first megabytes of an answer
        with victim.many(40 if scene.short else count, what(victim)):
            cost = victim.cost()
        return victim.at_rest(cost)
    return run


# ---- Requests that need much CPU time ----


def busy(what, count=8):
    def run(scene):
        victim = Victim(scene)
        with victim.repeating([[what(victim)]] * count):
            cost = victim.cost()
        return victim.at_rest(cost)
    return run


def many_values(victim):
    return post("v1/fetch/names", b"[" + b"{}," * 690000 + b"0]")


def large_records(victim):
    """Records of one package each that release as many contents as possible, none of which is stored."""
    entries = [release(f"{at}.0.0", digest(str(at).encode())) for at in range(4000 if victim.scene.short else 9000)]
    record = Record(f"test:large-p{large_records.count}", init(), *entries)
    large_records.count += 1
    return post(record.path, {"packageName": record.name, "record": record.body})


large_records.count = 0


def publishes(scene):
    """Send large records repeatedly on 8 connections, while another client publishes, too."""
    victim = Victim(scene, publishes=True)
    lists = [[large_records(victim) for _ in range(2 if scene.short else 6)] for _ in range(2 if scene.short else 8)]
    with victim.repeating(lists):
        cost = victim.cost()
    return victim.at_rest(cost, RESTING + LOG_CACHE)


# ---- Slow clients ----


def trickle(seconds, begin, has_tls=False):
    """How long a connection lasts that sends one byte a second."""
    def run(scene):
        victim = Victim(scene, has_tls=has_tls)
        request, byte = begin(victim)
        start = time.monotonic()
        with connect(victim.server.address) as one, contextlib.suppress(OSError):
            one.sendall(request)
            while time.monotonic() - start < 2 * seconds:
                one.sendall(byte)
                with contextlib.suppress(TimeoutError):
                    if not one.recv(1):
                        break
        return victim.cost(held=Figure(time.monotonic() - start, seconds + GRACE))
    return run


def trickled_header(victim):
    return b"GET /healthz HTTP/1.1\r\nhost: x\r\nx: ", b"y"


def trickled_body(victim):
    return head("POST", "v1/fetch/names", "content-type: application/json", "content-length: 100000"), b" "


def trickled_upload(victim):
    content = wasm(700, 1)
    record = Record("test:trickle", init(), release("1.0.0", content))
    with connect(victim.server.address) as one:
        one.settimeout(60)
        one.sendall(post(record.path, {"packageName": record.name, "record": record.body}))
        assert b" 202 " in one.recv(20)
    return head("POST", f"{record.path}/{record.id}/content/{digest(content)}", "content-length: 1000000"), b"x"


# ---- TLS ----


def client_hello():
    """The first message of a handshake."""
    out = ssl.MemoryBIO()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    with contextlib.suppress(ssl.SSLWantReadError):
        context.wrap_bio(ssl.MemoryBIO(), out, server_hostname="localhost").do_handshake()
    return out.read()


def half_handshakes(scene):
    """The server has signed its part, and holds what the handshake needs until the connection's deadline."""
    victim = Victim(scene, has_tls=True)
    with victim.many(CONNECTIONS, client_hello()):
        return victim.cost()


def begin_handshakes(address, hello):
    """Have the server sign, again and again, on connections that are closed then."""
    os.nice(10)
    while True:
        with contextlib.suppress(OSError), connect(address) as one:
            one.sendall(hello)
            one.recv(1)


def many_handshakes(scene):
    victim = Victim(scene, has_tls=True)
    hello = client_hello()
    attackers = [multiprocessing.Process(target=begin_handshakes, args=(victim.server.address, hello))
                 for _ in range(4)]
    for attacker in attackers:
        attacker.start()
        scene.at_end(attacker.join)
        scene.at_end(attacker.kill)
    return victim.cost()


def trickled_handshake(victim):
    return client_hello()[:1], b"\x03"


ATTACKS = [
    Attack("bodies that do not end", unfinished("content-length: 2000000")),
    Attack("bodies in chunks that do not end", unfinished("transfer-encoding: chunked"), short=False),
    Attack("header lines that do not end", header_lines),
    Attack("proofs of all records, unread", unread(Victim.proofs)),
    Attack("pages of all logs, unread", unread(Victim.logs)),
    Attack("proofs of all records", busy(Victim.proofs)),
    Attack("proofs of 60 records", busy(lambda victim: victim.proofs(60)), short=False),
    Attack("pages of all logs", busy(Victim.logs), short=False),
    Attack("bodies of many values", busy(many_values)),
    Attack("records of thousands of releases", publishes),
    Attack("checkpoints as fast as they come", busy(lambda victim: head("GET", "v1/fetch/checkpoint"))),
    Attack("TLS handshakes that do not end", half_handshakes),
    Attack("TLS handshakes as fast as they come", many_handshakes, short=False),
    Attack("a TLS handshake that trickles", trickle(HEAD_SECONDS, trickled_handshake, has_tls=True), short=False),
    Attack("a header that trickles", trickle(HEAD_SECONDS, trickled_header), short=False),
    Attack("a body that trickles", trickle(REQUEST_SECONDS, trickled_body), short=False),
    Attack("an upload that trickles", trickle(UPLOAD_SECONDS, trickled_upload), short=False),
]
