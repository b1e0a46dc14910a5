# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""wargfs publish on the real server, beside the reference's own client: either goes on where the other left off."""
import hashlib
import json
import os
import pty
import re
import shutil
import subprocess

import pytest

import forge
import liar as liars
import programs
from mounts import read
from registry import wasm
from waiting import until

COMMANDS = ("init", "release", "yank", "grant", "revoke", "start", "list", "abort", "submit", "wait")
RECORD = re.compile(r"submitted record `(sha256:[0-9a-f]{64})` for publishing\n")
SECOND = forge.Key("the second publisher of these tests")


@pytest.fixture(scope="module")
def registry(everything):
    """A registry of these tests' own."""
    server = programs.HomeServer(programs.Home(os.path.join(everything, "publish-server")))
    try:
        server.wait_for_length(1)
        yield server
    finally:
        server.end()


@pytest.fixture
def home(new_home, registry):
    """One whose home registry it is, with a key to sign with."""
    return new_home().configure(registry.url)


@pytest.fixture
def reader(new_home, registry):
    """Somebody else, who has nothing yet."""
    return new_home().configure(registry.url)


@pytest.fixture
def name(request):
    """A package of the test's own."""
    return "test:" + re.sub(r"[^a-z0-9]+", "-", request.node.name.lower().removeprefix("test_")).strip("-")


def write(home, content, path="content.wasm"):
    path = os.path.join(home.work, path)
    with open(path, "wb") as file:
        file.write(content)
    return path


def release(program, home, name, version, content, **options):
    return home.run(program, "publish", "release", "-n", name, "-v", version, write(home, content), **options)


def download(program, home, name, version, status=0):
    path = os.path.join(home.work, "downloaded.wasm")
    home.run(program, "download", name, "-v", version, "-o", path, status=status)
    return read(path) if status == 0 else None


def state_folder(home, url):
    label = os.path.basename(home.registry_folder(url))
    return os.path.join(home.path, ".local/state/wargfs", label)


def staged(home, url):
    return sorted(os.listdir(os.path.join(state_folder(home, url), "staging/contents")))


def journal(home, url):
    folder = os.path.join(state_folder(home, url), "journal")
    return [entry for entry in os.listdir(folder) if entry.endswith(".json")] if os.path.isdir(folder) else []


def pending_file(home, url):
    return os.path.join(home.registry_folder(url), "pending-publish.json")


# ---- What needs no registry ----

def test_help(new_home):
    home = new_home()
    told = home.wargfs("publish", "--help").stdout
    assert told.startswith("Usage: wargfs publish COMMAND ")
    for words in (("publish", "-h"), ("publish", "help"), ("help", "publish")):
        assert home.wargfs(*words).stdout == told
    for command in COMMANDS:
        assert re.search(rf"^  {command} ", told, re.M)
        its = home.wargfs("publish", command, "--help").stdout
        assert its.startswith(f"Usage: wargfs publish {command} ")
        assert home.wargfs("help", "publish", command).stdout == its
        assert home.wargfs("publish", "help", command).stdout == its


MISUSES = (
    (), ("frobnicate",), ("init",), ("init", "hello"), ("init", "Test:a"), ("init", "test:a", "test:b"),
    ("release",), ("release", "-n", "test:a", "-v", "1.0.0"), ("release", "-n", "test:a", "x.wasm"),
    ("release", "-v", "1.0.0", "x.wasm"), ("release", "-n", "test:a", "-v", "1.0", "x.wasm"),
    ("release", "-n", "test:a", "-v", "v1.0.0", "x.wasm"), ("release", "-n", "test:a", "-v", "", "x.wasm"),
    ("release", "-n", "test:a", "-v", "^1", "x.wasm"), ("yank", "-n", "test:a"), ("yank", "-v", "1.0.0"),
    ("yank", "-n", "test:a", "-v", "latest"), ("grant", "-n", "test:a"), ("grant", "-n", "test:a", "ecdsa-p256:x"),
    ("grant", SECOND.public), ("grant", "-n", "test:a", SECOND.id), ("revoke", "-n", "test:a", "sha256:00"),
    ("grant", "-n", "test:a", "--permission", "commit", SECOND.public),
    ("grant", "-n", "test:a", "--permission", "", SECOND.public),
    ("grant", "-n", "test:a", "--permission", "release,", SECOND.public),
    ("revoke", SECOND.id), ("start",), ("start", "hello"), ("list", "x"), ("abort", "x"), ("submit", "x"),
    ("yank", "test:a", "-n", "test:a", "-v", "1.0.0"), ("yank", "test:a", "test:b", "-v", "1.0.0"),
    ("release", "test:a/b", "x.wasm", "-v", "1.0.0"), ("yank", "test/a/b", "-v", "1.0.0"), ("start", "test/"),
    ("wait", "test:a"), ("wait", "test:a", "sha256:00"), ("wait", "hello", "sha256:" + "0" * 64),
)


@pytest.mark.parametrize("words", MISUSES, ids=" ".join)
def test_misuse(home, words):
    done = home.wargfs("publish", *words, status=2)
    assert done.stderr and not done.stdout


# ---- One publishes, the other reads ----

def test_ours(home, reader, registry, name):
    content = wasm(70000, 1)
    assert release(programs.WARGFS, home, name, "0.1.0", content).stdout == (
        f"published version 0.1.0 of package `{name}`\n")
    assert download(programs.WARG, reader, name, "0.1.0") == content
    assert download(programs.WARGFS, home, name, "0.1.0") == content
    # It is in the cache, and no longer anywhere else.
    assert read(home.content_file(content)) == content
    assert staged(home, registry.url) == [] and journal(home, registry.url) == []


def test_reference(home, reader, name):
    content = wasm(300, 2)
    release(programs.WARG, reader, name, "0.1.0", content)
    assert download(programs.WARGFS, home, name, "0.1.0") == content
    again = wasm(301, 2)
    release(programs.WARGFS, home, name, "0.2.0", again)
    assert download(programs.WARG, reader, name, "0.1.0") == content
    home.warg("update")
    assert download(programs.WARG, home, name, "0.2.0") == again


def test_init(home, reader, name):
    assert home.wargfs("publish", "init", name).stdout == f"published initialization of package `{name}`\n"
    done = home.wargfs("publish", "init", name, status=5)
    assert name in done.stderr
    release(programs.WARG, reader, name, "0.1.0", wasm(300, 3))


@pytest.mark.reference("with ours there is nothing to wait for")
def test_several_without_waiting(home, registry, name):
    """Who does not wait for one does not wait for it with the next either; who waits has all of them proven."""
    path = write(home, wasm(300, 23))
    for version in ("1.0.0", "1.1.0", "1.2.0"):
        done = home.wargfs("publish", "release", "-n", name, "-v", version, "--no-wait", path)
        assert not done.stderr
    assert len(journal(home, registry.url)) == 3
    done = home.wargfs("publish", "yank", "--yes", "-n", name, "-v", "1.1.0")
    assert done.stderr.count("which was left under way, is published") == 3
    assert journal(home, registry.url) == []


def test_json(home, name):
    content = wasm(300, 4)
    words = ("publish", "release", "-n", name, "-v", "1.1.0", "--json", write(home, content))
    told = json.loads(home.wargfs(*words).stdout)
    assert told["package"] == name and told["state"] == "published"
    assert re.fullmatch("sha256:[0-9a-f]{64}", told["record"])
    assert told["registryIndex"] < told["logLength"]
    home.wargfs("verify", "--proof", told["receipt"])
    assert told["entries"] == [{"type": "release", "version": "1.1.0",
                                "content": "sha256:" + hashlib.sha256(content).hexdigest()}]


@pytest.mark.parametrize("program", (programs.WARG, programs.WARGFS), ids=os.path.basename)
def test_wait(home, reader, name, program):
    content = wasm(300, 5)
    done = release(programs.WARGFS, home, name, "0.1.0", content)
    done = home.wargfs("publish", "release", "-n", name, "-v", "0.2.0", "--no-wait", write(home, content))
    record = RECORD.fullmatch(done.stdout)[1]
    done = home.run(program, "publish", "wait", name, record)
    assert record in done.stdout and "has been published" in done.stdout
    if program == programs.WARGFS:
        receipt = re.search(r"^its receipt: (.*)$", done.stdout, re.M)[1]
        home.wargfs("verify", "--proof", receipt)
    assert download(programs.WARG, reader, name, "0.2.0") == content
    done = home.run(program, "publish", "wait", name, "sha256:" + "0" * 64, status=4)
    assert "record" in done.stderr


# ---- A publish of several entries, by both ----

def fill_in(program, home, name):
    """Add an entry of each kind that is good in a new package."""
    home.run(program, "publish", "init", name)
    release(program, home, name, "1.0.0", wasm(300, 6))
    release(program, home, name, "1.1.0", wasm(301, 6))
    home.run(program, "publish", "grant", "-n", name, SECOND.public)
    home.run(program, "publish", "revoke", "-n", name, "--permission", "yank", SECOND.id)


def test_same_words(new_home, registry, name):
    """Both programs say the same of the same, but for the list, and write the same file."""
    told, files = [], []
    for program in (programs.WARG, programs.WARGFS):
        home = new_home().configure(registry.url)
        said = [home.run(program, "publish", "start", name).stdout]
        said.append(home.run(program, "publish", "init", name).stdout)
        said.append(release(program, home, name, "1.0.0", wasm(300, 6)).stdout)
        said.append(home.run(program, "publish", "grant", "-n", name, SECOND.public).stdout)
        said.append(home.run(program, "publish", "grant", "-n", name, "--permission", "yank", SECOND.public).stdout)
        said.append(home.run(program, "publish", "revoke", "-n", name, "--permission", "release", SECOND.id).stdout)
        files.append(read(pending_file(home, registry.url)))
        assert "with 5 record(s) to publish" in home.warg("publish", "list").stdout
        listed = home.wargfs("publish", "list").stdout.splitlines()
        assert listed[0] == (f"pending: 5 entries of package `{name}`, which 'wargfs publish submit' publishes as one "
                             "record")
        assert listed[1] == "entry 1: initialize package" and listed[5].startswith("entry 5: revoke (release) from")
        said.append(home.run(program, "publish", "abort").stdout)
        assert not os.path.exists(pending_file(home, registry.url))
        told.append(said)
    assert told[0] == told[1]
    assert files[0] == files[1]


@pytest.mark.parametrize("begins, ends", ((programs.WARG, programs.WARGFS), (programs.WARGFS, programs.WARG),
                                          (programs.WARGFS, programs.WARGFS)), ids=("its", "ours", "alone"))
def test_transaction(home, reader, registry, name, begins, ends):
    before = registry.checkpoint()["contents"]["logLength"]
    home.run(begins, "publish", "start", name)
    fill_in(begins, home, name)
    home.run(ends, "publish", "release", "-n", name, "-v", "2.0.0", write(home, wasm(302, 6)))
    done = home.run(ends, "publish", "submit")
    assert done.stdout.startswith(f"submitting publish for package `{name}`...\n"
                                  f"published initialization of package `{name}`\n"
                                  f"published version 1.0.0 of package `{name}`\n"
                                  f"published version 1.1.0 of package `{name}`\n")
    assert not os.path.exists(pending_file(home, registry.url))
    registry.wait_for_length(before + 1)
    assert registry.checkpoint()["contents"]["logLength"] == before + 1
    for version, content in (("1.0.0", wasm(300, 6)), ("1.1.0", wasm(301, 6)), ("2.0.0", wasm(302, 6))):
        assert download(programs.WARG, reader, name, version) == content
    home.wargfs("publish", "list", status=4)
    assert staged(home, registry.url) == []


def test_abort(home, registry, name):
    for begins, ends in ((programs.WARG, programs.WARGFS), (programs.WARGFS, programs.WARG)):
        home.run(begins, "publish", "start", name)
        release(begins, home, name, "1.0.0", wasm(300, 7))
        assert home.run(ends, "publish", "abort").stdout == f"aborted the pending publish for package `{name}`\n"
        for program in (begins, ends):
            assert "no pending publish to abort" in home.run(program, "publish", "abort", status=4).stderr
            assert "no pending publish to list" in home.run(program, "publish", "list", status=4).stderr
            if program == programs.WARGFS:
                listed = home.wargfs("publish", "list", "--json", status=4).stdout
                assert json.loads(listed) == {"pending": None, "underWay": [], "files": []}
            assert "no pending publish to submit" in home.run(program, "publish", "submit", status=4).stderr
    # What was staged goes with the next command, whoever aborted.
    home.wargfs("publish", "list", status=4)
    assert staged(home, registry.url) == []


def test_one_at_a_time(home, name):
    home.wargfs("publish", "start", name)
    for words in (("start", name), ("start", "test:other"), ("init", "test:other"),
                  ("release", "-n", "test:other", "-v", "1.0.0", write(home, wasm(300, 8)))):
        assert name in home.wargfs("publish", *words, status=5).stderr
    release(programs.WARGFS, home, name, "1.0.0", wasm(300, 8))
    done = release(programs.WARGFS, home, name, "1.0.0", wasm(300, 9), status=5)
    assert "1.0.0" in done.stderr
    home.wargfs("publish", "init", name)
    home.wargfs("publish", "init", name, status=5)
    told = json.loads(home.wargfs("publish", "list", "--json").stdout)
    assert told["pending"]["package"] == name
    assert [entry["type"] for entry in told["pending"]["entries"]] == ["init", "release"]
    assert told["underWay"] == told["files"] == []


def test_nothing_to_submit(home, name):
    home.wargfs("publish", "start", name)
    done = home.wargfs("publish", "submit", status=2)
    assert name in done.stderr


def test_what_is_staged_stays(home, registry, name):
    """Of a transaction that is pending, nothing is swept away; and clearing the cache takes nothing from it."""
    content = wasm(300, 10)
    home.wargfs("publish", "start", name)
    release(programs.WARGFS, home, name, "1.0.0", content)
    home.wargfs("publish", "list")
    assert staged(home, registry.url) == [hashlib.sha256(content).hexdigest()]
    assert read(home.content_file(content)) == content
    shutil.rmtree(os.path.join(home.cache, "content"))
    home.wargfs("publish", "submit")
    assert download(programs.WARGFS, home, name, "1.0.0") == content


def test_staged_is_altered(home, registry, name):
    """Other bytes than those that were to be published are never sent."""
    content = wasm(300, 24)
    home.wargfs("publish", "start", name)
    release(programs.WARGFS, home, name, "1.0.0", content)
    length = registry.checkpoint()["contents"]["logLength"]
    for path in (os.path.join(state_folder(home, registry.url), "staging/contents", staged(home, registry.url)[0]),
                 home.content_file(content)):
        os.unlink(path)
        with open(path, "wb") as file:
            file.write(wasm(300, 25))
    done = home.wargfs("publish", "submit", status=4)
    assert hashlib.sha256(content).hexdigest() in done.stderr
    assert journal(home, registry.url) == []
    assert registry.checkpoint()["contents"]["logLength"] == length
    # It can be staged again.
    home.wargfs("publish", "abort")
    home.wargfs("publish", "start", name)
    release(programs.WARGFS, home, name, "1.0.0", content)
    home.wargfs("publish", "submit")


def test_damaged(home, registry, name):
    """A file that is no transaction is told of, and can be aborted."""
    home.wargfs("publish", "start", name)
    with open(pending_file(home, registry.url), "w") as file:
        file.write('{"name": "test:evil", "entries": [{"type": "release"')
    for words in (("list",), ("submit",), ("start", name), ("init", name)):
        assert "pending-publish.json" in home.wargfs("publish", *words, status=1).stderr
    home.wargfs("publish", "abort")
    home.wargfs("publish", "start", name)


def test_damaged_journal(home, reader, registry, name):
    """An entry that nobody can read is told of each time, and stands in nobody's way."""
    home.wargfs("publish", "start", name)
    home.wargfs("publish", "abort")
    record = "ab" * 32
    path = os.path.join(state_folder(home, registry.url), "journal", f"{record}.json")
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w") as file:
        file.write("{}")
    done = home.wargfs("publish", "list")
    assert f"under way: record `sha256:{record}`, unreadable" in done.stdout and record in done.stderr
    said = home.wargfs("publish", "start", name, "--json").stderr.splitlines()
    assert [json.loads(line)["note"]["message"] for line in said] == [
        "1 record is under way: see 'wargfs publish list'"]
    home.wargfs("publish", "abort")
    done = release(programs.WARGFS, home, name, "1.0.0", wasm(300, 27))
    assert f"record `sha256:{record}`, which was left under way, cannot be gone on with" in done.stderr
    assert download(programs.WARG, reader, name, "1.0.0") == wasm(300, 27)
    assert os.path.exists(path)


def test_left_behind(home, registry, name):
    """What a mount was given and did not publish is listed."""
    home.wargfs("publish", "start", name)
    home.wargfs("publish", "abort")
    folder = os.path.join(state_folder(home, registry.url), "staging/files", *name.split(":"))
    os.makedirs(folder)
    with open(os.path.join(folder, "0.1.0.wasm.part"), "wb") as file:
        file.write(b"x" * 2048)
    done = home.wargfs("publish", "list")
    assert f"0.1.0.wasm.part of package `{name}`, 2.0 KiB" in done.stdout
    told = json.loads(home.wargfs("publish", "list", "--json").stdout)
    assert told["pending"] is None
    assert [(file["package"], file["file"], file["size"]) for file in told["files"]] == [
        (name, "0.1.0.wasm.part", 2048)]


def test_crash_of_a_mount(home, registry, new_mount, name):
    """A mount that was killed while it was written to: what it was given is listed, and a transaction that was begun in
    it is ended by a command."""
    namespace, package = name.split(":")
    mount = new_mount(registry.url, "rw", home=home)
    os.mkdir(mount.at(namespace, package))
    with open(mount.at(namespace, package, "0.1.0.wasm.part"), "wb") as file:
        file.write(wasm(300, 26))
    os.makedirs(mount.at(".publish", namespace, package))
    with open(mount.at(".publish", namespace, package, "1.0.0.wasm"), "wb") as file:
        file.write(wasm(301, 26))
    listed = home.wargfs("publish", "list").stdout
    assert "release 1.0.0 with" in listed
    assert f"not published: 0.1.0.wasm.part of package `{name}`, 300 bytes" in listed
    mount.process.kill()
    mount.abandon()
    mount.over = True
    assert home.wargfs("publish", "list").stdout == listed
    home.wargfs("publish", "submit")
    assert "0.1.0.wasm.part" in home.wargfs("publish", "list").stdout
    mount = new_mount(registry.url, "rw", home=home)
    assert mount.read(namespace, package, "1.0.0.wasm") == wasm(301, 26)
    assert mount.read(namespace, package, "0.1.0.wasm.part") == wasm(300, 26)
    os.unlink(mount.at(namespace, package, "0.1.0.wasm.part"))
    home.wargfs("publish", "list", status=4)


# ---- Who may ----

def use_key(home, key):
    path = os.path.join(os.path.dirname(home.config), "keyring/service=warg-signing-key&user=default")
    with open(path, "w") as file:
        file.write(key.text)
    return home


def test_second_key(home, reader, name):
    second = use_key(reader, SECOND)
    release(programs.WARGFS, home, name, "1.0.0", wasm(300, 11))
    done = release(programs.WARGFS, second, name, "1.1.0", wasm(301, 11), status=5)
    assert f"the key {SECOND.id} is not allowed to release there. An owner of the package may grant it: " in done.stderr
    said = re.search(r"wargfs (publish grant .*)$", done.stderr, re.M)[1].split()
    assert said[-1] == SECOND.public
    assert home.wargfs(*said).stdout == (
        f"granted (release) to key ID `{SECOND.id}` for package `{name}`\n")
    release(programs.WARGFS, second, name, "1.1.0", wasm(301, 11))
    done = second.wargfs("publish", "yank", "--yes", "-n", name, "-v", "1.0.0", status=5)
    assert "yank" in done.stderr
    assert home.wargfs("publish", "revoke", "--permission", "release", name.replace(":", "/"), SECOND.id).stdout == (
        f"revoked (release) from key ID `{SECOND.id}` for package `{name}`\n")
    done = release(programs.WARGFS, second, name, "1.2.0", wasm(302, 11), status=5)
    assert "release" in done.stderr
    home.warg("update")
    assert download(programs.WARG, home, name, "1.1.0") == wasm(301, 11)
    assert download(programs.WARG, home, name, "1.2.0", status=1) is None


def test_no_key(home, registry, name):
    shutil.rmtree(os.path.join(os.path.dirname(home.config), "keyring"))
    done = release(programs.WARGFS, home, name, "1.0.0", wasm(300, 12), status=7)
    assert "wargfs key new" in done.stderr
    assert journal(home, registry.url) == []


def test_key_of_ours(new_home, registry, name):
    """A key that wargfs made signs for both programs."""
    home = new_home()
    home.wargfs("config", "--registry", registry.url, "--keyring-backend", "flat-file")
    home.wargfs("key", "new")
    release(programs.WARGFS, home, name, "1.0.0", wasm(300, 21))
    release(programs.WARG, home, name, "1.1.0", wasm(301, 21))


# ---- Yanks, and what is refused before anything is sent ----

def test_yank(home, reader, name):
    for version in ("1.0.0", "1.1.0"):
        release(programs.WARGFS, home, name, version, wasm(300, 13))
    assert download(programs.WARGFS, reader, name, "*") == wasm(300, 13)
    assert home.wargfs("publish", "yank", "--yes", name.replace(":", "/"), "-v", "1.1.0").stdout == (
        f"yanked version 1.1.0 of package `{name}`\n")
    assert download(programs.WARGFS, reader, name, "1.1.0", status=4) is None
    assert download(programs.WARG, home, name, "1.1.0", status=1) is None
    assert download(programs.WARGFS, reader, name, "1.0.0") == wasm(300, 13)
    for version, status in (("1.1.0", 5), ("3.0.0", 4)):
        assert version in home.wargfs("publish", "yank", "--yes", "-n", name, "-v", version, status=status).stderr
    # A version is never free again.
    assert "1.1.0" in release(programs.WARGFS, home, name, "1.1.0", wasm(300, 14), status=5).stderr


def test_package_as_argument(home, reader, name):
    """A package is an argument of every command, written as in the registry or as in a mount."""
    path = name.replace(":", "/")
    for version, package in ("1.0.0", name), ("1.1.0", path):
        done = home.wargfs("publish", "release", package, write(home, wasm(300, 15)), "-v", version)
        assert done.stdout == f"published version {version} of package `{name}`\n"
    for words in ("info",), ("ls",), ("fetch",), ("download", "-o", "y.wasm"), ("verify",):
        told = [home.wargfs(words[0], package, *words[1:]).stdout for package in (name, path)]
        assert told[0] == told[1], words
    home.wargfs("publish", "start", path)
    assert name in home.wargfs("publish", "list").stdout
    home.wargfs("publish", "abort")


def at_terminal(home, answer, *words):
    """What wargfs says at a terminal where somebody types `answer`, and what it ends with."""
    ours, its = pty.openpty()
    try:
        os.write(ours, answer)
        done = home.wargfs(*words, status=None, capture_output=False, stdin=its, stdout=subprocess.PIPE, stderr=its)
        return done.returncode, done.stdout
    finally:
        os.close(its)
        os.close(ours)


def test_yank_asks(home, registry, name):
    home.wargfs("publish", "start", name)
    words = "publish", "yank", "-n", name, "-v", "1.0.0"
    for answer in (b"n\n", b"\n", b"what?\n"):
        assert at_terminal(home, answer, *words) == (1, "")
    # Without a terminal no question can be asked.
    for more in ({}, {"input": "y\n", "stdin": None}):
        done = home.wargfs(*words, status=1, **more)
        assert "Yank 1.0.0 of" in done.stderr and "no (no terminal to ask on; --yes says yes)" in done.stderr
    assert json.loads(home.wargfs("publish", "list", "--json").stdout)["pending"]["entries"] == []
    assert at_terminal(home, b"y\n", *words)[0] == 0
    assert at_terminal(home, b"", "publish", "yank", "--yes", "-n", name, "-v", "1.1.0")[0] == 0
    told = json.loads(home.wargfs("publish", "list", "--json").stdout)
    assert [entry["version"] for entry in told["pending"]["entries"]] == ["1.0.0", "1.1.0"]


def test_taken(home, reader, registry, name):
    release(programs.WARG, reader, name, "1.0.0", wasm(300, 15))
    registry.wait_for_length(2)
    length = registry.checkpoint()["contents"]["logLength"]
    assert "1.0.0" in release(programs.WARGFS, home, name, "1.0.0", wasm(301, 15), status=5).stderr
    assert registry.checkpoint()["contents"]["logLength"] == length
    assert journal(home, registry.url) == []
    assert staged(home, registry.url) == []


def test_namespace(home, registry):
    done = release(programs.WARGFS, home, "elsewhere:thing", "1.0.0", wasm(300, 16), status=4)
    assert "elsewhere" in done.stderr
    assert journal(home, registry.url) == []


def test_not_initialized(home, name):
    home.wargfs("config", "--disable-auto-package-init", "true")
    done = release(programs.WARGFS, home, name, "1.0.0", wasm(300, 17), status=4)
    assert name in done.stderr
    home.wargfs("publish", "init", name)
    release(programs.WARGFS, home, name, "1.0.0", wasm(300, 17))


@pytest.mark.parametrize("content", (b"", b"#!/bin/sh\n", b"\0asm", wasm(300, 18)[:-1], wasm(300, 18) + b"\0"), ids=(
    "empty", "script", "preamble", "cut-short", "too-long"))
def test_not_wasm(home, registry, name, content):
    done = release(programs.WARGFS, home, name, "1.0.0", content, status=1)
    assert "content.wasm" in done.stderr
    assert not os.path.exists(home.content_file(content))


def test_no_file(home, name):
    for path in ("missing.wasm", "."):
        done = home.wargfs("publish", "release", "-n", name, "-v", "1.0.0", path, status=1)
        assert path in done.stderr


# ---- A registry elsewhere ----

def test_elsewhere(home, reader, folder):
    """What lives in another registry is published there, also out of what is pending at home."""
    server = programs.HomeServer(programs.Home(os.path.join(folder, "elsewhere")), namespace="elsewhere")
    try:
        server.wait_for_length(1)
        for one in (home, reader):
            with open(os.path.join(one.cache, "namespaces"), "w") as file:
                json.dump({"elsewhere": "%s:%d" % server.address}, file)
        content = wasm(400, 22)
        home.wargfs("publish", "start", "elsewhere:thing")
        release(programs.WARGFS, home, "elsewhere:thing", "1.0.0", content)
        shutil.rmtree(os.path.join(home.cache, "content"))
        home.wargfs("publish", "submit")
        assert download(programs.WARGFS, reader, "elsewhere:thing", "1.0.0") == content
        assert server.checkpoint()["contents"]["logLength"] == 2
    finally:
        server.end()


# ---- What is interrupted ----

@pytest.fixture
def between(registry):
    """A liar before it."""
    liar = liars.Liar(registry)
    yield liar
    liar.close()
    assert not liar.mistakes, "\n".join(liar.mistakes)


def test_away(new_home, between, name):
    """Where the registry was met before, what is pending can be worked on without it; and nothing else is promised."""
    home = new_home().configure(between.url)
    home.wargfs("publish", "start", name)
    between.close()
    try:
        release(programs.WARGFS, home, name, "1.0.0", wasm(300, 19))
        assert "release 1.0.0 with" in home.wargfs("publish", "list").stdout
        done = home.wargfs("publish", "submit", status=6)
        assert "127.0.0.1" in done.stderr and "connect" in done.stderr.lower()
        assert "release 1.0.0 with" in home.wargfs("publish", "list").stdout
    finally:
        between.open()
    home.wargfs("publish", "submit")


def test_under_way(new_home, reader, between, registry, name):
    """A record whose answer is lost is listed, as one that is being published, and as one that nobody sees to; the next
    command goes on with it, and what is pending is not published twice."""
    home = new_home().configure(between.url)
    between.lie("publish", liars.silent)
    home.wargfs("publish", "start", name)
    release(programs.WARGFS, home, name, "1.0.0", wasm(300, 20))
    publishing = home.start(programs.WARGFS, "publish", "submit", stdout=subprocess.DEVNULL)
    try:
        until(lambda: between.count("publish"), "it is sent")
        told = json.loads(home.wargfs("publish", "list", "--json").stdout)
        assert [(one["package"], one["state"], one["driven"]) for one in told["underWay"]] == [(name, "in doubt", True)]
    finally:
        publishing.kill()
        publishing.wait()
    done = home.wargfs("publish", "list")
    assert f"under way: record `{told['underWay'][0]['record']}` of package `{name}`" in done.stdout
    assert "in doubt" in done.stdout and "being published" not in done.stdout
    assert "under way" in home.wargfs("publish", "start", name, status=5).stderr
    between.be_honest()
    done = home.wargfs("publish", "submit")
    assert "which was left under way, is published" in done.stderr
    assert f"published version 1.0.0 of package `{name}`" in done.stdout
    assert between.count("publish") == 1
    assert not os.path.exists(pending_file(home, between.url))
    assert download(programs.WARG, reader, name, "1.0.0") == wasm(300, 20)
    home.wargfs("publish", "list", status=4)
