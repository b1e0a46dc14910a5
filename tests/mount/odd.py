# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Records that warg-server publishes and wargfs refuses: a package for each kind, by an ordinary publisher."""
import forge
from publisher import EPOCH, GRANT, RELEASE, REVOKE, Client, Record, digest, grant, init, release
from registry import wasm
from waiting import until

CONTENTS = {}  # name of a package -> the contents that its refused record releases


def content_of(name):
    return CONTENTS.setdefault(name, wasm(300 + len(CONTENTS), 900 + len(CONTENTS)))


def uncompressed(key):
    x, y = key.point
    return forge.text(b"\4" + x.to_bytes(32, "big") + y.to_bytes(32, "big")).encode()


class OddRecord(Record):
    """Make a record and change its fields before signing."""

    def __init__(self, name, *entries, edit=lambda fields: fields, key=forge.PUBLISHER, **options):
        super().__init__(name, *entries, key=key, **options)
        self.body = forge.sign_record("PACKAGE", edit(forge.parse(self.content)), key)
        self.id = self.body.pop("fetchToken")


def at(seconds=EPOCH, *more):
    """Change the record's time."""
    time = forge.render([[1, seconds % 2**64], *more])
    return lambda fields: [[number, time if number == 3 else value] for number, value in fields]


def first_key(fields):
    """Write the key of init in uncompressed form."""
    key = forge.render([[1, uncompressed(forge.PUBLISHER)], [2, b"sha256"]])
    return [[number, forge.render([[1, key]]) if number == 4 and forge.parse(value)[0][0] == 1 else value]
            for number, value in fields]


OTHER = forge.Key("another publisher")
LONG = "test:" + "long-" * 60 + "name"  # too long for a file name
MANY = [grant(OTHER, 1)] * 17000  # 1.2 MB

# Each package has a good record with version 1.0.0, then one with 2.0.0 that is refused with this message.
SECOND = {
    "test:year": (dict(edit=at(400_000_000_000)), "between 1970 and 9999"),
    "test:nanos": (dict(edit=at(EPOCH, [2, 10**9])), "nanoseconds"),
    "test:granted": (dict(entries=[(GRANT, [[1, uncompressed(OTHER)], [2, b"\1"]])]), "key"),
    "test:unknown": (dict(edit=lambda fields: fields + [[15, b"?"]]), "unknown field 15"),
    "test:twice": (dict(edit=lambda fields: fields[:2] + fields[1:]), "twice"),
    "test:version": (dict(entries=[(RELEASE, [[1, b"1.0.0-" + b"a" * 300],
                                              [2, forge.digest(content_of("test:version")).encode()]])]), "version"),
    "test:revoked": (dict(entries=[(REVOKE, [[1, b"nobody"]])]), "key id"),
    "test:large": (dict(entries=MANY), "1048576"),
}
# Refused from the first record on.
FIRST = {
    "test:early": (dict(edit=at(-1)), "between 1970 and 9999"),
    "test:key": (dict(edit=first_key), "key"),
    LONG: ({}, "name"),
}
REFUSED = {**SECOND, **FIRST}
# Unusual and accepted: revokes no permissions, from an unknown key.
TAKEN = "test:harmless"
GOOD = "test:good"


def records(name):
    """The records of a package, with their contents."""
    content = content_of(name)
    options = dict(REFUSED.get(name, ({},))[0])
    entries = options.pop("entries", [])
    if name == TAKEN:
        entries = [(REVOKE, [[1, OTHER.id.encode()]])]
    if name in FIRST:
        return [(OddRecord(name, init(), release("2.0.0", content), **options), content)]
    good = wasm(200, name)
    before = Record(name, init(), release("1.0.0", good))
    return [(before, good), (OddRecord(name, *entries, release("2.0.0", content), prev=before, **options), content)]


def send(server, sent):
    """Send records with their contents, and wait until a checkpoint includes all."""
    client = Client(server, keep=False)
    before = client.length()
    for record, content in sent:
        answer = client.send(record)
        assert answer.status == 202, (record.name[:40], answer.body)
        if digest(content) in answer.json.get("missingContent", {}):
            assert client.upload(record, content).status == 201, record.name
    for record, _ in sent:
        until(lambda record=record: client.state(record)["state"] in ("published", "rejected"), "it is decided on")
        assert client.state(record)["state"] == "published", (record.name[:40], client.state(record))
    server.wait_for_length(before + len(sent))


def publish(server):
    """Publish all packages. Returns the records of each."""
    server.wait_for_length(1)
    packages = {name: records(name) for name in (GOOD, TAKEN, *REFUSED)}
    for step in range(2):
        send(server, [of[step] for of in packages.values() if len(of) > step])
    return packages
