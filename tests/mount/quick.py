# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""A registry of the tests' own: honest, in this process, and as the real one answers, but for three things.

A record is in the log, and under a checkpoint, as soon as its contents are there. What was sent twice is noted, not
suffered from. And all that it knows can be forgotten, for the next test.
"""
import base64
import contextlib
import http.server
import json
import re
import threading
import time

import forge
from liar import Listener, read_body

OPERATOR_LOG = forge.digest(b"WARG-OPERATOR-LOG-ID-V0")
DIGEST = r"sha256:[0-9a-f]{64}"
INIT, GRANT, REVOKE, RELEASE, YANK = 1, 2, 3, 4, 5
PERMISSION = {RELEASE: 1, YANK: 2}


# ---- The log, and what it proves (protocol.md section 5) ----


class Log:
    """Its leaves' hashes. A node is a (height, place): of the leaves from place << height on."""

    def __init__(self):
        self.leaves = []

    def append(self, log_id, record_id):
        self.leaves.append(forge.sha256(b"\0WARG-LOG-LEAF-V0", forge.string(log_id), forge.string(record_id)))

    def hash(self, node):
        height, place = node
        if not height:
            return self.leaves[place]
        return forge.sha256(b"\1", *(self.hash((height - 1, 2 * place + side)) for side in (0, 1)))

    @staticmethod
    def balanced(length):
        """The roots of the balanced trees, the tallest first."""
        return [(height, (length >> height) - 1) for height in reversed(range(length.bit_length()))
                if length >> height & 1]

    def root(self, length):
        row = [self.hash(node) for node in self.balanced(length)]
        out = row.pop()
        while row:
            out = forge.sha256(b"\1", row.pop(), out)
        return "sha256:" + out.hex()

    def walk(self, node, length):
        """What leads from a node to the root."""
        height, place = node
        out = []
        while (place | 1) + 1 << height <= length:
            out.append((height, place ^ 1))
            height, place = height + 1, place >> 1
        return out + [other for other in self.balanced(length) if other != (height, place)]

    def bundle(self, length, parts, nodes):
        hashes = {(place << height + 1) + (1 << height) - 1: self.hash((height, place)) for height, place in nodes}
        entries = [[4, forge.render([[1, index], [2, hashes[index]]] if index else [[2, hashes[index]]])]
                   for index in sorted(hashes)]
        return forge.render([[1, length], *parts, *entries])

    def prove_inclusion(self, indices, length):
        nodes = [node for index in indices for node in self.walk((0, index), length)]
        return self.bundle(length, [[3, forge.packed(2 * index for index in indices)]], nodes)

    def prove_consistency(self, old, new):
        roots = self.balanced(old)
        nodes = roots + [node for root in roots for node in self.walk(root, new)]
        return self.bundle(new, [[2, forge.packed([old])]], nodes)


# ---- Records ----


class Record:
    """One that was sent, whatever became of it."""

    def __init__(self, log_id, name, sent):
        self.log_id = log_id
        self.name = name
        self.content = base64.b64decode(sent["contentBytes"])
        self.id = forge.digest(b"WARG-%s-LOG-RECORD-V0:" % (b"PACKAGE" if name else b"OPERATOR") + self.content)
        self.sent = sent
        fields = forge.parse(self.content)
        self.head = next((value.decode() for number, value in fields if number == 1), None)
        self.entries = [forge.parse(value)[0] for number, value in fields if number == 4]
        self.index = None
        self.reason = None

    def texts(self, kind):
        """The first text of each entry of a kind; of releases also the second."""
        parts = [[value.decode() for _, value in forge.parse(body) if isinstance(value, bytes)]
                 for number, body in self.entries if number == kind]
        return [tuple(part) for part in parts]

    @property
    def contents(self):
        return [content for _, content in self.texts(RELEASE)]


class Package:
    """What the records of a package's log come to."""

    def __init__(self):
        self.head = None
        self.permissions = {}  # of key ids: sets
        self.released = set()
        self.yanked = set()

    def refuse(self, record):
        """What is wrong with a record that would be next, or None."""
        if record.head != self.head:
            return "record hash does not match the head"
        held = dict(self.permissions)
        released, yanked = set(self.released), set(self.yanked)
        for kind, body in record.entries:
            texts = [value for _, value in forge.parse(body)]
            if kind == INIT:
                if held:
                    return "package already initialized"
                held[forge.digest(texts[0])] = {1, 2}
            elif not held:
                return "package not yet initialized"
            elif kind in PERMISSION:
                version = texts[0].decode()
                if PERMISSION[kind] not in held.get(record.sent["keyId"], ()):
                    return f"key {record.sent['keyId']} does not have the permission"
                if (version in released) == (kind == RELEASE) or version in yanked:
                    return f"version {version} was already released, or never"
                (released if kind == RELEASE else yanked).add(version)
            else:
                key = forge.digest(texts[0]) if kind == GRANT else texts[0].decode()
                given = set(forge.varints(texts[1]))
                held[key] = held.get(key, set()) | given if kind == GRANT else held.get(key, set()) - given
        self.head, self.permissions, self.released, self.yanked = record.id, held, released, yanked
        return None


class Registry:
    """The state, without a word of HTTP."""

    def __init__(self, url, namespace="test"):
        self.url = url
        self.log = Log()
        self.map = {}
        self.published = []  # records, in order
        self.records = {}    # by id
        self.packages = {}
        self.contents = {}   # by digest
        self.again = []      # ids that were sent more than once
        self.checkpoints = {}
        now = forge.render([[1, int(time.time())]])
        entries = [[1, forge.render([[1, b"sha256"], [2, forge.OPERATOR.public.encode()]])],
                   [4, forge.render([[1, namespace.encode()]])]]
        fields = [[3, now], *([4, forge.render([entry])] for entry in entries)]
        self.publish(Record(OPERATOR_LOG, None, forge.sign_record("OPERATOR", fields, forge.OPERATOR)))

    def publish(self, record):
        record.index = len(self.published)
        self.published.append(record)
        self.log.append(record.log_id, record.id)
        self.map[record.log_id] = record.id
        self.sign()

    def sign(self):
        length = len(self.published)
        self.checkpoints[length] = forge.sign_checkpoint({
            "logLength": length, "logRoot": self.log.root(length),
            "mapRoot": "sha256:" + forge.Map(self.map).node(256, 0).hex(), "timestamp": int(time.time())})
        return self.checkpoints[length]

    def missing(self, record):
        return [content for content in record.contents if content not in self.contents]

    def receive(self, record):
        """A new record: whatever it waits for."""
        self.records[record.id] = record
        self.go_on(record)

    def go_on(self, record):
        if self.missing(record):
            return
        package = self.packages.setdefault(record.name, Package())
        record.reason = package.refuse(record)
        if not record.reason:
            self.publish(record)

    def state_of(self, record):
        out = {"recordId": record.id}
        if record.reason:
            return {**out, "state": "rejected", "reason": record.reason}
        if record.index is not None:
            return {**out, "state": "published", "registryIndex": record.index}
        path = f"v1/package/{record.log_id}/record/{record.id}/content/"
        return {**out, "state": "sourcing", "missingContent": {
            content: {"upload": [{"type": "http", "method": "POST", "url": path + content}]}
            for content in self.missing(record)}}

    def log_of(self, log_id, length, token):
        """The records of a log behind a token, as in the API; None if there is no such log."""
        records = [record for record in self.published[:length] if record.log_id == log_id]
        if not records and not any(record.log_id == log_id for record in self.published):
            return None
        if token:
            at = next(i for i, record in enumerate(records) if record.id == token)
            records = records[at + 1:]
        return [{"contentBytes": record.sent["contentBytes"], "keyId": record.sent["keyId"],
                 "signature": record.sent["signature"], "registryIndex": record.index, "fetchToken": record.id}
                for record in records]

    def releases(self, name, version):
        """How many published records release it."""
        return sum(version in [text for text, _ in record.texts(RELEASE)]
                   for record in self.published if record.name == name)


# ---- The wire ----


class Refusal(Exception):
    def __init__(self, status, **more):
        super().__init__(status)
        self.answer = status, {"status": status, **(more or {"message": "no"})}


class QuickServer:
    """Registry behind a socket. As programs.Server, where that is asked."""

    def __init__(self):
        self.lock = threading.Lock()
        self.mistakes = []
        self.listener = Listener(("127.0.0.1", 0), type("Wire", (Wire,), {"quick": self}), self.mistakes)
        self.address = self.listener.server_address
        self.url = "http://127.0.0.1:%d/" % self.address[1]
        self.forget()
        self.thread = threading.Thread(target=self.listener.serve_forever, args=(0.05,))
        self.thread.start()

    def forget(self):
        """Be new."""
        self.registry = Registry(self.url)

    @property
    def checkpoints(self):
        return self.registry.checkpoints

    def end(self):
        self.listener.shutdown()
        self.thread.join()
        self.listener.server_close()
        assert not self.mistakes, self.mistakes


class Wire(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def handle_any(self):
        body = read_body(self)
        for method, path, answer in ROUTES:
            found = self.command in method.split("|") and re.fullmatch(path, self.path)
            if found:
                break
        else:
            return self.say(404, b"")
        try:
            with self.quick.lock:
                status, said = answer(self.quick.registry, body, *found.groups())
        except Refusal as refusal:
            status, said = refusal.answer
        self.say(status, said if isinstance(said, bytes) else json.dumps(said).encode(),
                 "application/octet-stream" if isinstance(said, bytes) else "application/json")

    do_GET = do_POST = do_HEAD = do_PUT = handle_any

    def say(self, status, body, kind="text/plain"):
        self.send_response_only(status)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        with contextlib.suppress(OSError):
            if self.command != "HEAD":
                self.wfile.write(body)

    def log_message(self, *_):
        pass


def fetch_checkpoint(registry, _):
    return 200, registry.checkpoints[len(registry.published)]


def fetch_logs(registry, body):
    asked = json.loads(body)
    length = asked["logLength"]
    out = {"more": False, "packages": {}}
    records = registry.log_of(OPERATOR_LOG, length, asked.get("operator"))
    if records:
        out["operator"] = records
    for log_id, token in asked.get("packages", {}).items():
        records = registry.log_of(log_id, length, token)
        if records is None:
            raise Refusal(404, type="log", id=log_id)
        out["packages"][log_id] = records
    return 200, out


def fetch_names(registry, body):
    names = {record.log_id: record.name for record in registry.published if record.name}
    return 200, {"packages": {log_id: names.get(log_id) for log_id in json.loads(body)["packages"]}}


def ledger(registry, _):
    return 200, {"hashAlgorithm": "sha256", "sources": [{
        "firstRegistryIndex": 0, "lastRegistryIndex": len(registry.published) - 1,
        "url": "v1/ledger/records/0", "contentType": "application/vnd.warg.ledger.packed"}]}


def ledger_records(registry, _):
    return 200, b"".join(bytes.fromhex(text.partition(":")[2]) for record in registry.published
                         for text in (record.log_id, record.id))


def prove_inclusion(registry, body):
    asked = json.loads(body)
    length, leafs = asked["logLength"], asked["leafs"]
    heads = {record.log_id: record.id for record in registry.published[:length]}
    logs = [registry.published[leaf].log_id for leaf in leafs]
    return 200, {"log": encode(registry.log.prove_inclusion(leafs, length)),
                 "map": encode(forge.Map(heads).prove(logs))}


def prove_consistency(registry, body):
    asked = json.loads(body)
    return 200, {"proof": encode(registry.log.prove_consistency(asked["from"], asked["to"]))}


def encode(bundle):
    return base64.b64encode(bundle).decode()


def sources(registry, _, digest):
    if digest not in registry.contents:
        raise Refusal(404, type="contentDigest", id=digest)
    return 200, {"contentSources": {digest: [{
        "type": "httpGet", "url": registry.url + "content/" + digest.replace(":", "-")}]}}


def content(registry, _, digest):
    found = registry.contents.get("sha256:" + digest)
    if found is None:
        raise Refusal(404)
    return 200, found


def publish(registry, body, log_id):
    asked = json.loads(body)
    name = asked["packageName"]
    if forge.package_log_id(name) != log_id:
        raise Refusal(400)
    record = Record(log_id, name, asked["record"])
    if not name.startswith("test:"):
        raise Refusal(404, type="namespace", id=name.partition(":")[0])
    if record.id in registry.records:
        registry.again.append(record.id)
        raise Refusal(500, message="this breaks the real one")
    registry.receive(record)
    return 202, registry.state_of(record)


def find_record(registry, log_id, record_id):
    record = registry.records.get(record_id)
    if not record or record.log_id != log_id:
        raise Refusal(404, type="record", id=record_id)
    return record


def get_record(registry, _, log_id, record_id):
    return 200, registry.state_of(find_record(registry, log_id, record_id))


def upload(registry, body, log_id, record_id, digest):
    record = find_record(registry, log_id, record_id)
    if record.index is not None or record.reason:
        return 405, {"status": 405}
    if digest not in record.contents or forge.digest(body) != digest:
        raise Refusal(400, message="content digest does not match expected digest")
    registry.contents[digest] = body
    registry.go_on(record)
    return 201, b""


PACKAGE = f"/v1/package/({DIGEST})/record"
ROUTES = (
    ("GET", "/v1/fetch/checkpoint", fetch_checkpoint),
    ("POST", "/v1/fetch/logs", fetch_logs),
    ("POST", "/v1/fetch/names", fetch_names),
    ("GET", "/v1/ledger", ledger),
    ("GET", "/v1/ledger/records/0", ledger_records),
    ("POST", "/v1/proof/inclusion", prove_inclusion),
    ("POST", "/v1/proof/consistency", prove_consistency),
    ("GET", f"/v1/content/({DIGEST})", sources),
    ("GET", "/content/sha256-([0-9a-f]{64})", content),
    ("HEAD", "/content/sha256-([0-9a-f]{64})", content),
    ("POST", PACKAGE, publish),
    ("GET", f"{PACKAGE}/({DIGEST})", get_record),
    ("POST|PUT", f"{PACKAGE}/({DIGEST})/content/({DIGEST})", upload),
)
