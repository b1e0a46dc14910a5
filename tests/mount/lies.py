# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""The lies, as data: who tells what about which call, and what has to be said of it.

A row is (name, mutation, kind, words), with the call before it in the tables at the end: `kind` is what comes of it,
and `words` a pattern that the daemon's sentence has to match. SHAPES are told about every call.
"""
import base64
import json
from dataclasses import dataclass

import forge
from liar import base64_at, changed, closed, cut, dribble, endless, not_http, raw, says, silent, text

HTML = b"<!DOCTYPE html><html><body>It works!</body></html>"


@dataclass(frozen=True)
class Kind:
    errno: str   # what a program gets
    status: int  # what a command ends with
    patience: int = 20  # the mount's timeout


FORGED = Kind("EBADMSG", 3)
DOWN = Kind("EHOSTUNREACH", 6)
SLOW = Kind("ETIMEDOUT", 6, 1)
LOGIN = Kind("EACCES", 7)
REFUSED = Kind("EPERM", 5)
LIMIT = Kind("EFBIG", 1)


def error(status, **more):
    body = {"status": status, "message": "a lie", **more}

    def mutation(answer):
        says(status)(answer)
        answer.json = body
    return mutation


# Answers that are no answers, whatever was asked.
SHAPES = (
    ("HTML", says(content_type="text/html", body=HTML), DOWN, "web page"),
    ("empty", says(), FORGED, ""),
    ("another JSON", says(body=b'{"hello":"world"}'), FORGED, ""),
    ("a list", says(body=b"[]"), FORGED, ""),
    ("null", says(body=b"null"), FORGED, ""),
    ("garbage", says(body=bytes(range(256))), FORGED, ""),
    ("half the JSON", raw(lambda body: body[:len(body) // 2]), FORGED, ""),
    ("two JSONs", raw(lambda body: body + body), FORGED, ""),
    ("deep", says(body=b"[" * 10000), LIMIT, ""),
    ("cut short", cut, DOWN, ""),
    ("closed", closed, DOWN, ""),
    ("without end", endless, LIMIT, ""),
    ("a byte now and then", dribble, SLOW, ""),
    ("silent", silent, SLOW, ""),
    ("not HTTP", not_http, FORGED, ""),
    ("500", error(500), REFUSED, "a lie"),
    ("503", error(503), DOWN, ""),
    ("401", error(401), LOGIN, ""),
    ("403", error(403), LOGIN, ""),
)

# ---- Checkpoints ----


def contents(**changes):
    """Other contents under the signature of before."""
    return changed(lambda signed: signed["contents"].update(changes))


def signed(key=forge.OPERATOR, **changes):
    """Other contents, signed by a key."""
    return changed(lambda value: forge.sign_checkpoint({**value["contents"], **changes}, key))


def shifted(part, by):
    """A number of the contents raised, under the signature of before."""
    def change(value):
        value["contents"][part] += by
    return changed(change)


WRONG_ROOT = "sha256:" + "5a" * 32

CHECKPOINTS = (
    ("duplicate keys", text(rb'"keyId"', b'"signature":"","keyId"'), FORGED, ""),
    ("uppercase hex", text(rb"(?<=sha256:)[0-9a-f]{64}", lambda match: match[0].upper().replace(b"0", b"A")), FORGED,
     ""),
    ("63 digits", text(rb"(sha256:[0-9a-f]{63})[0-9a-f]", rb"\1"), FORGED, ""),
    ("another length", shifted("logLength", 1), REFUSED, "logLength"),
    ("another log root", contents(logRoot=WRONG_ROOT), FORGED, "signature"),
    ("another map root", contents(mapRoot=WRONG_ROOT), FORGED, "signature"),
    ("another time", shifted("timestamp", 1), FORGED, "signature"),
    ("a negative length", contents(logLength=-1), FORGED, ""),
    ("a length of 2**64", contents(logLength=2**64), FORGED, ""),
    ("a fraction", contents(logLength=2.5), FORGED, ""),
    ("a signature of other bytes", changed(lambda value: value.update(
        signature=forge.OPERATOR.sign(b"other bytes"))), FORGED, "signature"),
    ("a signature that is not DER", changed(lambda value: value.update(
        signature=forge.text(b"\x30\x80" + bytes(64)))), FORGED, "signature"),
    ("a signature with a negative number", changed(lambda value: value.update(
        signature=forge.text(b"\x30\x06\x02\x01\xff\x02\x01\x01"))), FORGED, "signature"),
    ("a stranger's key id", changed(lambda value: value.update(keyId=forge.STRANGER.id)), FORGED, "key"),
    ("a stranger's signature", signed(forge.STRANGER), FORGED, "key"),
    ("signed, of another log root", signed(logRoot=WRONG_ROOT), FORGED, ""),
    ("signed, of another map root", signed(mapRoot=WRONG_ROOT), FORGED, ""),
    ("signed, without records", signed(logLength=0), FORGED, ""),
)

# ---- Logs ----


def records(change):
    """Change the records of test:steps if the answer has that package, else the records of every log in it."""
    victim = forge.package_log_id("test:steps")

    def edit(value):
        packages = value["packages"]
        for log_id in [victim] if victim in packages else list(packages):
            log = packages[log_id]
            if log:
                other = change(log)
                packages[log_id] = log if other is None else other
    return changed(edit)


def other_log(name, put=lambda log, other: other):
    """The log, or what `put` makes of it, is another package's, from the first record on."""
    log_id = forge.package_log_id(name)

    def mutation(answer):
        length = json.loads(answer.call.request)["logLength"]
        other = answer.ask("/v1/fetch/logs", {"logLength": length, "packages": {log_id: None}})["packages"][log_id]
        records(lambda log: put(log, other))(answer)
    return mutation


def record(at, change):
    """Change one record, where the log has it."""
    return records(lambda log: change(log[at]) if at < len(log) else None)


def rewritten(at, change, key=forge.PUBLISHER):
    """A record with its fields changed, and signed anew by a key."""
    def edit(one):
        fields = forge.parse(base64.b64decode(one["contentBytes"]))
        one.update(forge.sign_record("PACKAGE", change(fields) or fields, key))
    return record(at, edit)


def without(number):
    return lambda fields: [one for one in fields if one[0] != number]


def flipped(data):
    """One bit in the middle."""
    half = len(data) // 2
    return data[:half] + bytes([data[half] ^ 1]) + data[half + 1:]


def swap(log):
    log[:2] = log[1::-1]


def loose_base64(one):
    """The last digit before the padding with bits that say nothing."""
    digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    raw_bytes = base64.b64decode(one["contentBytes"])
    # An unknown field pads the record to a length that needs padding.
    while len(raw_bytes) % 3 == 0:
        raw_bytes += b"\x7a\x00"
    body = base64.b64encode(raw_bytes).decode()
    bare = body.rstrip("=")
    one["contentBytes"] = bare[:-1] + digits[digits.index(bare[-1]) + 1] + "=" * (len(body) - len(bare))


def version(number):
    return lambda fields: [[2, number]] + without(2)(fields)


def entry(*fields):
    """One more entry in a record."""
    return lambda old: old + [[4, forge.render([list(fields)])]]


def release(words):
    return 4, forge.render([[1, words.encode()], [2, WRONG_ROOT.encode()]])


# Records of test:steps: init and 0.1.0; 0.2.0; 0.3.0.
LOGS = (
    ("the first record dropped", records(lambda log: log[1:]), FORGED, "record"),
    ("one in the middle dropped", records(lambda log: [log[0], log[2]]), FORGED, "record"),
    ("the last record dropped", records(lambda log: log[:-1]), REFUSED, "proof"),
    ("no records", records(lambda log: []), FORGED, "keeps it back"),
    ("reordered", records(swap), FORGED, "record"),
    ("repeated", records(lambda log: log + log[-1:]), FORGED, "record"),
    ("a record that is not text", record(1, lambda one: one.update(contentBytes=7)), FORGED, ""),
    ("a signature of another record", records(lambda log: log[1].update(signature=log[2]["signature"])), FORGED,
     "signature"),
    ("a stranger's key id", record(1, lambda one: one.update(keyId=forge.STRANGER.id)), FORGED, "key"),
    ("signed by a stranger", rewritten(1, lambda fields: None, forge.STRANGER), FORGED, "key"),
    ("one bit flipped", record(1, base64_at("contentBytes", flipped)), FORGED, "registry index"),
    ("bytes behind the record", record(1, base64_at("contentBytes", lambda data: data + b"\xff")), FORGED,
     "registry index"),
    ("base64 with bits left over", record(1, loose_base64), FORGED, ""),
    ("base64 without padding", record(1, lambda one: one.update(contentBytes="AAA")), FORGED, ""),
    ("signed, without prev", rewritten(1, without(1)), FORGED, "prev"),
    ("signed, without time", rewritten(1, without(3)), FORGED, "time"),
    ("signed, before the one before", rewritten(1, lambda fields: [
        [number, forge.render([[1, 1]]) if number == 3 else value] for number, value in fields]), FORGED, "time"),
    ("signed, of another version", rewritten(1, version(1)), FORGED, "version"),
    ("signed, init again", rewritten(1, entry(1, forge.render([
        [1, forge.PUBLISHER.public.encode()], [2, b"sha256"]]))), FORGED, "init"),
    ("signed, 0.1.0 again", rewritten(1, entry(*release("0.1.0"))), FORGED, "0\\.1\\.0"),
    ("signed, a version with a slash", rewritten(1, entry(*release("../../etc/passwd"))), FORGED, "version"),
    ("signed, a version with a NUL", rewritten(1, entry(*release("1.0.0\0"))), FORGED, "version"),
    ("signed, a version with a control byte", rewritten(1, entry(*release("1.0.0-\x1b[2J"))), FORGED, "version"),
    ("signed, an empty entry", rewritten(1, lambda fields: fields + [[4, b""]]), FORGED, "entry"),
    ("signed, yank of what was never released", rewritten(1, entry(5, forge.render([[1, b"9.9.9"]]))), FORGED,
     "9\\.9\\.9"),
    ("signed, another release", rewritten(2, entry(*release("6.6.6"))), FORGED, ""),
    ("another index", record(2, lambda one: one.update(registryIndex=one["registryIndex"] - 1)), FORGED, ""),
    ("an index beyond the checkpoint", record(2, lambda one: one.update(registryIndex=1000)), FORGED, ""),
    ("of a log not asked for", changed(lambda value: value.update(
        packages={WRONG_ROOT: log for log in value["packages"].values()})), FORGED, ""),
    ("404 of a log", error(404, type="log", id=forge.package_log_id("test:steps")), FORGED, "there is none"),
    ("more without end", changed(lambda value: value.update(more=True)), FORGED, ""),
    ("another package's log", other_log("test:regret"), FORGED, "proof"),
    ("another package's log behind it", other_log("test:regret", lambda log, other: log + other), FORGED, "record"),
    ("the index of another package's record", records(lambda log: log[-1].update(registryIndex=2)), FORGED, ""),
    ("all at one index", records(lambda log: [{**one, "registryIndex": log[-1]["registryIndex"]} for one in log]),
     FORGED, ""),
    ("indices swapped", records(lambda log: [{**one, "registryIndex": other["registryIndex"]}
                                             for one, other in zip(log, log[::-1])]), FORGED, ""),
)

# The same of a log that is known, when it grows: by 0.2.0 and by 0.3.0.
GROWN_LOGS = (
    ("the first record dropped", records(lambda log: log[1:]), FORGED, "record"),
    ("the last record dropped", records(lambda log: log[:-1]), REFUSED, ""),
    ("no records", records(lambda log: []), REFUSED, ""),  # the real server proves no head of the past
    ("reordered", records(swap), FORGED, "record"),
    ("repeated", records(lambda log: log + log[-1:]), FORGED, "record"),
    ("each twice", records(lambda log: [one for one in log for _ in range(2)]), FORGED, "record"),
    ("another package's log", other_log("test:regret"), FORGED, "record"),
    ("signed by a stranger", rewritten(0, lambda fields: None, forge.STRANGER), FORGED, "key"),
    ("one bit flipped", record(0, base64_at("contentBytes", flipped)), FORGED, ""),
    ("signed, without prev", rewritten(0, without(1)), FORGED, "prev"),
    ("signed, before the one before", rewritten(0, lambda fields: [
        [number, forge.render([[1, 1]]) if number == 3 else value] for number, value in fields]), FORGED, "time"),
    ("signed, 0.1.0 again", rewritten(0, entry(*release("0.1.0"))), FORGED, "0\\.1\\.0"),
    ("signed, another release", rewritten(1, entry(*release("6.6.6"))), FORGED, ""),
    ("another index", record(1, lambda one: one.update(registryIndex=one["registryIndex"] - 1)), FORGED, ""),
    ("an index of the past", record(0, lambda one: one.update(registryIndex=1)), FORGED, ""),
    ("404 of a log", error(404, type="log", id=forge.package_log_id("test:steps")), FORGED, ""),
    ("more without end", changed(lambda value: value.update(more=True)), FORGED, ""),
)

# ---- The operator's log: one record, init and the namespace ----


def operator(change):
    """Change the list of the operator's records."""
    return changed(lambda value: value.update(operator=change(value["operator"])))


def operator_rewritten(change, key=forge.OPERATOR):
    """The first record with its fields changed, and signed anew by a key."""
    def edit(log):
        fields = forge.parse(base64.b64decode(log[0]["contentBytes"]))
        return [{**log[0], **forge.sign_record("OPERATOR", change(fields), key)}] + log[1:]
    return operator(edit)


def granted(key, *permissions):
    """One more record: the operator grants permissions to a key."""
    def edit(log):
        first = forge.parse(base64.b64decode(log[0]["contentBytes"]))
        time = next(value for number, value in first if number == 3)
        grant = forge.render([[1, key.public.encode()], [2, forge.packed(permissions)]])
        fields = [[1, log[-1]["fetchToken"].encode()], [3, time], [4, forge.render([[2, grant]])]]
        return log + [{**log[0], "registryIndex": 1, **forge.sign_record("OPERATOR", fields, forge.OPERATOR)}]
    return operator(edit)


COMMIT, DEFINE_NAMESPACE = 1, 2

OPERATOR_LOGS = (
    ("no operator", operator(lambda log: []), FORGED, "operator"),
    ("repeated", operator(lambda log: log * 2), FORGED, "operator"),
    ("signed by a stranger", operator_rewritten(lambda fields: fields, forge.STRANGER), FORGED, "operator.*key"),
    ("another operator", operator_rewritten(lambda fields: [fields[0], [4, forge.render([[1, forge.render([
        [1, b"sha256"], [2, forge.STRANGER.public.encode()]])]])]], forge.STRANGER), FORGED, "key"),
    ("signed, the namespace again", operator_rewritten(lambda fields: fields + fields[-1:]), FORGED, "operator.*test"),
    ("signed, a namespace with a slash", operator_rewritten(lambda fields: fields + [
        [4, forge.render([[4, forge.render([[1, b"../x"]])]])]]), FORGED, "operator.*namespace"),
    ("signed, another grant", granted(forge.STRANGER, COMMIT), REFUSED, "proof"),  # the real server proves no such head
)

# ---- Proofs ----


def bundle(key, change):
    """Change the fields of one of the bundles, "log", "map" or "proof"."""
    return changed(base64_at(key, lambda data: forge.render(change(forge.parse(data)) or forge.parse(data))))


def entries(number, change):
    """Change the list of all fields of a number; the rest stays before it."""
    return lambda fields: without(number)(fields) + change([one for one in fields if one[0] == number])


def numbers(number, change):
    """Change a packed list of numbers."""
    return entries(number, lambda found: [[number, forge.packed(change(forge.varints(found[0][1])))]])


def short_hash(fields):
    """The first hash in a list of HashEntry or OptionalHash without its last byte."""
    first = forge.parse(fields[0][1])
    first = [[number, value[:-1] if isinstance(value, bytes) else value] for number, value in first]
    return [[fields[0][0], forge.render(first)]] + fields[1:]


def wrong_hash(fields):
    first = forge.parse(fields[-1][1])
    first = [[number, flipped(value) if isinstance(value, bytes) else value] for number, value in first]
    return fields[:-1] + [[fields[-1][0], forge.render(first)]]


def in_map(change):
    """Change the list of hashes of the map's first proof."""
    return lambda fields: [[1, forge.render(entries(1, change)(forge.parse(fields[0][1])))]] + fields[1:]


PROOFS = (
    ("no log proof", changed(lambda value: value.update(log="")), FORGED, "log"),
    ("no map proof", changed(lambda value: value.update(map="")), FORGED, "map"),
    ("base64 of nothing", changed(lambda value: value.update(log="!!")), FORGED, ""),
    ("a bundle of garbage", bundle("log", lambda fields: [[15, b"garbage"]]), FORGED, ""),
    ("a log bundle cut short", changed(base64_at("log", lambda data: data[:-1])), FORGED, "proof"),
    ("a map bundle cut short", changed(base64_at("map", lambda data: data[:-1])), FORGED, "proof"),
    ("a hash too few", bundle("log", entries(4, lambda hashes: hashes[1:])), FORGED, "lacks the hash"),
    ("a hash too many", bundle("log", entries(4, lambda hashes: hashes + [
        [4, forge.render([[1, 1 << 20], [2, bytes(32)]])]])), FORGED, "does not need"),
    ("hashes reordered", bundle("log", entries(4, lambda hashes: hashes[::-1])), FORGED, "log"),
    ("a hash twice", bundle("log", entries(4, lambda hashes: hashes[:1] + hashes)), FORGED, "log"),
    ("a wrong hash", bundle("log", entries(4, wrong_hash)), FORGED, "log"),
    ("a hash of 31 bytes", bundle("log", entries(4, short_hash)), FORGED, ""),
    ("of another length", bundle("log", lambda fields: [[1, 12]] + without(1)(fields)), FORGED, "12 records"),
    ("of another leaf", bundle("log", numbers(3, lambda leaves: [leaf ^ 2 for leaf in leaves])), FORGED, ""),
    ("of no leaf", bundle("log", without(3)), FORGED, ""),
    ("of a leaf too many", bundle("log", numbers(3, lambda leaves: leaves * 2)), FORGED, ""),
    ("a map proof too many", bundle("map", lambda fields: fields * 2), FORGED, "map"),
    ("a map hash too few", bundle("map", in_map(lambda hashes: hashes[:-1])), FORGED, "map"),
    ("a map hash too many", bundle("map", in_map(lambda hashes: hashes + [
        [1, forge.render([[1, bytes(32)]])]])), FORGED, "map"),
    ("a wrong map hash", bundle("map", in_map(wrong_hash)), FORGED, "map"),
    ("a map hash of 31 bytes", bundle("map", in_map(short_hash)), FORGED, "map"),
    ("257 map hashes", bundle("map", in_map(lambda hashes: (hashes * 257)[:257])), FORGED, "map"),
    ("422", error(422, reason="failure"), REFUSED, "a lie"),
)

CONSISTENCY = (
    ("no proof", changed(lambda value: value.update(proof="")), FORGED, ""),
    ("a hash too few", bundle("proof", entries(4, lambda hashes: hashes[1:])), FORGED, ""),
    ("a wrong hash", bundle("proof", entries(4, wrong_hash)), FORGED, ""),
    ("a hash of 31 bytes", bundle("proof", entries(4, short_hash)), FORGED, ""),
    ("of another length", bundle("proof", lambda fields: [[1, 12]] + without(1)(fields)), FORGED, ""),
    ("of another old length", bundle("proof", numbers(2, lambda lengths: [lengths[0] - 1])), FORGED, ""),
)

# What a registry that grew may not say of its past.
GROWTH = tuple(("checkpoint", *row) for row in CHECKPOINTS if row[0] != "another length") + (
    # The operator's key is known by then: a signature that is none is seen before any log is asked for.
    ("checkpoint", "another length", shifted("logLength", 1), FORGED, "signature"),
) + tuple(("consistency", *row) for row in CONSISTENCY)

# ---- Contents ----


def elsewhere(url):
    return changed(lambda value: [one.update(url=url) for sources in value["contentSources"].values()
                                  for one in sources] and None)


SOURCES = (
    ("of another content", text(rb'"sha256:[0-9a-f]{64}"', b'"' + WRONG_ROOT.encode() + b'"'), FORGED, ""),
    ("no sources", changed(lambda value: {"contentSources": dict.fromkeys(value["contentSources"], [])}), REFUSED,
     "source"),
    ("plain http to elsewhere", elsewhere("http://registry.example/content"), FORGED, "http"),
    ("a file", elsewhere("file:///etc/passwd"), FORGED, ""),
    ("a URL with a user", elsewhere("http://user:word@127.0.0.1/x"), FORGED, ""),
    ("404", error(404, type="contentDigest", id=WRONG_ROOT), REFUSED, "contentDigest"),
)

BYTES = (
    ("one bit flipped", raw(flipped), FORGED, "digest|match"),
    ("truncated", raw(lambda body: body[:-1]), FORGED, ""),
    ("extended", raw(lambda body: body + b"\0"), FORGED, ""),
    ("empty", raw(lambda body: b""), FORGED, ""),
    ("another content", raw(lambda body: b"\0asm\1\0\0\0"), FORGED, ""),
    ("HTML", says(content_type="text/html", body=HTML), DOWN, "web page"),
    ("cut short", cut, DOWN, ""),
    ("closed", closed, DOWN, ""),
    ("silent", silent, SLOW, ""),
    ("404", says(404, "text/plain", b"gone"), REFUSED, "404"),
    ("403", says(403, "text/plain", b"no"), LOGIN, ""),
    ("503", says(503, "text/plain", b"later"), DOWN, ""),
)

# ---- The ledger and the names ----


def part(**changes):
    """The first part of the ledger, told otherwise. A change that is a function gets what was told."""
    def edit(value):
        first = value["sources"][0]
        first.update({key: change(first[key]) if callable(change) else change for key, change in changes.items()})
    return changed(edit)


LEDGER = (
    ("no parts", changed(lambda value: value.update(sources=[])), FORGED, "ledger"),
    ("a gap", part(firstRegistryIndex=lambda index: index + 1), FORGED, "ledger"),
    ("backwards", part(firstRegistryIndex=lambda index: index + 100), FORGED, "ledger"),
    ("a negative index", part(firstRegistryIndex=-1), FORGED, "firstRegistryIndex"),
    ("an index of 2**64", part(lastRegistryIndex=2**64), FORGED, ""),
    ("plain http to elsewhere", part(url="http://registry.example/records"), FORGED, "http"),
    ("a file", part(url="file:///etc/passwd"), FORGED, ""),
)


def leaves(change):
    """Change the list of the ledger's leaves, 64 bytes each."""
    return raw(lambda body: b"".join(change([body[at:at + 64] for at in range(0, len(body), 64)])))


def without_package(log):
    """The last record's package is left out: in the place of its records is another's, so that the length stays."""
    return [one if one[:32] != log[-1][:32] else log[1] for one in log]


RECORDS = (
    ("one too few", leaves(lambda log: log[:-1]), FORGED, "ledger"),
    ("half a record", raw(lambda body: body[:-32]), FORGED, "ledger"),
    ("nothing", raw(lambda body: b""), FORGED, "ledger"),
    ("reordered", leaves(lambda log: log[:-2] + [log[-1], log[-2]]), FORGED, "ledger"),
    ("backwards", leaves(lambda log: log[::-1]), FORGED, "ledger"),
    ("one record changed", leaves(lambda log: log[:-1] + [log[-1][:32] + flipped(log[-1][32:])]), FORGED, "ledger"),
    ("one log id changed", leaves(lambda log: log[:-1] + [flipped(log[-1][:32]) + log[-1][32:]]), FORGED, "ledger"),
    ("a package left out", leaves(without_package), FORGED, "ledger"),
    ("a package invented", leaves(lambda log: log[:-1] + [bytes(range(64))]), FORGED, "ledger"),
    ("one put in", leaves(lambda log: log[:1] + [bytes(range(64))] + log[1:]), FORGED, "ledger"),
    ("zeroes", leaves(lambda log: [bytes(64) for _ in log]), FORGED, "ledger"),
    ("HTML", says(content_type="text/html", body=HTML), DOWN, "web page"),
    ("cut short", cut, DOWN, ""),
    ("closed", closed, DOWN, ""),
    ("silent", silent, SLOW, ""),
    ("503", says(503, "text/plain", b"later"), DOWN, ""),
)


def names(change):
    """Change the object of names by their log ids."""
    def edit(value):
        change(value["packages"])
    return changed(edit)


def swap_names(found):
    first, second = sorted(found)[:2]
    found[first], found[second] = found[second], found[first]


def rename(words):
    return names(lambda found: found.update({sorted(found)[0]: words}))


NAMES = (
    ("swapped", names(swap_names), FORGED, "name"),
    ("invented", rename("test:invented"), FORGED, "name"),
    ("with a slash", rename("test:../../etc"), FORGED, "name"),
    ("without a namespace", rename("hello"), FORGED, "name"),
    ("in upper case", rename("test:HELLO"), FORGED, "name"),
    ("empty name", rename(""), FORGED, ""),
    ("no text", rename(7), FORGED, ""),
)

# What says more than was asked for, and is not looked at.
TOO_MUCH = (
    ("ledger", "an end too late", part(lastRegistryIndex=lambda index: index + 5)),
    ("records", "a package invented behind the others", leaves(lambda log: log + [bytes(range(64))])),
    ("names", "of a log that was not asked for", names(lambda found: found.update({WRONG_ROOT: "test:invented"}))),
)

# ---- All of them, by what a person does when he meets them ----

# Mounting.
AT_MOUNT = tuple(("checkpoint", *row) for row in SHAPES + CHECKPOINTS) + tuple(
    (call, *row) for call in ("logs", "inclusion") for row in SHAPES) + tuple(
    ("logs", *row) for row in OPERATOR_LOGS)
# Opening the folder test/steps, or its parent.
AT_PACKAGE = tuple(("logs", *row) for row in SHAPES + LOGS) + tuple(("inclusion", *row) for row in SHAPES + PROOFS)
# Reading test/page/1.0.0.wasm.
AT_CONTENT = tuple(("sources", *row) for row in SHAPES + SOURCES) + tuple(("bytes", *row) for row in BYTES)
# Listing what there is.
AT_LISTING = tuple((call, *row) for call in ("ledger", "names") for row in SHAPES if row[0] not in ("500",)) + tuple(
    ("ledger", *row) for row in LEDGER) + tuple(("records", *row) for row in RECORDS) + tuple(
    ("names", *row) for row in NAMES)
# The same while it grows, and of what is known while it does; of the shapes some, as each takes its time.
SOME_SHAPES = tuple(row for row in SHAPES if row[0] in (
    "HTML", "another JSON", "half the JSON", "cut short", "closed", "silent", "without end", "503"))
# Growth is read from the part where the last one ended: a gap at the ledger's beginning does not concern it.
GROWTH_OF_LISTING = tuple((call, *row) for call in ("ledger", "names") for row in SOME_SHAPES) + tuple(
    ("ledger", *row) for row in LEDGER if row[0] != "a gap") + tuple(("records", *row) for row in RECORDS) + tuple(
    ("names", *row) for row in NAMES if row[0] != "swapped")
GROWTH += tuple((call, *row) for call in ("checkpoint", "logs", "inclusion", "consistency") for row in SOME_SHAPES)
GROWTH_OF_PACKAGE = tuple(("logs", *row) for row in GROWN_LOGS) + tuple(("inclusion", *row) for row in PROOFS)


def ids(rows):
    return [f"{row[0]}: {row[1]}" for row in rows]
