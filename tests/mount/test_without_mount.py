# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""The commands that work on a registry or the cache without a mount: ls, fetch, clear."""
import hashlib
import json
import os
import pty
import signal
import threading

import pytest

import programs
from liar import changed, closed, cut, raw, says, silent, travels
from lies import HTML
from mounts import read
from registry import CONTENTS, PACKAGES
from waiting import until

TINY = CONTENTS["test:tiny", "1.0.0"]


@pytest.fixture
def configured(home, liar):
    """A home whose home registry is behind the liar."""
    return home.configure(liar.url)


def digest_of(content):
    return "sha256:" + hashlib.sha256(content).hexdigest()


# ---- ls ----


def test_ls(configured, server):
    """Namespaces, packages, versions: each in the form that the next command takes."""
    assert configured.wargfs("ls").stdout == "test\n"
    assert configured.wargfs("ls", "test").stdout.split() == PACKAGES
    assert configured.wargfs("ls", "test:hello").stdout.split() == ["0.9.0", "1.0.0", "1.1.0+build.7"]
    assert configured.wargfs("ls", "test:regret").stdout.split() == ["1.0.0"]
    assert configured.wargfs("ls", "test:bare").stdout == ""
    for words in ((), ("test",), ("test:hello",)):
        told = json.loads(configured.wargfs("ls", *words, "--json").stdout)
        assert told["complete"] is True and told["logLength"] == server.lengths[-1]
    told = json.loads(configured.wargfs("ls", "--json").stdout)
    assert told["namespaces"] == [{"namespace": "test"}]
    told = json.loads(configured.wargfs("ls", "test", "--json").stdout)
    assert told["packages"] == [{"package": name} for name in PACKAGES]


def test_ls_long(configured, liar):
    assert configured.wargfs("ls", "-l").stdout == f"test  {len(PACKAGES)} packages\n"
    told = json.loads(configured.wargfs("ls", "-l", "--json").stdout)
    assert told["namespaces"] == [{"namespace": "test", "packages": len(PACKAGES)}]
    liar.forget()
    lines = configured.wargfs("ls", "--long", "test").stdout.splitlines()
    assert liar.count("logs") <= 2  # the operator's, and those of all packages
    assert "test:hello  1.1.0+build.7  3 releases" in lines and "test:bare  -  0 releases" in lines
    told = json.loads(configured.wargfs("ls", "-l", "test", "--json").stdout)
    assert {"package": "test:regret", "releases": 2, "latest": "1.0.0"} in told["packages"]
    assert {"package": "test:bare", "releases": 0, "latest": None} in told["packages"]


def test_ls_releases(configured):
    """Digests, times and yanks are those that the reference stores."""
    configured.warg("update")
    configured.warg("download", "test:regret", "-o", "x.wasm")
    told = json.loads(configured.wargfs("ls", "test:regret", "--json").stdout)
    state = json.loads(read(configured.log_file(configured.read_config()["homeUrl"], "test:regret")))["state"]
    for one in told["releases"]:
        its = state["releases"][one["version"]]
        seconds, _, nanos = its["timestamp"].partition(".")
        assert one["record"] == its["recordId"] and one["releasedBy"] == its["by"]
        assert one["releasedAt"].endswith(f".{int(nanos):09}Z")
        assert one["yanked"] is (its["state"]["status"] == "yanked")
    good, yanked = told["releases"]
    assert good["version"] == "1.0.0" and good["digest"] == digest_of(CONTENTS["test:regret", "1.0.0"])
    assert yanked["version"] == "1.1.0" and yanked["yankedBy"] == state["releases"]["1.1.0"]["state"]["by"]
    assert "yankedAt" in yanked and "yankedAt" not in good
    lines = configured.wargfs("ls", "-l", "test:regret").stdout.splitlines()
    assert lines[0] == f"1.0.0  {good['releasedAt'][:19]}Z  {good['digest']}"
    assert lines[1] == f"1.1.0  {yanked['releasedAt'][:19]}Z  yanked {yanked['yankedAt'][:19]}Z"


@pytest.mark.parametrize("words", (("nobody",), ("test:nobody",), ("nobody:nothing",)), ids=" ".join)
def test_ls_absent(configured, words):
    done = configured.wargfs("ls", *words, status=4)
    assert not done.stdout and words[0] in done.stderr


def names_withheld(answer):
    answer["packages"] = {log: name for log, name in answer["packages"].items() if name != "test:page"}


@pytest.mark.parametrize("call, lie, known", (
    ("ledger", says(404, body=b'{"status":404,"type":"ledger","id":"?"}'), []),
    ("names", changed(names_withheld), [name for name in PACKAGES if name != "test:page"]),
), ids=("no ledger", "a name withheld"))
def test_ls_incomplete(configured, liar, call, lie, known):
    """It is said, to people and to programs; nothing that is not proven to be there is listed."""
    liar.lie(call, lie)
    done = configured.wargfs("ls", "test")
    assert done.stdout.split() == known and "may not be all" in done.stderr
    done = configured.wargfs("ls", "test", "--json")
    assert json.loads(done.stdout)["complete"] is False and "may not be all" in done.stderr
    assert "may not be all" not in configured.wargfs("ls", "test:hello").stderr


@pytest.mark.parametrize("call, lie, status", (
    ("checkpoint", says(body=HTML, content_type="text/html"), 6),
    ("records", raw(lambda body: body.replace(body[20:30], body[30:40], 1)), 3),
    ("checkpoint", closed, 6),
    ("records", closed, 6),
), ids=("checkpoint", "ledger", "checkpoint unreachable", "ledger unreachable"))
def test_ls_forged(configured, liar, call, lie, status):
    liar.lie(call, lie)
    assert configured.wargfs("ls", "test", status=status).stdout == ""


def test_ls_one_bad_log(configured, liar):
    """A log that does not verify hides no other package."""
    good = configured.wargfs("ls", "-l", "test").stdout.splitlines()
    configured.wargfs("reset", "--yes")

    def flip(answer):
        for records in answer.get("packages", {}).values():
            if len(records) > 2:
                records[1], records[2] = records[2], records[1]
    liar.lie("logs", changed(flip))
    done = configured.wargfs("ls", "-l", "test", status=3)
    lines = done.stdout.splitlines()
    assert [line for line in lines if line in good] == [line for line in good if not line.startswith("test:steps")]
    assert "test:steps  refused" in lines and "test:steps" in done.stderr


# ---- fetch ----


def test_fetch(configured, liar):
    """All packages in one update, all contents in the cache, and nothing twice."""
    names = [name for name in PACKAGES if name not in ("test:bare", "test:big")]
    lines = configured.wargfs("fetch", *names).stdout.splitlines()
    assert [line.split(",")[0] for line in lines][:2] == ["test:again 1.0.0", "test:hello 1.1.0+build.7"]
    assert len(lines) == len(names)
    for name, version in (("test:again", "1.0.0"), ("test:hello", "1.1.0+build.7"), ("test:regret", "1.0.0")):
        assert read(configured.content_file(CONTENTS[name, version])) == CONTENTS[name, version]
    liar.forget()
    told = json.loads(configured.wargfs("fetch", "--json", *names).stdout)
    assert not liar.count("bytes")
    assert [one["package"] for one in told["contents"]] == names
    for one in told["contents"]:
        content = CONTENTS[one["package"], one["version"]]
        assert one["size"] == len(content) and one["digest"] == digest_of(content) and read(one["cached"]) == content
    # The same round trips as for one package.
    assert liar.round_trips() <= 5
    # What was fetched the reference finds.
    liar.lie("bytes", closed)
    configured.warg("download", "test:hello", "-o", "its.wasm")


def test_fetch_side_by_side(configured, liar):
    """While one content does not come, others do."""
    held = digest_of(TINY).replace(":", "-")

    def hold(answer):
        if held in answer.call.path:
            silent(answer)
    liar.lie("bytes", hold)
    command = configured.start(programs.WARGFS, "fetch", "test:tiny", "test:hello", "test:page")
    try:
        until(lambda: all(os.path.exists(configured.content_file(CONTENTS[key])) for key in (
            ("test:hello", "1.1.0+build.7"), ("test:page", "1.0.0"))), "the others are there")
        assert command.poll() is None
        assert not os.path.exists(configured.content_file(TINY))
    finally:
        command.send_signal(signal.SIGINT)
        assert command.wait(30) == -signal.SIGINT
    assert os.listdir(os.path.join(configured.cache, "content/temp")) == []


@pytest.mark.parametrize("words, versions", (
    (("--all-versions",), ["0.9.0", "1.0.0", "1.1.0+build.7"]),
    (("--all-versions", "-v", "<1.1"), ["0.9.0", "1.0.0"]),
    (("-v", "<1.1"), ["1.0.0"]),
    (("-v", "0.9.0"), ["0.9.0"]),
    (("--version", "1"), ["1.1.0+build.7"]),
), ids=str)
def test_fetch_versions(configured, words, versions):
    told = json.loads(configured.wargfs("fetch", "--json", *words, "test:hello").stdout)
    assert sorted(one["version"] for one in told["contents"]) == versions
    assert len(os.listdir(os.path.join(configured.cache, "content/sha256"))) == len(versions)


def test_fetch_in_part(configured, liar):
    """What cannot be had is named, and keeps nothing else away; the worst of all is the exit status."""
    done = configured.wargfs("fetch", "test:nobody", "test:tiny", "test:bare", status=4)
    assert "test:nobody" in done.stderr and "test:bare has no release" in done.stderr
    assert done.stdout.startswith("test:tiny 1.0.0, 8 bytes, sha256:")
    bad = digest_of(CONTENTS["test:page", "1.0.0"]).replace(":", "-")

    def forge(answer):
        if bad in answer.call.path:
            answer.body = answer.body[:-1] + b"\xff"
    liar.lie("bytes", forge)
    done = configured.wargfs("fetch", "--json", "test:page", "test:nobody", "test:other", status=3)
    told = {one["package"]: one for one in json.loads(done.stdout)["contents"]}
    assert "error" in told["test:page"] and "error" in told["test:nobody"]
    assert read(told["test:other"]["cached"]) == CONTENTS["test:other", "0.1.0"]
    assert "test:page 1.0.0" in done.stderr
    assert not os.path.exists(configured.content_file(CONTENTS["test:page", "1.0.0"]))
    configured.wargfs("fetch", "test:tiny", "-v", "=nonsense", status=2)
    liar.lie("checkpoint", closed)
    assert not configured.wargfs("fetch", "test:tiny", status=6).stdout


def test_fetch_cut(configured, liar):
    """A source that never sends all: honest about it, with nothing left half done."""
    liar.lie("bytes", cut)
    configured.wargfs("fetch", "test:hello", "test:page", status=6)
    assert not os.listdir(os.path.join(configured.cache, "content/temp"))
    assert not os.listdir(os.path.join(configured.cache, "content/sha256"))


# ---- clear ----


def test_clear(configured):
    configured.wargfs("fetch", "test:hello", "test:tiny")
    done = configured.wargfs("clear", status=1)
    assert "no terminal" in done.stderr and os.path.exists(configured.content_file(TINY))
    told = json.loads(configured.wargfs("clear", "--yes", "--json").stdout)
    assert told == {"files": 2, "bytes": 70009}
    assert not os.path.exists(configured.content_file(TINY))
    assert configured.wargfs("clear", "--yes").stdout == "0 contents removed, 0 bytes\n"
    # Logs stay, and both programs go on.
    assert "test:hello" in configured.wargfs("info").stdout
    configured.warg("download", "test:hello", "-o", "its.wasm")
    configured.wargfs("download", "test:tiny", "-o", "ours.wasm")


def test_clear_asks(configured):
    """At a terminal it asks, and nothing but a yes is one."""
    configured.wargfs("fetch", "test:tiny")
    for answer, is_there in ((b"\n", True), (b"n\n", True), (b"y\n", False)):
        ours, its = pty.openpty()
        try:
            os.write(ours, answer)
            configured.wargfs("clear", status=1 if is_there else 0, capture_output=False, stdin=its, stdout=its,
                              stderr=its)
        finally:
            os.close(its)
            os.close(ours)
        assert os.path.exists(configured.content_file(TINY)) is is_there


def test_clear_while_warg_works(configured, liar):
    """The reference holds the contents' lock for its whole life: nothing is removed, and nobody waits for long."""
    configured.wargfs("fetch", "test:tiny")
    liar.forget()
    liar.lie("bytes", silent)
    its = configured.start(programs.WARG, "download", "test:other", "-o", "its.wasm")
    try:
        until(lambda: liar.count("bytes"), "the reference is at work")
        done = configured.wargfs("clear", "--yes", status=1)
        assert "another program" in done.stderr and os.path.exists(configured.content_file(TINY))
    finally:
        its.kill()
        its.wait()
    configured.wargfs("clear", "--yes")
    assert not os.path.exists(configured.content_file(TINY))
    assert not os.listdir(os.path.join(configured.cache, "content/temp"))


def test_clear_under_a_mount(mount, new_mount, liar):
    """What was read stays what it was; what is read after that is fetched, once more or for the first time."""
    path = mount.at("test/hello/1.1.0+build.7.wasm")
    content = CONTENTS["test:hello", "1.1.0+build.7"]
    with open(path, "rb") as file:
        assert file.read(10) == content[:10]
        mount.home.wargfs("clear", "--yes")
        assert file.read() == content[10:]
    liar.forget()
    assert read(mount.at("test/tiny/1.0.0.wasm")) == TINY
    assert read(mount.at("test/other/0.1.0.wasm")) == CONTENTS["test:other", "0.1.0"]
    mount.home.wargfs("clear", "--yes")
    assert read(path) == content
    mount.end()
    mount = new_mount(liar.url, home=mount.home)
    assert read(mount.at("test/hello/1.1.0+build.7.wasm")) == content
    assert read(mount.home.content_file(content)) == content


def test_clear_under_a_download(mount, liar):
    """A download that is under way when all is cleared goes on to its end."""
    big = CONTENTS["test:big", "1.0.0"]
    half = threading.Event()

    @travels
    def halting(exchange, answer):
        exchange.begin(answer, len(answer.body))
        exchange.wfile.write(answer.body[:len(answer.body) // 2])
        half.set()
        exchange.released.wait(30)
        exchange.wfile.write(answer.body[len(answer.body) // 2:])
    liar.lie("bytes", halting)
    found = []
    reader = threading.Thread(target=lambda: found.append(read(mount.at("test/big/1.0.0.wasm"))))
    reader.start()
    assert half.wait(30)
    mount.home.wargfs("clear", "--yes")
    liar.be_honest()
    reader.join(60)
    assert found == [big]
    assert read(mount.home.content_file(big)) == big
