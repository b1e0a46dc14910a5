# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""The lies that are told to a publisher, as data.

A row is (name, mutation, kind, words, sent, then), with the call before it in the table at the end. `kind` is what
comes of the publish, None that it works all the same; `words` a pattern that the sentence has to match; `sent` how many
records with the release are in the real log then; and `then` what the next run, with honesty, comes to: GOES_ON where
something is under way and is finished, ANEW where nothing is and the same words publish it.
"""
import base64
import json

import forge
from lies import DOWN, FORGED, HTML, LIMIT, LOGIN, REFUSED, Kind, error, ids
from liar import (InTurn, changed, closed, cut, delivered, dribble, endless, half_read, late, not_http, raw, says,
                  silent, text, twice)

ABSENT = Kind("ENOENT", 4)
GOES_ON, ANEW = "goes on", "anew"
FOREIGN = "sha256:" + "5a" * 32


def first(mutation):
    """Told once."""
    return InTurn(mutation, None)


def headers(mutation, **more):
    """With headers."""
    def lie(answer):
        mutation(answer)
        answer.headers.update({name.replace("_", "-"): value for name, value in more.items()})
    return delivered(0, lie)


def refused(status, **more):
    """Refused before it is looked at."""
    return delivered(0, error(status, **more))


def state(name, **more):
    """In another state."""
    return changed(lambda said: {"recordId": said["recordId"], "state": name, **more})


def upload(**more):
    """Where the content is to be sent, and how."""
    def change(said):
        for missing in said["missingContent"].values():
            missing["upload"][0].update(more)
    return changed(change)


def missing(change):
    def edit(said):
        change(said["missingContent"])
    return changed(edit)


def elsewhere(form):
    """Another address for the content. form: of the liar's trap, of its own address, and of the path that was given."""
    def lie(answer):
        said = answer.json
        for content in said["missingContent"].values():
            place = content["upload"][0]
            place["url"] = form.format(trap=answer.liar.trap, home=answer.liar.url.rstrip("/"), path=place["url"])
        answer.json = said
    return lie


# ---- The record is sent ----

PUBLISH = (
    # Lost, before it arrived and after it was accepted.
    ("lost on the way", delivered(0, closed), DOWN, "closed", 0, GOES_ON),
    ("lost on the way once", first(delivered(0, closed)), None, "", 1, None),
    ("the answer lost", closed, None, "", 1, None),
    ("the answer cut short", cut, None, "", 1, None),
    ("late", late, None, "", 1, None),
    ("twice", twice, None, "", 1, None),
    ("half the record taken", half_read, DOWN, "", 0, GOES_ON),
        # No answers.
    ("HTML", says(content_type="text/html", body=HTML), None, "", 1, None),
    ("empty", says(), FORGED, "", 0, GOES_ON),
    ("another JSON", says(body=b'{"hello":"world"}'), FORGED, "", 0, GOES_ON),
    ("null", says(body=b"null"), FORGED, "", 0, GOES_ON),
    ("half the JSON", raw(lambda body: body[:len(body) // 2]), FORGED, "", 0, GOES_ON),
    ("without end", endless, LIMIT, "", 0, GOES_ON),
    ("not HTTP", not_http, FORGED, "", 0, GOES_ON),
    # Refused.
    ("400", refused(400), REFUSED, "a lie", 0, ANEW),
    ("401", refused(401), LOGIN, "a lie", 0, ANEW),
    ("403", refused(403), LOGIN, "a lie", 0, ANEW),
    ("404 namespace", refused(404, type="namespace", id="test"), ABSENT, "namespace", 0, ANEW),
    ("405", refused(405), REFUSED, "", 0, ANEW),
    ("409 namespaceImport", refused(409, type="namespaceImport", id="other.example"), REFUSED, "another registry", 0,
     ANEW),
    ("409 of no type", refused(409), REFUSED, "", 0, ANEW),
    ("409 with control characters", refused(409, type="namespaceImport", id="a\x1b[31m\n"), REFUSED, "another registry",
     0, ANEW),
    ("413", refused(413), REFUSED, "", 0, ANEW),
    ("415 without a body", delivered(0, says(415)), REFUSED, "", 0, ANEW),
    ("422", refused(422, message="the record is stale"), REFUSED, "the record is stale", 0, ANEW),
    ("422 with another reason", delivered(0, says(422, body=b'{"status":422,"reason":"failure","message":"no"}')),
     REFUSED, "", 0, ANEW),
    ("422 with control characters", refused(422, message="a\x1b]0;b\x07\nc"), REFUSED, "", 0, ANEW),
    ("429 once", first(headers(error(429), retry_after="1")), None, "", 1, None),
    ("429", headers(error(429), retry_after="3600"), DOWN, "", 0, GOES_ON),
    ("500", refused(500), DOWN, "a lie", 0, GOES_ON),
    ("500, and accepted", error(500), None, "", 1, None),
    ("501", refused(501), REFUSED, "a lie", 0, ANEW),
    ("503", refused(503), DOWN, "", 0, GOES_ON),
    ("503 once", first(headers(error(503), retry_after="1")), None, "", 1, None),
    ("a redirect", headers(says(307), location="http://127.0.0.1:1/"), DOWN, "307", 0, GOES_ON),
    # Another record.
    ("another record's id", changed(lambda said: said.update(recordId=FOREIGN)), FORGED, "record", 0, GOES_ON),
    ("no record's id", changed(lambda said: said.pop("recordId") and None), FORGED, "recordId", 0, GOES_ON),
    ("an unknown state", state("frobnicated"), FORGED, "state", 0, GOES_ON),
    ("rejected", state("rejected", reason="we do not like it"), REFUSED, "we do not like it", 0, ANEW),
    ("published nowhere", state("published"), FORGED, "registryIndex", 0, GOES_ON),
    ("published at a negative place", state("published", registryIndex=-1), FORGED, "registryIndex", 0, GOES_ON),
    ("published at the operator's place", state("published", registryIndex=0), FORGED, "not among", 0, GOES_ON),
)

# ---- Where the content is to be sent ----

# Nothing may come there.
ADDRESSES = tuple((name, elsewhere(form), FORGED, "", 0, GOES_ON) for name, form in (
    ("another host", "http://{trap}/{path}"),
    ("another host, without a scheme", "//{trap}/{path}"),
    ("another host behind backslashes", "\\\\{trap}\\{path}"),
    ("another host behind a slash and a backslash", "/\\{trap}/{path}"),
    ("another host behind tabs", "/\t/{trap}/{path}"),
    ("another host behind blanks", " http://{trap}/{path}"),
    ("a user of ours", "{home}@{trap}/{path}"),
    ("a user", "http://a:b@{trap}/{path}"),
    ("another scheme", "https://{trap}/{path}"),
    ("a file", "file:///etc/passwd"),
    ("another protocol", "gopher://{trap}/{path}"),
    ("a port of no meaning", "http://127.0.0.1:99999/{path}"),
    ("a second line", "{path}\r\nhost: {trap}"),
    ("a NUL", "{path}\x00"),
    ("nothing", ""),
    ("8 MiB", "a" * (1 << 20)),
))

# On the registry itself, so it may be asked, and says what it thinks.
PATHS = tuple((name, elsewhere(form), kind, "", sent, then) for name, form, kind, sent, then in (
    ("in full", "{home}/{path}", None, 1, None),
    ("from the root", "/{path}", None, 1, None),
    ("upwards", "../../../{path}", None, 1, None),
    ("round a corner", "v1/../{path}", None, 1, None),
    ("with a question", "{path}?a=b", FORGED, 0, GOES_ON),
    ("elsewhere", "v1/content/{path}", FORGED, 0, GOES_ON),
    ("a fragment", "{path}#a", None, 1, None),
))

MISSING = (
    ("a foreign content too", missing(lambda those: those.update({FOREIGN: next(iter(those.values()))})), FORGED,
     "5a5a", 0, GOES_ON),
    ("a foreign content instead", missing(lambda those: those.update({FOREIGN: those.popitem()[1]})), FORGED, "5a5a",
     0, GOES_ON),
    ("a content that is no digest", missing(lambda those: those.update({"../etc": those.popitem()[1]})), FORGED, "",
     0, GOES_ON),
    ("no place to send it", missing(lambda those: next(iter(those.values())).update(upload=[])), FORGED, "", 0,
     GOES_ON),
    ("a place of another type", upload(type="ftp"), FORGED, "ftp|type|upload", 0, GOES_ON),
    ("DELETE", upload(method="DELETE"), FORGED, "method|DELETE", 0, GOES_ON),
    ("GET", upload(method="GET"), FORGED, "method|GET", 0, GOES_ON),
    ("a method of two lines", upload(method="POST / HTTP/1.1\r\nx: y"), FORGED, "", 0, GOES_ON),
    ("PUT", upload(method="PUT"), None, "", 1, None),
    ("a content-length", upload(headers={"content-length": "0"}), FORGED, "header|content-length", 0, GOES_ON),
    ("a transfer-encoding", upload(headers={"transfer-encoding": "chunked"}), FORGED, "header|transfer", 0, GOES_ON),
    ("a host", upload(headers={"host": "other.example"}), FORGED, "header|host", 0, GOES_ON),
    ("a cookie", upload(headers={"cookie": "a=b"}), FORGED, "header|cookie", 0, GOES_ON),
    ("a header of two lines", upload(headers={"authorization": "a\r\nx: y"}), FORGED, "", 0, GOES_ON),
    ("a header that is no text", upload(headers={"authorization": 1}), FORGED, "", 0, GOES_ON),
    ("headers of 1 MB", upload(headers={"authorization": "a" * 1000000}), FORGED, "", 0, GOES_ON),
    ("its headers", upload(headers={"authorization": "Basic YTpi", "content-type": "application/wasm"}), None, "", 1,
     None),
    ("nothing is missing", missing(lambda those: those.clear()), None, "", 1, None),
    ("processing, when it waits", state("processing"), None, "", 1, None),
)

# ---- The content is sent ----

UPLOAD = (
    ("lost on the way", delivered(0, closed), DOWN, "", 0, GOES_ON),
    ("lost on the way once", first(delivered(0, closed)), None, "", 1, None),
    ("half of it taken", half_read, DOWN, "", 0, GOES_ON),
    ("the answer lost", closed, None, "", 1, None),
    ("late", late, None, "", 1, None),
    ("twice", twice, None, "", 1, None),
    ("taken twice", delivered(2, lambda answer: None), None, "", 1, None),
    ("kept nowhere", delivered(0, says(201)), REFUSED, "", 0, GOES_ON),
    ("kept nowhere once", first(delivered(0, says(201))), None, "", 1, None),
    ("400", refused(400), REFUSED, "a lie", 0, GOES_ON),
    ("401", refused(401), LOGIN, "a lie", 0, GOES_ON),
    ("403", refused(403), LOGIN, "a lie", 0, GOES_ON),
    ("404", refused(404), ABSENT, "", 0, GOES_ON),
    ("413", refused(413), REFUSED, "a lie", 0, GOES_ON),
    ("429 once", first(headers(error(429), retry_after="1")), None, "", 1, None),
    ("500", refused(500), DOWN, "a lie", 0, GOES_ON),
    ("503", refused(503), DOWN, "", 0, GOES_ON),
    ("503 once", first(refused(503)), None, "", 1, None),
    ("a redirect", headers(says(307), location="http://127.0.0.1:1/"), DOWN, "307", 0, GOES_ON),
    ("HTML", says(content_type="text/html", body=HTML), None, "", 1, None),
    ("without end", endless, None, "", 1, None),
    ("not HTTP", not_http, FORGED, "", 1, GOES_ON),
)

# ---- The record is asked for ----

RECORD = (
    ("closed once", first(closed), None, "", 1, None),
    ("late", late, None, "", 1, None),
    ("twice", twice, None, "", 1, None),
    ("HTML", says(content_type="text/html", body=HTML), DOWN, "web page", 1, GOES_ON),
    ("half the JSON", raw(lambda body: body[:len(body) // 2]), FORGED, "", 1, GOES_ON),
    ("401", error(401), LOGIN, "a lie", 1, GOES_ON),
    ("404 of another", error(404, type="record", id=FOREIGN), FORGED, "another record", 1, GOES_ON),
    ("429 once", first(headers(error(429), retry_after="1")), None, "", 1, None),
    ("503 once", first(error(503)), None, "", 1, None),
    ("another record's id", changed(lambda said: said.update(recordId=FOREIGN)), FORGED, "record", 1, GOES_ON),
    ("sourcing for ever", state("sourcing", missingContent={}), REFUSED, "was given", 1, GOES_ON),
    ("rejected, and in the log", state("rejected", reason="we do not like it"), None, "", 1, None),
    ("rejected without a reason", state("rejected"), FORGED, "reason", 1, GOES_ON),
    ("rejected with control characters", state("rejected", reason="a\x1b[31mb\n\x00c"), FORGED, "", 1, GOES_ON),
    ("rejected with 1 MB", state("rejected", reason="no! " * 250000), None, "", 1, None),
    ("published in a wrong place", state("published", registryIndex=0), None, "", 1, None),
    ("published past the end", state("published", registryIndex=1 << 40), LIMIT, "", 1, GOES_ON),
    ("published past all ends", state("published", registryIndex=(1 << 64) - 1), FORGED, "", 1, GOES_ON),
    ("published, then processing", InTurn(None, state("processing")), None, "", 1, None),
    ("sourcing after processing", InTurn(state("processing"), state("sourcing", missingContent={}), None), None, "", 1,
     None),
)

# ---- On a mount, with two seconds for each wait ----


def frozen():
    """The first answer again and again."""
    first_one = []

    def lie(answer):
        first_one.append(answer.json)
        answer.json = first_one[0]
    return lie


def other_bytes(said):
    """The package's records are not what was sent."""
    for records in said.get("packages", {}).values():
        for record in records:
            content = bytearray(base64.b64decode(record["contentBytes"]))
            content[-1] ^= 1
            record["contentBytes"] = base64.b64encode(content).decode()


SLOW = (
    ("the record answered with silence", {"publish": silent}, None, 1),
    ("the record lost in silence", {"publish": delivered(0, silent)}, "ETIMEDOUT", 0),
    ("the record answered in drops", {"publish": dribble}, None, 1),
    ("the record asked for in silence", {"record": silent, "checkpoint": frozen()}, "ETIMEDOUT", 1),
    ("the content lost in silence", {"upload": delivered(0, silent)}, "ETIMEDOUT", 0),
    ("the content answered with silence", {"upload": silent}, None, 1),
    ("processing for ever", {"record": state("processing"), "checkpoint": frozen()}, "ETIMEDOUT", 1),
    ("never under a checkpoint", {"checkpoint": frozen()}, "ETIMEDOUT", 1),
    ("busy for ever", {"record": headers(error(429), retry_after="3600"), "checkpoint": frozen()}, "EHOSTUNREACH", 1),
    ("another record under way for ever", {"publish": refused(409, type="record", id=FOREIGN)}, "EPERM", 0),
    ("other bytes in the log", {"logs": changed(other_bytes)}, "EBADMSG", 1),
)

TABLE = tuple((call, *row) for call, rows in (
    ("publish", PUBLISH + ADDRESSES + PATHS + MISSING), ("upload", UPLOAD), ("record", RECORD)) for row in rows)
