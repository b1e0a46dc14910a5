# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Attacks on a mount by registries and content sources: an honest server behind a proxy that starts to lie."""
import base64
import concurrent.futures
import contextlib
import json
import os
import signal
import threading

import abuse
import crowd
import mounts
import programs
from abuse import MIB, Attack, Cost, Figure
from liar import Liar, says, travels
from publisher import Client, Record, init, release
from registry import path_of, wasm
from waiting import until

TIMEOUT = 2     # seconds: `timeout=` of the mounts
CONTENTS = 20   # more than the slots for downloads
GRACE = 1       # seconds of tolerance for a busy machine


class Victim:
    """A mount, through the proxy, of a registry with one package of many releases: all listed, none read."""

    def __init__(self, scene, *options):
        self.server = programs.OwnServer(programs.Home(os.path.join(scene.folder, "server")))
        scene.at_end(self.server.end)
        client = Client(self.server)
        self.contents = [wasm(1013, seed) for seed in range(CONTENTS)]
        entries = [release(f"1.0.{at}", content) for at, content in enumerate(self.contents)]
        client.publish(Record("test:victim", init(), *entries), *self.contents)
        client.close()
        self.provoked = 0
        self.liar = Liar(self.server)
        scene.at_end(self.liar.close)
        self.mount = mounts.Mount(programs.Home(os.path.join(scene.folder, "home")), self.liar.url,
                                  os.path.join(scene.folder, "mount"), (f"timeout={TIMEOUT}", *options))
        scene.at_end(self.mount.abandon)
        self.mount.wait()
        versions = {f"1.0.{at}.wasm" for at in range(CONTENTS)}
        assert versions <= set(self.mount.list("test", "victim"))
        self.before = abuse.forget_peak(self.mount.process.pid)

    def memory(self):
        """The Figure of its peak memory beyond the memory before."""
        assert self.mount.process.poll() is None, f"the mount ended:\n{self.mount.log}"
        return Figure(abuse.memory_of(self.mount.process.pid) - self.before, abuse.CLIENT_MEMORY)

    def read_all(self):
        """Read all contents at once. Returns for each its bytes or None."""
        def read(version):
            with contextlib.suppress(OSError):
                return self.mount.read(path_of("test:victim", version))
            return None
        with concurrent.futures.ThreadPoolExecutor(CONTENTS) as readers:
            return list(readers.map(read, [f"1.0.{at}" for at in range(CONTENTS)]))

    def cost(self, slots=None, **more):
        """Measure the cost; check that the mount works once the registry is honest again."""
        held = slots and Figure(slots.longest_held(), abuse.HELD_TIMEOUTS * TIMEOUT + GRACE)
        cost = Cost(memory=self.memory(), held=held, **more)
        self.liar.be_honest()
        if self.read_all() != self.contents:
            cost.wrong.append("the contents cannot be read when all are honest again")
        return cost


def padded(status, size):
    """Answer with a status and a body of so many bytes."""
    @travels
    def send(exchange, answer):
        answer.status = status
        exchange.begin(answer, size)
        piece = bytes(MIB)
        for _ in range(size // MIB):
            exchange.wfile.write(piece)
    return send


def dripping(slots, status, piece):
    """Answer with a status and a body sent piece by piece, as long as the client reads."""
    @travels
    def send(exchange, answer):
        answer.status = status
        with slots.hold():
            exchange.begin(answer, MIB)
            while not exchange.gone() and not exchange.released.is_set():
                exchange.wfile.write(piece)
                exchange.released.wait(0.1)
        exchange.hang_up()
    return send


@contextlib.contextmanager
def letting_go(victim):
    """End an attack that has cost too much, without waiting for the rest."""
    timer = threading.Timer(2 * abuse.HELD_TIMEOUTS * TIMEOUT, victim.liar.be_honest)
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        timer.join()


def flooded(head, piece, tail, size, status=200):
    """A body of `head`, then `piece` repeated up to the size, then `tail`; without a Content-Length."""
    @travels
    def send(exchange, answer):
        answer.status = status
        answer.headers = {"content-type": "application/json"}
        many = piece * max(1, min(MIB, size) // len(piece))
        exchange.begin(answer, None)
        for chunk in (head, *[many] * (size // len(many)), tail):
            if exchange.released.is_set():
                break
            exchange.wfile.write(b"%x\r\n%s\r\n" % (len(chunk), chunk))
        exchange.wfile.write(b"0\r\n\r\n")
        exchange.hang_up()
    return send


def provoke(victim, call):
    """Let the mount make that call, by a new package, and wait for it."""
    name, content = f"test:more{victim.provoked}", wasm(200, victim.provoked)
    victim.provoked += 1
    client = Client(victim.server)
    client.publish(Record(name, init(), release("1.0.0", content)), content)
    client.close()
    victim.liar.forget()
    victim.mount.process.send_signal(signal.SIGHUP)

    def ask():
        for action in (lambda: victim.mount.list("test", "unknown"), lambda: victim.mount.read(path_of(name, "1.0.0"))):
            with contextlib.suppress(OSError):
                action()
        return victim.liar.count(call)
    until(ask, f"it asks for {call}")


CALLS = ("logs", "inclusion", "consistency", "names", "ledger", "records", "sources", "checkpoint")
# Sizes of answers: about the cap of one call or another; and far more.
SIZES = (2 * MIB - 4096, 4 * MIB - 4096, 8 * MIB - 4096, 64 * MIB)


def json_of(piece):
    """Every answer is the largest accepted JSON, of the kind that takes the most memory for its text."""
    def run(scene):
        victim = Victim(scene)
        for call in CALLS:
            for size in SIZES[-2:] if scene.short else SIZES:
                victim.liar.be_honest()
                victim.liar.lie(call, flooded(b'{"a":[', piece + b",", piece + b"]}", size))
                if call == "ledger":  # where the parts are is asked for once the last known one is gone
                    victim.liar.lie("records", says(404))
                provoke(victim, call)
        return victim.cost()
    return run


def large_pages(scene):
    """Pages of logs of the largest size, with records that are valid except for their signatures."""
    victim = Victim(scene)
    content = base64.b64encode(os.urandom(300)).decode()
    record = json.dumps({"contentBytes": content, "keyId": "sha256:" + "0" * 64, "registryIndex": 1,
                         "signature": "ecdsa-p256:" + "A" * 88, "fetchToken": "sha256:" + "0" * 64})

    def lie(answer):
        packages = {log_id: [json.loads(record)] * 1000 for log_id in json.loads(answer.call.request)["packages"]}
        answer.json = {**answer.json, "packages": packages, "more": True}
        answer.headers.pop("content-length", None)
    for _ in range(1 if scene.short else 5):
        victim.liar.be_honest()
        victim.liar.lie("logs", lie)
        provoke(victim, "logs")
    return victim.cost()


def crowded(count):
    """A ledger of so many logs without names: the listing ends or is refused, and nothing is shown."""
    def run(scene):
        server = crowd.Crowd(count)
        scene.at_end(server.end)
        mount = mounts.Mount(programs.Home(os.path.join(scene.folder, "home")), server.url,
                             os.path.join(scene.folder, "mount"), ("timeout=60", "refresh=0"))
        scene.at_end(mount.abandon)
        mount.wait()
        before = abuse.forget_peak(mount.process.pid)
        with contextlib.suppress(OSError):
            mount.list()
        # The audit continues in the background.
        until(lambda: json.loads(mount.read(".warg/status"))["audit"]["wanted"] is None, "all is audited", 300)
        assert mount.process.poll() is None, f"the mount ended:\n{mount.log}"
        return Cost(memory=Figure(abuse.memory_of(mount.process.pid) - before, abuse.CLIENT_MEMORY))
    return run


def other_success(scene):
    victim = Victim(scene)
    victim.liar.lie("bytes", padded(203, (160 if scene.short else 600) * MIB))
    with contextlib.suppress(OSError):
        victim.mount.read(path_of("test:victim", "1.0.0"))
    return victim.cost()


def head_dripping(slots):
    """A header line that never ends."""
    @travels
    def send(exchange, _):
        with slots.hold():
            exchange.wfile.write(b"HTTP/1.1 200 OK\r\nx: ")
            while not exchange.gone() and not exchange.released.is_set():
                exchange.wfile.write(b"x")
                exchange.released.wait(0.1)
        exchange.hang_up()
    return send


def dripped(status, piece=b" "):
    """All slots get an answer that never ends. status: None, an answer that never begins."""
    def run(scene):
        victim = Victim(scene)
        slots = abuse.Slots()
        victim.liar.lie("bytes", dripping(slots, status, piece) if status else head_dripping(slots))
        with letting_go(victim):
            victim.read_all()
        return victim.cost(slots)
    return run


ATTACKS = [
    Attack("a content of hundreds of MiB with status 203", other_success),
    Attack("a refusal that drips, for every content", dripped(404)),
    Attack("a content that drips, for every content", dripped(200)),
    Attack("a content of 900 bytes a second, for every content", dripped(200, b" " * 90), short=False),
    Attack("a redirect that drips, for every content", dripped(302), short=False),
    Attack("a header line that drips, for every content", dripped(None), short=False),
    Attack("a ledger of 120,000 logs without a name", crowded(120000)),
    Attack("a ledger of 1,000,000 logs without a name", crowded(1000000), short=False),
    Attack("a ledger of 1,200,000 logs without a name", crowded(1200000), short=False),
    Attack("megabytes of {} in answer to each call", json_of(b"{}")),
    Attack("megabytes of [] in answer to each call", json_of(b"[]"), short=False),
    Attack("megabytes of texts in answer to each call", json_of(b'""'), short=False),
    Attack("one text of megabytes in answer to each call", json_of(b'"' + b"a" * (MIB - 3) + b'"'), short=False),
    Attack("pages of logs that are as long as they may be", large_pages),
]
