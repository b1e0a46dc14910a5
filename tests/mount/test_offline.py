# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Mounts without the registry: what the cache proves is shown, what it does not is not, and the network repairs."""
import contextlib
import glob
import hashlib
import json
import os
import shutil
import socket

import pytest

import forge
import liar as liars
from mounts import errno_of
from registry import CONTENTS, PACKAGES, path_of
from waiting import until

HELLO = CONTENTS["test:hello", "1.0.0"]
HELLO_PATH = path_of("test:hello", "1.0.0")


def own(home, *parts):
    """In our own folder of the registry."""
    return os.path.join(glob.glob(os.path.join(home.path, ".cache/wargfs/127.0.0.1-*"))[0], *parts)


def trust_of(home):
    return glob.glob(os.path.join(home.path, ".local/state/wargfs/127.0.0.1-*/trust"))[0]


def records_of(home, url, name):
    return own(home, "records", os.path.basename(home.log_file(url, name)))


@contextlib.contextmanager
def away(liar):
    """The registry is not there: connections to it are refused."""
    liar.close()
    try:
        yield
    finally:
        liar.open()


@pytest.fixture
def used(home, new_mount, liar):
    """A home whose mount listed everything, and read of one package."""
    mount = new_mount(liar.url, home=home)
    assert mount.list("test") == sorted(name.partition(":")[2] for name in PACKAGES)
    assert mount.read(HELLO_PATH) == HELLO
    mount.end()
    liar.forget()
    return home


def check_shown(mount):
    """What the cache proves, and what it lacks."""
    assert mount.list("test") == sorted(name.partition(":")[2] for name in PACKAGES)
    assert os.getxattr(mount.at("test"), "user.warg.complete") == b"true"
    assert mount.list("test/hello") == ["0.9.0.wasm", "1.0.0.wasm", "1.1.0+build.7.wasm", "latest.wasm"]
    assert mount.read(HELLO_PATH) == HELLO
    assert errno_of(mount.read, "test/hello/0.9.0.wasm") == "EHOSTUNREACH"
    assert errno_of(mount.list, "test/other") == "EHOSTUNREACH"
    assert errno_of(mount.read, "test/other/0.1.0.wasm") == "EHOSTUNREACH"
    for absent in ("test/nothing", "nowhere", "test/hello/7.0.0.wasm"):
        assert errno_of(mount.stat, absent) == "ENOENT"


def test_offline_sends_nothing(used, new_mount, liar):
    mount = new_mount(liar.url, "offline", "refresh=1", home=used).expect("offline: nothing is fetched")
    check_shown(mount)
    assert "offline" in mount.last_error("test/other")
    assert mount.status()
    status = json.loads(used.wargfs("status", "--json", mount.path).stdout)
    assert status["offline"] is True
    assert status["checkpoint"]["verifiedAt"] <= status["checkpoint"]["timestamp"]
    mount.end()
    assert not liar.calls


def test_the_registry_is_away(used, new_mount, liar):
    with away(liar):
        mount = new_mount(liar.url, "refresh=1", home=used)
        mount.wait_for_log("shown is what the cache proves, as of 20")
        mount.expect("127.0.0.1")
        check_shown(mount)
    until(lambda: errno_of(mount.list, "test/other") is None, "the mount catches up")
    assert mount.read(path_of("test:other", "0.1.0")) == CONTENTS["test:other", "0.1.0"]
    mount.end()


def test_growth_on_return(home, new_mount, liar, server):
    """What was released while nobody could be asked is there once somebody can be."""
    liar.stay_at(server.lengths[1])
    mount = new_mount(liar.url, home=home)
    assert "steps" in mount.list("test")
    assert mount.list("test/steps") == ["0.1.0.wasm", "latest.wasm"]
    mount.end()
    with away(liar):
        mount = new_mount(liar.url, "refresh=1", home=home).expect("127.0.0.1")
        assert mount.list("test/steps") == ["0.1.0.wasm", "latest.wasm"]
        assert errno_of(mount.stat, "test/again") == "ENOENT"
    until(lambda: mount.list("test/steps") == ["0.1.0.wasm", "0.2.0.wasm", "0.3.0.wasm", "latest.wasm"], "growth")
    until(lambda: "again" in mount.list("test"), "growth of the listing")
    mount.end()
    # And that, too, is proven by the cache.
    mount = new_mount(liar.url, "offline", home=home)
    assert "0.3.0.wasm" in mount.list("test/steps")
    assert "again" in mount.list("test")


def test_a_warm_mount_fetches_no_log_again(used, new_mount, liar):
    mount = new_mount(liar.url, home=used)
    assert mount.list("test")
    assert mount.read(HELLO_PATH) == HELLO
    mount.end()
    assert liar.count("records") == liar.count("names") == liar.count("bytes") == 0
    for call in liar.calls:
        if call.name == "logs":
            assert not json.loads(call.request).get("packages")


def test_nobody_answers(used, new_mount, liar):
    """Connections are taken, and nothing ever comes."""
    liar.close()
    try:
        with socket.create_server(liar.address):
            mount = new_mount(liar.url, "timeout=2", home=used)
            mount.wait_for_log("shown is what the cache proves")
            mount.expect("127.0.0.1", "no answer before the deadline")
            assert mount.read(HELLO_PATH) == HELLO
            assert errno_of(mount.list, "test/other") == "ETIMEDOUT"
            mount.end()
    finally:
        liar.open()


def test_nothing_to_stand_on(home, new_mount, liar):
    status, log = new_mount(liar.url, "offline", home=home, wait=False).refused()
    assert status == 4 and "offline" in log and "its ledger" in log
    with away(liar):
        status, log = new_mount(liar.url, home=home, wait=False).refused()
        assert status == 6 and "cannot be mounted from the cache either: no complete listing" in log


def test_what_warg_wrote_proves_nothing(home, new_mount, liar):
    home.configure(liar.url)
    home.warg("download", "test:hello", "-v", "1.0.0", "-o", "out.wasm")
    status, log = new_mount(liar.url, "offline", home=home, wait=False).refused()
    assert status == 4 and "offline" in log
    liar.forget()
    mount = new_mount(liar.url, home=home)
    assert mount.list("test")
    assert mount.read(HELLO_PATH) == HELLO
    assert liar.count("bytes") == 0
    mount.end()
    assert new_mount(liar.url, "offline", home=home).read(HELLO_PATH) == HELLO


def test_without_a_ledger(home, new_mount, liar):
    def refuse(answer):
        answer.status, answer.json = 501, {"status": 501, "message": "its ledger"}

    liar.lie("ledger", refuse)
    mount = new_mount(liar.url, home=home)
    assert mount.read(HELLO_PATH) == HELLO
    mount.end()
    status, log = new_mount(liar.url, "offline", home=home, wait=False).refused()
    assert status == 4 and "nothing can be proven offline without it" in log


def test_a_lie_refuses_the_mount(used, new_mount, liar):
    """That the cache proves something is no reason to mount a registry that was seen to lie."""
    def lie(answer):
        value = answer.json
        value["contents"]["logRoot"] = "sha256:" + 64 * "0"
        answer.json = value

    liar.lie("checkpoint", lie)
    status, _ = new_mount(liar.url, home=used, wait=False).refused()
    assert status == 3


# ---- What others do to the files ----

def flip(offset):
    """Change one byte, from the end if `offset` is negative."""
    def damage(path):
        with open(path, "rb+") as file:
            file.seek(offset, os.SEEK_SET if offset >= 0 else os.SEEK_END)
            byte = file.read(1)
            file.seek(-1, os.SEEK_CUR)
            file.write(bytes([byte[0] ^ 1]))
    return damage


def cut(path):
    os.truncate(path, os.path.getsize(path) - 1)


def empty(path):
    os.truncate(path, 0)


def link(path):
    os.rename(path, path + ".moved")
    os.symlink("/etc/passwd", path)


def huge(path):
    os.truncate(path, 1 << 41)


DAMAGES = {"flip-first": flip(0), "flip": flip(100), "flip-last": flip(-3), "cut": cut, "empty": empty, "link": link,
           "huge": huge, "gone": os.unlink}
FILES = {
    "records": lambda home, url: records_of(home, url, "test:hello"),
    "operator": lambda home, url: own(home, "records", hashlib.sha256(b"WARG-OPERATOR-LOG-ID-V0").hexdigest()),
    "ledger": lambda home, url: own(home, "ledger"),
    "checkpoint": lambda home, url: own(home, "checkpoint"),
    "names": lambda home, url: own(home, "names"),
}


@pytest.mark.parametrize("file", FILES)
@pytest.mark.parametrize("damage", DAMAGES)
def test_damaged_files(used, new_mount, liar, file, damage):
    """Nothing false is shown; and a mount that can ask puts it right."""
    path = FILES[file](used, liar.url)
    DAMAGES[damage](path)
    mount = new_mount(liar.url, "offline", home=used, wait=False)
    mount.expect("cache|offline")
    until(lambda: mount.process.poll() is not None or os.path.ismount(mount.path), "it stands or not")
    if mount.process.poll() is None:
        assert set(mount.list("test")) <= {name.partition(":")[2] for name in PACKAGES}
        with contextlib.suppress(OSError):
            assert mount.read(HELLO_PATH) == HELLO
        mount.end()
    else:
        status, log = mount.refused()
        assert status in (1, 4) and "offline" in log

    mount = new_mount(liar.url, home=used).expect("cache")
    if file in ("ledger", "checkpoint") and damage.startswith("flip"):
        mount.wait_for_log("the cached copy")
    assert mount.list("test") == sorted(name.partition(":")[2] for name in PACKAGES)
    assert mount.read(HELLO_PATH) == HELLO
    mount.end()
    assert os.path.getsize(path) < 1 << 20
    mount = new_mount(liar.url, "offline", home=used).expect("offline: nothing is fetched")
    check_shown(mount)


def test_a_record_is_kept_back(home, new_mount, liar):
    """A log that is true as far as it goes, and does not go to its end, is none: the ledger knows where it ends."""
    versions = ["0.1.0.wasm", "0.2.0.wasm", "0.3.0.wasm", "latest.wasm"]
    mount = new_mount(liar.url, home=home)
    assert "steps" in mount.list("test")
    assert mount.list("test/steps") == versions
    mount.end()
    cut(records_of(home, liar.url, "test:steps"))
    mount = new_mount(liar.url, "offline", home=home).expect("offline: nothing is fetched", "cut short")
    assert errno_of(mount.list, "test/steps") == "EHOSTUNREACH"
    mount.end()
    mount = new_mount(liar.url, home=home).expect("cut short")
    assert mount.list("test/steps") == versions
    mount.end()
    assert new_mount(liar.url, "offline", home=home).list("test/steps") == versions


def test_false_contents(used, new_mount, liar):
    """Contents are hashed again; what does not match is gone, and cannot be had."""
    with open(used.content_file(HELLO), "rb+") as file:
        file.write(b"X")
    mount = new_mount(liar.url, "offline", home=used).expect("offline: nothing is fetched")
    assert errno_of(mount.read, HELLO_PATH) == "EHOSTUNREACH"
    mount.end()
    assert new_mount(liar.url, home=used).read(HELLO_PATH) == HELLO


# ---- Trust ----

def change_trust(home, change):
    """Store another trust anchor that the operator signed."""
    with open(trust_of(home)) as file:
        value = json.loads(file.read().partition("\n")[2])
    change(value)
    value["checkpoint"] = forge.sign_checkpoint(value["checkpoint"]["contents"])
    with open(trust_of(home), "w") as file:
        file.write(forge.seal("trust", value))


def another_operator(value):
    value["operatorKey"] = "sha256:" + 64 * "1"


def another_log_root(value):
    value["checkpoint"]["contents"]["logRoot"] = "sha256:" + 64 * "2"


def another_map_root(value):
    value["checkpoint"]["contents"]["mapRoot"] = "sha256:" + 64 * "3"


def another_root_before(value):
    another_log_root(value)
    value["checkpoint"]["contents"]["logLength"] -= 1


def a_fork_was_seen(value):
    value["fork"] = "fork-1.json"


@pytest.mark.parametrize("change, words", [
    (another_operator, "first key"), (another_log_root, "contradicts the checkpoint"),
    (another_map_root, "contradicts the checkpoint"), (another_root_before, "contradicts the checkpoint"),
    (a_fork_was_seen, "seen to fork")])
def test_what_contradicts_what_is_remembered(used, new_mount, liar, change, words):
    change_trust(used, change)
    status, log = new_mount(liar.url, "offline", home=used, wait=False).refused()
    assert status == 1 and words in log


def test_nothing_is_remembered(used, new_mount, liar):
    """A cache that somebody brought: whose registry that is, nobody ever said."""
    os.unlink(trust_of(used))
    status, log = new_mount(liar.url, "offline", home=used, wait=False).refused()
    assert status == 4 and "nothing is remembered" in log


def test_older_than_what_is_remembered(home, new_mount, liar, server):
    """A cache that was put back in time is shown, as what it is, and the registry is held to what was seen since."""
    liar.stay_at(server.lengths[1])
    mount = new_mount(liar.url, home=home)
    assert "steps" in mount.list("test")
    assert mount.list("test/steps") == ["0.1.0.wasm", "latest.wasm"]
    mount.end()
    folder, old = own(home), os.path.join(home.path, "old")
    shutil.copytree(folder, old)
    liar.be_honest()
    mount = new_mount(liar.url, home=home)
    assert "0.3.0.wasm" in mount.list("test/steps")
    mount.end()
    shutil.rmtree(folder)
    os.rename(old, folder)
    with away(liar):
        mount = new_mount(liar.url, "refresh=1", home=home).expect("127.0.0.1", "rollback")
        assert mount.list("test/steps") == ["0.1.0.wasm", "latest.wasm"]
        liar.open()
        liar.stay_at(server.lengths[1])
        mount.wait_for_log("a rollback")
        liar.close()
    until(lambda: "0.3.0.wasm" in mount.list("test/steps"), "it catches up")


# ---- Others ----

def test_two_mounts_on_one_cache(home, new_mount, liar):
    one, two = (new_mount(liar.url, home=home) for _ in range(2))
    assert one.list("test") == two.list("test")
    one.list("test/steps")
    two.list("test/other")
    assert one.read(HELLO_PATH) == two.read(HELLO_PATH) == HELLO
    one.end()
    two.end()
    mount = new_mount(liar.url, "offline", home=home)
    assert "0.3.0.wasm" in mount.list("test/steps")
    assert "0.1.0.wasm" in mount.list("test/other")
    assert mount.read(HELLO_PATH) == HELLO


def test_what_the_url_stood_for(home, new_mount, liar, server):
    """Which registry a URL stands for is remembered for when it cannot be asked."""
    other = liars.Liar(server)
    try:
        def name_other(answer):
            answer.status, answer.json = 200, {"wargUrl": other.url}

        liar.lie("well-known", name_other)
        mount = new_mount(liar.url, home=home)
        mount.list("test")
        assert mount.read(HELLO_PATH) == HELLO
        mount.end()
        assert other.calls
        other.forget()
        mount = new_mount(liar.url, "offline", home=home)
        assert mount.read(HELLO_PATH) == HELLO
        mount.end()
        with away(liar):
            mount = new_mount(liar.url, "refresh=1", home=home).expect("127.0.0.1")
            assert mount.read(HELLO_PATH) == HELLO
            until(lambda: other.count("checkpoint"), "a refresh")
            mount.end()
    finally:
        other.close()


def test_a_mount_that_was_never_listed(home, new_mount, liar):
    """A refresh in the background brings along what it takes to start without the registry."""
    mount = new_mount(liar.url, "refresh=1", home=home)
    assert mount.read(HELLO_PATH) == HELLO
    until(lambda: liar.count("names"), "the listing is fetched")
    mount.end()
    assert new_mount(liar.url, "offline", home=home).read(HELLO_PATH) == HELLO


def test_reset(used, new_mount, liar):
    used.wargfs("reset", "--yes", "--registry", liar.url)
    assert not glob.glob(os.path.join(used.path, ".cache/wargfs/127.0.0.1-*"))
    status, log = new_mount(liar.url, "offline", home=used, wait=False).refused()
    assert status == 4 and "offline" in log
