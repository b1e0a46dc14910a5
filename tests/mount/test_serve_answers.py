# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Our server and the reference's are asked the same, one request after another, and their answers compared.

What cannot be the same in two registries, hashes, signatures, times and addresses, is compared by its form. What
differs on purpose stands in the table, with the reason.
"""
import json
import os
import re

import pytest

import forge
import programs
from publisher import Client, Record, digest, init, release, yank
from registry import wasm
from waiting import until

CONTENTS = wasm(300, 1), wasm(400, 2), wasm(500, 3)
NAME, OTHER = "test:compared", "test:other"

FIRST = Record(NAME, init(), release("1.0.0", CONTENTS[0]))
SECOND = Record(NAME, release("1.1.0", CONTENTS[0]), prev=FIRST)
THIRD = Record(NAME, yank("1.0.0"), prev=SECOND)
LONE = Record(OTHER, init(), release("0.1.0", CONTENTS[1]))
WAITING = Record("test:waiting", init(), release("0.1.0", CONTENTS[2]))
NOWHERE = digest(b"nowhere")
ZEROS = "sha256:" + "0" * 64


@pytest.fixture(scope="module")
def pair(everything):
    """Both, each with the same records at the same places. 409 is only ours, so that each is sent when it may be."""
    servers, clients = [], []
    try:
        for kind, name in ((programs.Server, "compared-reference"), (programs.OwnServer, "compared-own")):
            server = kind(programs.Home(os.path.join(everything, name)))
            servers.append(server)
            server.wait_for_length(1)
            client = Client(server, keep=False)
            clients.append(client)
            for record, *contents in ((FIRST, CONTENTS[0]), (LONE, CONTENTS[1]), (SECOND,), (THIRD,)):
                if client.send(record).json["state"] == "sourcing":
                    for content in contents:
                        assert client.upload(record, content).status == 201
                until(lambda: client.state(record)["state"] == "published", "a record is published")
            assert client.send(WAITING).json["state"] == "sourcing"
        yield clients
    finally:
        for client in clients:
            client.close()
        for server in servers:
            server.end()


def normal(value):
    """Without what no two registries have alike."""
    if isinstance(value, dict):
        return {normal(name): normal(part) for name, part in value.items()}
    if isinstance(value, list):
        return [normal(part) for part in value]
    if isinstance(value, str):
        value = re.sub(r"http://127\.0\.0\.1:\d+/", "URL/", value)
        value = re.sub(r"ecdsa-p256:[A-Za-z0-9+/=]+", "SIGNATURE", value)
    return value


def form(answer):
    """Status, type, and what is compared of the body."""
    body = answer.body
    if body and answer.type == "application/json":
        body = normal(json.loads(body))
    return answer.status, answer.type, body


def ask_both(pair, method, path, body=None, **headers):
    return [client.ask(method, path, body, **headers) for client in pair]


def at(length):
    return {"logLength": length}


def lengths(pair):
    """A length that had a checkpoint in both. The reference signs when it likes."""
    until(lambda: pair[0].length() == 5, "the reference's checkpoint of all records")
    return 5


# ---- What has to be the same to the letter, but for what normal() takes away ----

HASHES = r"sha256:[0-9a-f]{64}"
LOG, RECORD = FIRST.log_id, FIRST.id
SAME = (
    ("POST", "v1/fetch/names", {"packages": [LOG, LONE.log_id]}),
    ("POST", "v1/fetch/names", {"packages": [WAITING.log_id]}),
    ("POST", "v1/fetch/names", {"packages": []}),
    ("POST", "v1/fetch/names", {"packages": [NOWHERE]}),
    ("POST", "v1/fetch/logs", {**at(99), "packages": {LOG: None}}),
    ("POST", "v1/fetch/logs", {**at(5), "packages": {NOWHERE: None}}),
    ("POST", "v1/fetch/logs", {**at(5), "packages": {LOG: "a token"}}),
    ("POST", "v1/fetch/logs", {**at(5), "operator": "a token"}),
    ("POST", "v1/fetch/logs", {**at(5), "limit": 0}),
    ("POST", "v1/fetch/logs", {**at(5), "limit": 1001}),
    ("POST", "v1/fetch/logs", {**at(5), "packages": {WAITING.log_id: None}}),
    ("POST", "v1/proof/inclusion", {**at(4), "leafs": [77]}),
    ("GET", f"v1/content/{NOWHERE}", None),
    ("GET", f"v1/content/{digest(CONTENTS[2])}", None),
    ("GET", f"content/{digest(CONTENTS[0]).replace(':', '-')}", None),
    ("GET", f"{FIRST.path}/{RECORD}", None),
    ("GET", f"{WAITING.path}/{NOWHERE}", None),
    ("GET", f"v1/package/{NOWHERE}/record/{RECORD}", None),
    ("POST", f"{FIRST.path}/{RECORD}/content/{digest(CONTENTS[0])}", b""),
    ("POST", f"{WAITING.path}/{NOWHERE}/content/{digest(CONTENTS[0])}", b""),
    ("POST", f"v1/package/{NOWHERE}/record/{RECORD}/content/{digest(CONTENTS[0])}", b""),
    ("GET", "v1/nothing", None),
    ("GET", "v1", None),
    ("GET", "nothing", None),
    ("GET", "", None),
    ("GET", "v1/fetch/logs", None),
    ("POST", "v1/fetch/checkpoint", {}),
    ("DELETE", "v1/ledger", None),
    ("PUT", f"v1/content/{NOWHERE}", b""),
    ("HEAD", "v1/fetch/checkpoint", None),
)


@pytest.mark.parametrize("method, path, body", SAME)
def test_same(pair, method, path, body):
    lengths(pair)
    theirs, ours = map(form, ask_both(pair, method, path, body))
    if method == "HEAD" or ours[1] and not ours[1].startswith(("application/json", "application/octet")):
        theirs, ours = theirs[:2], ours[:2]
    assert ours == theirs


# ---- Where the words are free, and the rest is not ----

BODY = {"packageName": NAME, "record": SECOND.body}
SAME_BUT_WORDS = (
    ("POST", "v1/fetch/logs", b"{", {"content-type": "application/json"}),
    ("POST", "v1/fetch/logs", b"{}", {"content-type": "text/plain"}),
    ("POST", "v1/fetch/logs", b"{}", {}),
    ("POST", "v1/fetch/logs", {}, {}),
    ("POST", "v1/fetch/logs", {**at(5), "packages": None}, {}),
    ("POST", "v1/fetch/logs", {**at(5), "unknown": 1}, {}),
    ("POST", "v1/fetch/logs", {**at(-5)}, {}),
    ("POST", "v1/fetch/logs", {**at(5), "limit": 70000}, {}),
    ("POST", "v1/fetch/logs", {**at(5), "packages": {"sha256:zz": None}}, {}),
    ("POST", "v1/fetch/names", {"packages": ["no hash"]}, {}),
    ("POST", "v1/fetch/names", {}, {}),
    ("POST", "v1/proof/inclusion", {**at(5), "leafs": ["1"]}, {}),
    ("POST", "v1/proof/inclusion", {**at(5), "leafs": []}, {}),
    ("POST", "v1/proof/inclusion", {**at(0), "leafs": []}, {}),
    ("POST", "v1/proof/inclusion", {**at(5000), "leafs": [1]}, {}),
    ("POST", "v1/proof/inclusion", {**at(5), "leafs": [1]}, {}),
    ("POST", "v1/proof/consistency", {"from": 0, "to": 5}, {}),
    ("POST", "v1/proof/consistency", {"from": 3, "to": 2}, {}),
    ("POST", "v1/proof/consistency", {"from": 3, "to": 7000}, {}),
    ("POST", "v1/proof/consistency", {"from": 3}, {}),
    ("POST", "v1/verify/checkpoint", {"contents": 1}, {}),
    ("GET", "v1/content/no-digest", None, {}),
    ("GET", "v1/content/%ff%fe", None, {}),
    ("GET", "v1/ledger/records/x", None, {}),
    ("GET", f"v1/package/{LOG}/record/x", None, {}),
    ("GET", f"v1/package/x/record/{RECORD}", None, {}),
    ("GET", "content/sha256-00", None, {}),
    ("GET", "content/..%2f..%2fregistry.db", None, {}),
    ("GET", f"content/{NOWHERE.replace(':', '-')}", None, {}),
    ("POST", f"v1/package/{NOWHERE}/record", BODY, {}),
    ("POST", FIRST.path, {"packageName": NAME}, {}),
    ("POST", FIRST.path, {**BODY, "packageName": "nothing"}, {}),
    ("POST", FIRST.path, {**BODY, "record": {**SECOND.body, "contentBytes": "!"}}, {}),
    ("POST", FIRST.path, {**BODY, "record": {**SECOND.body, "contentBytes": "AAAA"}}, {}),
    ("POST", FIRST.path, {**BODY, "contentSources": {digest(CONTENTS[0]): []}}, {}),
    ("POST", f"{WAITING.path}/{WAITING.id}/content/{digest(CONTENTS[0])}", CONTENTS[0], {}),
    ("POST", f"{WAITING.path}/{WAITING.id}/content/{digest(CONTENTS[2])}", CONTENTS[0], {}),
    ("GET", "v1/fetch/checkpoint", None, {"warg-registry": "example.com"}),
    ("POST", "v1/fetch/logs", at(5), {"warg-registry": "example.com"}),
    ("GET", "v1/ledger", None, {"warg-registry": "example.com"}),
    ("GET", f"v1/content/{NOWHERE}", None, {"warg-registry": "example.com"}),
    ("POST", "v1/fetch/names", b"x" * (3 << 20), {"content-type": "application/json"}),
)


def shape(value):
    """Which members there are, in which order, and what is no sentence."""
    if isinstance(value, dict):
        return [(name, "…" if name == "message" else shape(part)) for name, part in value.items()]
    return re.sub(HASHES, "HASH", value) if isinstance(value, str) else value


@pytest.mark.parametrize("method, path, body, headers", SAME_BUT_WORDS)
def test_same_but_words(pair, method, path, body, headers):
    lengths(pair)
    theirs, ours = ask_both(pair, method, path, body, **headers)
    assert (ours.status, ours.type) == (theirs.status, theirs.type), (ours.body, theirs.body)
    if ours.type == "application/json":
        assert shape(ours.json) == shape(theirs.json)


def foreign(name, *entries, **options):
    record = Record(name, *entries, **options)
    return "POST", record.path, {"packageName": name, "record": record.body}


REFUSED = (
    (foreign("nothing:here", init()), 404, ""),
    (foreign(NAME, yank("1.1.0"), prev=THIRD, key=forge.STRANGER), 401, "unknown key id `"),
    (foreign("test:unsigned", yank("1.1.0"), prev=THIRD), 401, "unknown key id `"),
)


@pytest.mark.parametrize("request_, status, words", REFUSED)
def test_records_that_are_refused(pair, request_, status, words):
    theirs, ours = ask_both(pair, *request_)
    assert (ours.status, ours.type, shape(ours.json)) == (theirs.status, theirs.type, shape(theirs.json))
    for answer in theirs, ours:
        assert answer.status == status and words in answer.json.get("message", "")


def test_signature_of_another_record(pair):
    """The record is one that neither has: of one that it has the reference would break."""
    record = Record(NAME, yank("1.0.0"), prev=THIRD)
    body = {"packageName": NAME, "record": {**record.body, "signature": THIRD.body["signature"]}}
    for answer in ask_both(pair, "POST", FIRST.path, body):
        assert answer.status == 401
        assert answer.json["message"] == f"signature `{THIRD.body['signature']}` verification failed"


SIGNATURES = ("", "ecdsa-p256", "ecdsa-p256:", "ecdsa-p256:!!", "ecdsa-p256:AAA", "ecdsa-p256:AAAA", "ed25519:AAAA",
              ":AAAA", "ecdsa-p256:AAAA:", "ecdsa-p256: AAAA", "ECDSA-P256:AAAA", "ecdsa-p256:" + "AAAA" * 24)


@pytest.mark.parametrize("signature", SIGNATURES)
def test_signatures_that_are_none(pair, signature):
    """A malformed signature has another answer than a wrong one."""
    record = Record("test:unsigned", init())
    body = {"packageName": record.name, "record": {**record.body, "signature": signature}}
    theirs, ours = ask_both(pair, "POST", record.path, body)
    assert ours.status == theirs.status


# ---- What has to be the same in form ----


def test_checkpoint(pair):
    theirs, ours = (client.checkpoint() for client in pair)
    assert json.dumps(shape(ours)).replace(str(ours["contents"]["timestamp"]), "") .count("logRoot") == 1
    assert list(ours) == list(theirs) and list(ours["contents"]) == list(theirs["contents"])
    assert ours["keyId"] == theirs["keyId"]


def test_logs(pair):
    """The same records, but for the operator's, which each registry made itself."""
    length = lengths(pair)
    for body in (at(length), {**at(length), "packages": {LOG: None, LONE.log_id: None}},
                 {**at(length), "packages": {LOG: RECORD}}, {**at(length), "packages": {LOG: THIRD.id}},
                 {**at(length), "limit": 2, "packages": {LOG: None, LONE.log_id: None}},
                 {**at(length), "limit": 1, "packages": {LOG: SECOND.id}}):
        theirs, ours = (answer.json for answer in ask_both(pair, "POST", "v1/fetch/logs", body))
        assert ours.pop("packages", None) == theirs.pop("packages", None)
        assert [list(record) for record in ours.pop("operator")] == [list(one) for one in theirs.pop("operator")]
        assert ours.pop("more") == theirs.pop("more")
        assert not ours and all(not part for part in theirs.values())


def test_operator_behind_its_last(pair):
    """It is left out when there is nothing to say."""
    length = lengths(pair)
    for client in pair:
        token = client.post("v1/fetch/logs", at(length)).json["operator"][-1]["fetchToken"]
        assert client.post("v1/fetch/logs", {**at(length), "operator": token}).json == {"more": False}


def test_ledger(pair):
    lengths(pair)
    theirs, ours = (answer.json for answer in ask_both(pair, "GET", "v1/ledger"))
    assert ours == theirs
    url = ours["sources"][0]["url"]
    theirs, ours = ask_both(pair, "GET", url)
    assert (ours.status, ours.type, ours.body[64:]) == (theirs.status, theirs.type, theirs.body[64:])
    assert len(ours.body) == 5 * 64
    for start in (3, 5, 99):
        theirs, ours = ask_both(pair, "GET", f"v1/ledger/records/{start}")
        assert (ours.status, ours.type, ours.body) == (theirs.status, theirs.type, theirs.body)


def test_proofs(pair):
    """Of the same lengths and leaves; the hashes are those of two registries."""
    length = lengths(pair)
    for body in ({**at(length), "leafs": [4]}, {**at(length), "leafs": [2, 4, 0]}):
        theirs, ours = ask_both(pair, "POST", "v1/proof/inclusion", body)
        assert ours.status == theirs.status == 200 and list(ours.json) == list(theirs.json)
        for name in ("log", "map"):
            assert len(ours.json[name]) == len(theirs.json[name])
    for start, end in ((1, 5), (3, 5), (2, 4), (5, 5)):
        theirs, ours = ask_both(pair, "POST", "v1/proof/consistency", {"from": start, "to": end})
        assert (ours.status, list(ours.json)) == (theirs.status, list(theirs.json))
        if ours.status == 200:
            assert len(ours.json["proof"]) == len(theirs.json["proof"])


def test_verify_checkpoint(pair):
    for client in pair:
        mine = client.checkpoint()
        said = client.post("v1/verify/checkpoint", mine).json
        assert said == {"checkpoint": "verified", "signature": "verified"}
        other = forge.sign_checkpoint({**mine["contents"], "logRoot": ZEROS})
        assert client.post("v1/verify/checkpoint", other).json == {"checkpoint": "invalid", "signature": "verified"}
        stranger = forge.sign_checkpoint(mine["contents"], forge.STRANGER)
        assert client.post("v1/verify/checkpoint", stranger).json == {"checkpoint": "verified",
                                                                      "signature": "invalid"}


def test_content_sources(pair):
    """Ours says more: how large it is, and that a range may be had."""
    theirs, ours = (normal(answer.json) for answer in ask_both(pair, "GET", f"v1/content/{digest(CONTENTS[0])}"))
    source = ours["contentSources"][digest(CONTENTS[0])][0]
    assert source.pop("size") == len(CONTENTS[0]) and source.pop("acceptRanges") is True
    assert ours == theirs


RANGES = ("bytes=0-9", "bytes=5-", "bytes=-7", "bytes=0-100000", "bytes=299-299", "bytes=300-", "bytes=5-2", "bytes=-0",
          "lines=1-2", "bytes=0-0")


@pytest.mark.parametrize("range_", RANGES)
def test_ranges(pair, range_):
    path = "content/" + digest(CONTENTS[0]).replace(":", "-")
    theirs, ours = ask_both(pair, "GET", path, range=range_)
    if range_ in ("bytes=5-2", "lines=1-2", "bytes=-0"):  # whoever asks for nonsense may be given all, or nothing
        assert ours.status in (200, 416)
        return
    assert (ours.status, ours.headers.get("content-range")) == (theirs.status, theirs.headers.get("content-range"))
    if ours.status != 416:
        assert ours.body == theirs.body


# ---- Where ours is better (interop.md section B 3 and 4) ----


def test_sent_twice(pair):
    ours = pair[1]
    assert ours.send(SECOND).json == {"recordId": SECOND.id, "state": "published", "registryIndex": 3}
    assert ours.send(WAITING).json["state"] == "sourcing"
    assert ours.length() == 5


def test_short_hash(pair):
    """A hash has 64 digits (protocol.md section 1): to the reference one of two is only not known."""
    assert [answer.status for answer in ask_both(pair, "GET", "v1/content/sha256:00")] == [404, 400]


def test_unknown_token(pair):
    answer = pair[1].post("v1/fetch/logs", {**at(5), "packages": {LOG: NOWHERE}})
    assert (answer.status, answer.json) == (404, {"status": 404, "type": "fetchToken", "id": NOWHERE})
