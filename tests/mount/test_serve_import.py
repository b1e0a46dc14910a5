# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""A registry that is brought here, to sign on or as a mirror: the same to the byte, and none of the origin's lies."""
import contextlib
import json
import os
import re
import shutil
import signal
import subprocess

import pytest

import forge
import killing
import lies
import programs
import prometheus
from liar import Liar, says
from mounts import read
from publisher import Client, Record, digest, init, release
from registry import CONTENTS, PACKAGES, wasm
from waiting import until


@pytest.fixture
def origin(new_home):
    """A registry of a test's own, which may grow."""
    server = programs.OwnServer(new_home())
    yield server
    server.end()


def age_of_origin(mirror):
    metrics = prometheus.check(mirror.get("metrics").decode(), "wargfs_serve_", "wargfs-serve.1")
    return metrics["wargfs_serve_origin_age_seconds"]


def fsck(server):
    done = server.home.wargfs("serve", "fsck", "--data", server.data, "--content-dir", server.contents)
    assert "all is well" in done.stdout
    return done.stdout


def refused(home, url, *more, status=None):
    """Try to bring a registry here. Returns what was said; nothing of it is here then."""
    data = os.path.join(home.path, "data")
    done = home.wargfs("serve", "--data", data, "--listen", "127.0.0.1:0", "--import", url, *more, status=None)
    assert done.returncode in ((1, 3, *programs.FAILURES) if status is None else (status,)), done.stderr
    assert "listens at" not in done.stdout
    shutil.rmtree(data, ignore_errors=True)
    return done.stderr


# ---- The same as the origin ----


def test_mirror(bring, server, home):
    """Records, contents and the origin's own checkpoint; readers see no difference."""
    mirror = bring(server.url)
    theirs, ours = (json.loads(one.get("v1/fetch/checkpoint")) for one in (server, mirror))
    assert ours["contents"]["logRoot"] == theirs["contents"]["logRoot"] and ours["keyId"] == theirs["keyId"]
    assert mirror.get("v1/ledger/records/0") == server.get("v1/ledger/records/0")
    home.configure(mirror.url)
    for (name, version), content in list(CONTENTS.items())[:4]:
        home.warg("download", name, "--version", version, "--output", os.path.join(home.work, "out.wasm"))
        with open(os.path.join(home.work, "out.wasm"), "rb") as file:
            assert file.read() == content
    assert home.wargfs("ls", "test").stdout.split() == PACKAGES
    assert f"{len(set(CONTENTS.values()))} contents" in fsck(mirror)


def test_answers(bring, server):
    """Records, names and proofs as the origin has them; only tokens are each server's own."""
    mirror = bring(server.url)
    ends = Client(server), Client(mirror)
    length = ends[0].length()
    leafs = [length - 1]  # of others the reference proves no place in the map
    logs = {forge.package_log_id(name): None for name in PACKAGES}

    def told(client, path, body):
        answer = client.post(path, body)
        assert answer.status == 200
        return json.loads(re.sub(r',"fetchToken":"[^"]*"|"fetchToken":"[^"]*",', "", answer.body.decode()))

    for path, body in (("v1/fetch/logs", {"logLength": length, "operator": None, "packages": logs}),
                       ("v1/fetch/names", {"packages": list(logs)}),
                       ("v1/proof/inclusion", {"logLength": length, "leafs": leafs}),
                       ("v1/proof/consistency", {"from": length, "to": length})):
        theirs, ours = (told(client, path, body) for client in ends)
        assert ours == theirs, path
    for client in ends:
        client.close()


def test_contents_of_any_kind(bring, new_home):
    """What a registry elsewhere took, be it no Wasm, is in its log, and comes along."""
    origin = programs.Server(new_home())
    content = b"words, and no component"
    record = Record("test:words", init(), release("1.0.0", content))
    client = Client(origin)
    try:
        assert client.send(record).json["state"] == "sourcing"
        assert client.upload(record, content).status == 201
        origin.wait_for_length(2)
        mirror = bring(origin.url)
        assert mirror.get("content/" + digest(content).replace(":", "-")) == content
        fsck(mirror)
    finally:
        client.close()
        origin.end()


def test_mirror_takes_no_records(bring, server, home):
    mirror = bring(server.url)
    client = Client(mirror)
    answer = client.send(Record("test:more", init()))
    client.close()
    assert (answer.status, answer.json["status"]) == (501, 501) and server.url in answer.json["message"]
    home.configure(mirror.url)
    assert "mirror of" in home.warg("publish", "init", "test:more", status=1).stderr
    assert "mirror of" in home.wargfs("publish", "init", "test:more", status=5).stderr


def test_mirror_follows(bring, origin):
    """What is new comes by itself, with its contents; a restart goes on from there."""
    client = Client(origin)
    first = Record("test:follow", init(), release("1.0.0", CONTENTS["test:tiny", "1.0.0"]))
    client.publish(first, CONTENTS["test:tiny", "1.0.0"])
    mirror = bring(origin.url, "--refresh", "1")
    reader = Client(mirror)
    assert reader.length() == 2
    content = wasm(3000, 91)
    client.publish(Record("test:follow", release("1.1.0", content), prev=first), content)
    client.publish(Record("test:later", init()))
    until(lambda: reader.length() == 4, "the mirror has what is new")
    assert reader.ask("GET", "content/" + digest(content).replace(":", "-")).body == content
    for length in (2, 4):
        assert reader.post("v1/proof/inclusion", {"logLength": length, "leafs": [length - 1]}).status == 200
    reader.close()
    fsck(mirror)
    mirror.process.terminate()
    assert mirror.process.wait(30) == 0
    client.publish(Record("test:meanwhile", init()))
    client.close()
    mirror.start()
    assert json.loads(mirror.get("v1/fetch/checkpoint"))["contents"]["logLength"] == 5
    fsck(mirror)
    assert not mirror.surprises()


def test_origin_is_away(bring, origin):
    """What is here is served, and why there is no more is said; it catches up."""
    mirror = bring(origin.url, "--refresh", "1")
    mirror.process.terminate()
    mirror.process.wait(30)
    address = origin.address
    origin.terminate()
    mirror.start()
    assert json.loads(mirror.get("v1/fetch/checkpoint"))["contents"]["logLength"] == 1
    assert any("this machine" not in line and origin.url.rstrip("/") in line for line in mirror.surprises())
    with pytest.raises(AssertionError):
        bring(origin.url)
    origin.more = ("--listen", "%s:%d" % address)
    origin.start()
    client = Client(origin)
    client.publish(Record("test:back", init()))
    client.close()
    until(lambda: json.loads(mirror.get("v1/fetch/checkpoint"))["contents"]["logLength"] == 2, "it catches up")


def test_sign_on(bring, server):
    """With the operator's key it is a registry of its own from there on."""
    own = bring(server.url, "--namespace", "more", key=True)
    client = Client(own)
    length = json.loads(server.get("v1/fetch/checkpoint"))["contents"]["logLength"]
    assert client.length() == length + 1  # the namespace
    content = wasm(2000, 92)
    client.publish(Record("more:here", init(), release("1.0.0", content)), content)
    assert client.post("v1/proof/consistency", {"from": length, "to": length + 2}).status == 200
    client.close()
    fsck(own)
    own.process.terminate()
    assert own.process.wait(30) == 0
    # It has gone on by itself, so that the origin is another history now: it is not looked for any more.
    own.home.environment["WARG_OPERATOR_KEY"] = forge.OPERATOR.text
    told = own.home.wargfs(*own.words()[1:], status=3).stderr
    assert "went back" in told and "leave --import away" in told
    # Nor does it sign on from what may be old, when that cannot be seen.
    own.url_of_origin = "http://127.0.0.1:1"
    assert "leave --import away" in own.home.wargfs(*own.words()[1:], status=6).stderr


def test_another_key(bring, server, home):
    home.environment["WARG_OPERATOR_KEY"] = forge.STRANGER.text
    assert "begun with another" in refused(home, server.url, status=5)


def test_mirror_without_its_origin(bring, origin):
    """It says that it needs one, and makes no key."""
    mirror = bring(origin.url)
    mirror.process.terminate()
    mirror.process.wait(30)
    done = mirror.home.wargfs("serve", "--data", mirror.data, "--content-dir", mirror.contents, status=7)
    assert "operator.key" in done.stderr
    assert not os.path.exists(os.path.join(mirror.data, "operator.key"))


@pytest.mark.parametrize("words", (
    ("--refresh", "5"), ("--import", "ftp://x"), ("--import", "http://localhost:1", "--refresh", "0"),
    ("--import", "http://localhost:1", "--namespace", "more"),
    ("--import", "http://localhost:1", "--auth-token-file", "token"),
    ("--import", "http://localhost:1", "--authorized-keys-file", "keys"),
    ("--import", "http://localhost:1", "--refresh", "5", "--operator-key-file", "operator"),
), ids=str)
def test_misuse(home, words):
    """What would be of no use is refused, before anybody is asked."""
    for name, text in (("token", "secret"), ("keys", "[namespace.test]\nkeys = []\n"),
                       ("operator", forge.OPERATOR.text)):
        with open(os.path.join(home.work, name), "w", opener=lambda path, flags: os.open(path, flags, 0o600)) as file:
            file.write(text)
    done = home.wargfs("serve", "--data", os.path.join(home.path, "data"), *words, status=2)
    assert "this machine" not in done.stderr
    assert not os.path.exists(os.path.join(home.path, "data/operator.key"))


def test_what_else_is_told(bring, server):
    """Whose mirror it is, as JSON; and at /metrics how long ago its origin was well."""
    mirror = bring(server.url)
    assert age_of_origin(mirror) < 3600
    mirror.process.terminate()
    mirror.process.wait(30)
    with mirror.home.start(*mirror.words(), "--json", stdout=subprocess.PIPE) as process:
        told = b""
        while not told.endswith(b"}\n"):
            told += process.stdout.readline()
        process.terminate()
        assert process.wait(30) == 0
    told = json.loads(told)
    assert told["mirrorOf"] == server.url and told["keyId"] == forge.OPERATOR.id


def test_told_to_end_at_once(new_home, server):
    """A signal ends it in good order as soon as it says that it runs: none of its threads is hit, however young."""
    for _ in range(4):
        with contextlib.ExitStack() as started:
            mirrors = [started.enter_context(home.start(
                programs.WARGFS, "serve", "--data", os.path.join(home.path, "data"), "--listen", "127.0.0.1:0",
                "--import", server.url, stdout=subprocess.PIPE)) for home in (new_home() for _ in range(8))]
            for mirror in mirrors:
                while not mirror.stdout.readline().startswith(b"mirror of"):
                    assert mirror.poll() is None
                mirror.terminate()
            assert [mirror.wait(30) for mirror in mirrors] == [0] * len(mirrors)


def test_mirror_learns_of_namespaces(bring, origin):
    """The operator's log grows, too."""
    mirror = bring(origin.url, "--refresh", "1")
    origin.more = ("--listen", "%s:%d" % origin.address, "--namespace", "later")
    origin.restart()
    client, reader = Client(origin), Client(mirror)
    client.publish(Record("later:here", init()))
    until(lambda: reader.length() == 3, "it came")
    signed = json.loads(origin.get("v1/fetch/checkpoint"))
    for one in client, reader:
        assert one.post("v1/verify/checkpoint", signed).json["signature"] == "verified"
        one.close()
    fsck(mirror)


def test_full_disk(bring, server, folder, home):
    """Said to be this machine's; when there is room all of it comes."""
    place = os.path.join(folder, "small")
    os.mkdir(place)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", place], check=True)
    try:
        words = ("serve", "--data", place, "--listen", "127.0.0.1:0", "--import", server.url)
        told = home.wargfs(*words, status=1).stderr
        assert "No space left on device" in told and "the registry" not in told and told.count("\n") == 1
        subprocess.run(["mount", "-o", "remount,size=200m", place], check=True)
        bring(server.url, data=place).end()
    finally:
        subprocess.run(["umount", place], check=True)


# ---- Lies ----

STEPS = forge.package_log_id("test:steps")


def of_steps(mutation):
    """A lie about the log of test:steps, in an answer that has others, too."""
    def on(answer):
        logs = answer.json.get("packages", {})
        if STEPS not in logs:
            return
        answer.json = {**answer.json, "packages": {STEPS: logs.pop(STEPS)}}
        mutation(answer)
        if answer.status == 200:
            answer.json = {**answer.json, "packages": {**logs, **answer.json["packages"]}}
    return on


# Proofs are not asked for: all of the log and the map is rebuilt. What takes its time does so once, in other tests.
ROWS = tuple((call, *row) for call, *row in lies.AT_MOUNT + lies.AT_LISTING + lies.AT_CONTENT + tuple(
    ("logs", name, mutation if name == "more without end" else of_steps(mutation), *more)
    for name, mutation, *more in lies.LOGS)
    if call != "inclusion" and row[2] is not lies.SLOW)
# The origin says that it has a content no more: that holds nothing up.
GONE = {("sources", "404"), ("sources", "no sources")}


@pytest.mark.parametrize("call, name, mutation, kind, words", ROWS, ids=lies.ids(ROWS))
def test_lies(liar, home, bring, call, name, mutation, kind, words):
    """Nothing comes of it but a sentence."""
    liar.lie(call, mutation)
    if (call, name) not in GONE:
        said = refused(home, liar.url)
        assert said.count("\n") == 1 and said.startswith("wargfs serve: "), said
        return
    mirror = bring(liar.url)
    assert json.loads(mirror.get("v1/fetch/checkpoint"))["contents"]["logLength"] > 1
    assert not os.listdir(os.path.join(mirror.contents, "files"))


@pytest.fixture
def liar_of_origin(origin):
    """One before a registry of a test's own."""
    liar = Liar(origin)
    yield liar
    liar.close()
    assert not liar.mistakes


def test_honest_again(bring, origin, liar_of_origin):
    """What was here before a lie stays and is served, and the lie is told of once; with honesty the rest comes."""
    liar, client = liar_of_origin, Client(origin)
    mirror = bring(liar.url, "--refresh", "1")
    for call, mutation in (("ledger", says(500)), ("bytes", says(body=b"another content"))):
        liar.lie(call, mutation)
        content, length = wasm(700, len(call)), client.length()
        client.publish(Record(f"test:honest-{call}", init(), release("1.0.0", content)), content)
        liar.forget()
        until(lambda call=call: liar.count(call) > 2, "it was tried again and again")
        assert json.loads(mirror.get("v1/fetch/checkpoint"))["contents"]["logLength"] == length
        liar.be_honest()
        until(lambda length=length: json.loads(mirror.get("v1/fetch/checkpoint"))["contents"]["logLength"] > length,
              "it came")
    client.close()
    fsck(mirror)
    told = mirror.surprises()
    assert len(told) == 2 and all(liar.url in line for line in told), told


def test_another_history(bring, origin, new_home):
    """Going back, or another way, is refused by a mirror that runs, and by one that starts; it serves what it had."""
    client = Client(origin)
    client.publish(Record("test:one", init()))
    client.publish(Record("test:two", init()))
    mirror = bring(origin.url, "--refresh", "1")
    address = origin.address
    origin.terminate()
    client.close()
    other = programs.OwnServer(new_home(), "--listen", "%s:%d" % address)
    try:
        until(lambda: any("went back" in line for line in mirror.surprises()), "the mirror notices")
        client = Client(other)
        client.publish(Record("test:two", init()))
        client.publish(Record("test:one", init()))
        until(lambda: any("another history" in line for line in mirror.surprises()), "the mirror notices")
        client.publish(Record("test:three", init()))
        until(lambda: any("another root" in line for line in mirror.surprises()), "the mirror notices")
        client.close()
        assert json.loads(mirror.get("v1/fetch/checkpoint"))["contents"]["logLength"] == 3
        mirror.process.terminate()
        mirror.process.wait(30)
        done = mirror.home.wargfs(*mirror.words()[1:], status=3)
        assert "another root" in done.stderr
        fsck(mirror)
    finally:
        other.end()


def test_signed_again(bring, origin, liar_of_origin):
    """A checkpoint that says nothing new is served on if the operator signed it, and is refused from a stranger."""
    mirror = bring(liar_of_origin.url, "--refresh", "1")

    def served():
        return json.loads(mirror.get("v1/fetch/checkpoint"))

    first = served()
    liar_of_origin.lie("checkpoint", lies.signed(timestamp=first["contents"]["timestamp"] + 5000))
    until(lambda: served()["contents"]["timestamp"] == first["contents"]["timestamp"] + 5000, "the newer one is served")
    liar_of_origin.lie("checkpoint", lies.signed(forge.STRANGER, timestamp=first["contents"]["timestamp"] + 6000))
    until(mirror.surprises, "the stranger's is told of")
    told = mirror.surprises()
    assert len(told) == 1 and "key" in told[0]
    assert served()["contents"]["timestamp"] == first["contents"]["timestamp"] + 5000


# ---- Kills ----


def test_killed(server, home, folder):
    """Whenever it dies, the next one brings the rest: all of it, or nothing of it, was there."""
    mirror = programs.ImportedServer(home, server.url)
    mirror.process.terminate()
    mirror.process.wait(30)

    def forget():
        shutil.rmtree(mirror.data)
        shutil.rmtree(mirror.contents)

    trace = os.path.join(folder, "trace")
    calls = "write,pwrite64,fsync,fdatasync,ftruncate,rename,renameat,openat,unlinkat,recvfrom,sendto,read,pread64"
    forget()
    mirror.start(*killing.traced(calls, trace))
    subprocess.run(["pkill", "-TERM", "-P", str(mirror.process.pid)], check=True)
    assert mirror.process.wait(60) == 0, read(mirror.log)
    killed = []
    for place in killing.places(trace, 12):
        forget()
        try:
            mirror.start(*killing.killed_at(place))
            subprocess.run(["pkill", "-TERM", "-P", str(mirror.process.pid)], check=False)
        except AssertionError:
            pass
        killed.append(mirror.process.wait(60) == -signal.SIGKILL)
        os.makedirs(mirror.contents, exist_ok=True)
        mirror.start()
        fsck(mirror)
        mirror.process.terminate()
        assert mirror.process.wait(30) == 0
    killing.expect_most(killed)
