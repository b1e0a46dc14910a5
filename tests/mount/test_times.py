# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Times of folders: they are those of records, independent of earlier accesses, and cheap to fetch."""
import json
import os
import random
import subprocess
import time

import pytest

import liar as liars
import programs
from registry import wasm
from waiting import until

PACKAGES = 40
BEFORE_ALL = 0  # an unknown time is the beginning of 1970


@pytest.fixture(scope="module")
def publisher(everything):
    """A registry with many packages of a release each, and how to publish more there."""
    server = programs.OwnServer(programs.Home(os.path.join(everything, "times-server")), "--namespace", "two")
    home = programs.Home(os.path.join(everything, "times-publisher"))
    home.wargfs("config", "--registry", server.url, "--keyring-backend", "flat-file")
    home.wargfs("key", "new")
    home.server = server
    content = os.path.join(home.work, "content.wasm")

    def publish(name, version, text=b""):
        with open(content, "wb") as file:
            file.write(wasm(500, name + version))
        home.wargfs("publish", "release", "-n", name, "-v", version, content)
    home.publish = publish
    try:
        fill(os.path.join(everything, "times-writing"), home)
        publish("two:old", "1.0.0")
        home.wargfs("publish", "yank", "-n", "two:old", "-v", "1.0.0", "--yes")
        publish("two:new", "1.0.0")
        yield home
    finally:
        server.end()


def fill(place, home):
    """Publish through a mount, which is quicker than a command for each."""
    os.mkdir(place)
    home.wargfs("mount", home.server.url, place, "-o", "rw")
    for number in range(PACKAGES):
        path = os.path.join(place, "test", f"p{number:02}")
        os.mkdir(path)
        with open(os.path.join(path, "1.0.0.wasm"), "wb") as file:
            file.write(wasm(500, number))
    subprocess.run(["fusermount3", "-u", place], check=True)


@pytest.fixture
def liar(publisher):
    liar = liars.Liar(publisher.server)
    yield liar
    liar.close()
    assert not liar.mistakes


PLACES = ("", "test", "two", "test/p00", "test/p39", "two/old", "two/new", "two/old/.yanked", ".latest",
          ".latest/test", ".latest/two", ".latest/two/new.wasm", ".warg/log/two", ".warg/log/two/old.json",
          ".warg/proof/two/old", "two/new/latest.wasm", "two/new/1.0.0.wasm", "two/old/.yanked/1.0.0")


def times(mount, places=PLACES):
    return {place: mount.stat(place).st_mtime_ns for place in places}


def test_whatever_was_looked_at(new_mount, publisher):
    """Times are the same in any order of access, with a full cache and with an empty one."""
    first = times(new_mount(publisher.server.url))
    assert BEFORE_ALL not in first.values()
    assert {first[place] for place in ("two", "two/new", ".latest/two", ".warg/log/two", "two/new/1.0.0.wasm")} == {
        first["two"]}
    assert first["test"] == first["test/p39"] != first["test/p00"]
    assert first[""] == first[".latest"]
    assert times(new_mount(publisher.server.url), PLACES[::-1]) == first
    seen = new_mount(publisher.server.url)
    subprocess.run(["cp", "-r", seen.path, os.path.join(seen.home.work, "copy")], check=True)
    assert times(seen) == first
    seen.end()
    again = new_mount(publisher.server.url, "offline", home=seen.home)
    assert times(again, [place for place in PLACES if "proof" not in place]) == {
        place: time for place, time in first.items() if "proof" not in place}
    alone = new_mount(publisher.server.url)
    assert times(alone, ["two/old"]) == {"two/old": first["two/old"]}


def test_copies(new_mount, publisher, folder):
    """tar and rsync find nothing changed, at a fresh mount and at the next."""
    copy = os.path.join(folder, "copy")
    for turn in range(2):
        mount = new_mount(publisher.server.url)
        subprocess.run(["tar", "-C", mount.path, "-cf", os.path.join(folder, "all.tar"), "."], check=True)
        changed = subprocess.run(["rsync", "-ai", mount.path + "/", copy], check=True, capture_output=True).stdout
        assert bool(changed) != bool(turn), changed
    newer = ["find", mount.path, "-newer", mount.at("two/old"), "-type", "d"]
    fresh = new_mount(publisher.server.url)
    found = {path.removeprefix(fresh.path) for path in
             subprocess.run([word.replace(mount.path, fresh.path) for word in newer], check=True, capture_output=True,
                            text=True).stdout.split()}
    assert found == {"/two", "/two/new"}


def test_cost(new_mount, liar):
    """`ls -l` of many packages takes few requests; a path to one file fetches no other package's log."""
    mount = new_mount(liar.url)
    mount.read("test/p05/1.0.0.wasm")
    assert liar.count("logs") == 3  # the operator's, the newest package's, and its own
    liar.forget()
    subprocess.run(["ls", "-lU", mount.at("test")], check=True, stdout=subprocess.DEVNULL)
    assert liar.count("logs") <= PACKAGES.bit_length() and liar.count("inclusion") <= PACKAGES.bit_length()
    liar.forget()
    subprocess.run(["ls", "-l", mount.at("test")], check=True, stdout=subprocess.DEVNULL)
    assert not liar.calls


def test_any_order(new_mount, liar):
    """A program that goes through a listed folder in another order takes as few requests; a lone look takes one."""
    mount = new_mount(liar.url)
    mount.stat("test/p17")
    mount.stat("test/p05")
    assert liar.count("logs") <= 4  # the operator's, the newest package's, and their own
    names = mount.list("test")
    random.Random(1).shuffle(names)
    liar.forget()
    for name in names:
        mount.stat("test", name)
    assert liar.count("logs") <= PACKAGES.bit_length() and liar.count("inclusion") <= PACKAGES.bit_length()


def test_slow_proofs(new_mount, liar):
    """A registry that takes its time for each proof is asked for no more than a stat() waits for: all times come."""
    mount = new_mount(liar.url)
    mount.list("test")
    liar.lie("inclusion", lambda answer: time.sleep(0.35 * len(json.loads(answer.call.request)["leafs"])))
    assert BEFORE_ALL not in [mount.stat(f"test/p{number:02}").st_mtime_ns for number in range(PACKAGES)]
    assert liar.count("inclusion") <= PACKAGES / 2


def test_growth(new_mount, publisher):
    """A publish changes the times of its package and its namespace, and no others."""
    mount = new_mount(publisher.server.url, "refresh=1")
    before = times(mount)
    publisher.publish("test:p07", "2.0.0")
    until(lambda: mount.stat("test").st_mtime_ns > before["test"], "it is newer")
    after = times(mount)
    assert mount.stat("test/p07").st_mtime_ns == after["test"] == after[".latest/test"]
    changed = {place for place in PLACES if after[place] != before[place]}
    assert changed == {"test", ".latest/test"}


def test_away(new_mount, liar, publisher):
    """A time that cannot be fetched is 1970 without a second wait, and right once the registry is back."""
    mount = new_mount(liar.url)
    content = mount.read("test/p05/1.0.0.wasm")
    mount.end()
    liar.close()
    mount = new_mount(liar.url, "refresh=1", home=mount.home).expect("connect")
    assert mount.stat("test/p05").st_mtime_ns and mount.stat("test/p06").st_mtime_ns == BEFORE_ALL
    assert mount.read("test/p05/1.0.0.wasm") == content
    subprocess.run(["ls", "-l", mount.at("test")], check=True, stdout=subprocess.DEVNULL)
    liar.open()
    until(lambda: mount.stat("test/p06").st_mtime_ns != BEFORE_ALL, "it is known")


def test_silence(new_mount, liar):
    """A registry that does not answer does not delay access to cached files."""
    mount = new_mount(liar.url, "timeout=20")
    content = mount.read("test/p05/1.0.0.wasm")
    for call in ("logs", "checkpoint", "ledger"):
        liar.lie(call, liars.silent)
    assert mount.stat("test/p06").st_mtime_ns == BEFORE_ALL
    for number in range(PACKAGES):
        assert mount.stat(f"test/p{number:02}").st_ino
    assert mount.read("test/p05/1.0.0.wasm") == content
    liar.be_honest()
    mount.expect("time|answer|sent|connect")


def test_newest_is_false(new_mount, liar, publisher):
    """A package that does not verify changes the time of its namespace only, and is requested at most once at a
    checkpoint."""
    good = times(new_mount(publisher.server.url))

    def spoil(answer):
        """Damage the record's signature."""
        said = answer.json
        for records in said["packages"].values():
            records[0]["signature"] = records[0]["signature"][:-4] + "AAA="
        answer.json = said
    mount = new_mount(liar.url).expect("signature|malformed|does not|DER")
    liar.lie("logs", spoil)
    assert mount.stat("two").st_mtime_ns == mount.stat("").st_mtime_ns == good[""]
    assert mount.stat("two/new").st_mtime_ns == BEFORE_ALL
    liar.be_honest()
    assert mount.stat("two/old").st_mtime_ns == good["two/old"]
    assert mount.list("two/new") == ["1.0.0.wasm", "latest.wasm"]
    until(lambda: times(mount, ["two", "two/new"]) == {"two": good["two"], "two/new": good["two/new"]}, "it is known")
