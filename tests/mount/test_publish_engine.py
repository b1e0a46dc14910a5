# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""What publishing promises, on the real server: receipts that hold, crowds that get through, nothing lost or twice."""
import contextlib
import glob
import json
import shutil
import os

import pytest

import forge
import mounts
import programs
from liar import Liar, silent
from mounts import read
from registry import wasm
from waiting import until

CROWD = 8
MANY = 50


@pytest.fixture(scope="module")
def registry(everything):
    """A registry of these tests' own."""
    server = programs.HomeServer(programs.Home(os.path.join(everything, "engine-server")))
    try:
        server.wait_for_length(1)
        yield server
    finally:
        server.end()


@pytest.fixture
def home(new_home, registry):
    return new_home().configure(registry.url)


def state(home, registry):
    label = os.path.basename(home.registry_folder(registry.url))
    return os.path.join(home.path, ".local/state/wargfs", label)


def receipts(home, registry, name):
    return glob.glob(os.path.join(state(home, registry), "receipts", *name.split(":"), "*.json"))


def journal(home, registry):
    return glob.glob(os.path.join(state(home, registry), "journal/*.json"))


def content(home, file, seed, size=1000):
    path = os.path.join(home.work, file)
    with open(path, "wb") as out:
        out.write(wasm(size, seed))
    return path


def release(home, name, version, path, **options):
    return home.start(programs.WARGFS, "publish", "release", "-n", name, "-v", version, path, **options)


def release_at_once(*releases):
    """Start them all, then wait for each. Returns what they ended with."""
    processes = [release(*words) for words in releases]
    try:
        return [process.wait(timeout=110) for process in processes]
    finally:
        for process in processes:
            process.kill()
            process.wait()


def test_receipts(home, new_home, registry):
    """Each record has one, which holds elsewhere, for what it did."""
    path = content(home, "a.wasm", 1)
    home.wargfs("publish", "release", "-n", "test:receipts", "-v", "1.0.0", path)
    home.wargfs("publish", "yank", "-n", "test:receipts", "-v", "1.0.0", "--yes")
    found = receipts(home, registry, "test:receipts")
    assert len(found) == 2 and not journal(home, registry)
    did = []
    for receipt in found:
        told = json.loads(new_home().wargfs("verify", "--json", "--proof", receipt,
                                            "--operator-key", forge.OPERATOR.id).stdout)
        assert told["package"] == "test:receipts" and told["signedBy"] == forge.PUBLISHER.id
        assert os.path.basename(receipt) == told["recordId"].partition(":")[2] + ".json"
        did.append([entry["type"] for entry in told["entries"]])
        status = 0 if "release" in did[-1] else 3
        home.wargfs("verify", "--proof", receipt, "--content", path, status=status)
    assert sorted(did) == [["init", "release"], ["yank"]]
    text = home.wargfs("verify", "--proof", found[0]).stdout
    assert text.startswith("test:receipts record sha256:") and "is proven" in text


def test_receipts_in_the_mount(home, new_mount, registry):
    """They are there as soon as they are, whichever program published, with all records in them."""
    home.wargfs("publish", "init", "test:shown")
    mount, other = new_mount(registry.url, home=home), new_mount(registry.url)
    first, = receipts(home, registry, "test:shown")
    assert mount.list(".warg/receipts/test/shown") == [os.path.basename(first)]
    assert other.list(".warg/receipts/test/shown") == []
    shown = mount.at(".warg/receipts/test/shown")
    assert mounts.errno_of(os.stat, os.path.join(shown, "0" * 64 + ".json")) == "ENOENT"
    home.wargfs("publish", "release", "-n", "test:shown", "-v", "1.0.0", content(home, "shown.wasm", 2))
    second, = set(receipts(home, registry, "test:shown")) - {first}
    for receipt in first, second:
        path = os.path.join(shown, os.path.basename(receipt))
        whole, kept = json.loads(read(path)), json.loads(read(receipt))
        assert kept.pop("formatVersion") == 2 and whole.pop("formatVersion") == 1
        assert len(whole.pop("packageRecords")) == kept.pop("packageRecordsBeside")
        assert whole == kept
        home.wargfs("verify", "--proof", path)
        copied = os.path.join(home.work, "copied.json")
        shutil.copy(path, copied)
        home.wargfs("verify", "--proof", copied)
        shutil.copy(receipt, copied)
        assert "records.jsonl beside it" in home.wargfs("verify", "--proof", copied, status=4).stderr
    assert sorted(os.listdir(shown)) == sorted(os.path.basename(receipt) for receipt in (first, second))


def test_receipt_forged(home, registry):
    """One that speaks of a record that is not there, or of more than it may, does not hold."""
    home.wargfs("publish", "init", "test:forged")
    receipt, = receipts(home, registry, "test:forged")
    kept, beside = json.loads(read(receipt)), os.path.join(os.path.dirname(receipt), "records.jsonl")
    record = json.loads(read(beside))
    whole = dict(kept, formatVersion=1, packageRecords=[record])
    del whole["packageRecordsBeside"]
    path = os.path.join(os.path.dirname(receipt), "forged.json")

    def check(document, status):
        with open(path, "w") as file:
            json.dump(document, file)
        home.wargfs("verify", "--proof", path, status=status)
    check(whole, 0)
    check(kept, 0)
    for change in ({"record": forge.digest(b"another")}, {"version": "1.0.0"}, {"package": "test:other"}):
        check(whole | change, 3)
        check(kept | change, 3)
    check(whole | {"format": "warg-release-proof"}, 3)
    check(kept | {"packageRecordsBeside": 0}, 3)
    check(kept | {"packageRecordsBeside": 2}, 4)
    with open(beside, "w") as file:
        json.dump(dict(record, keyId=forge.digest(b"another")), file)
        file.write("\n")
    check(kept, 3)


def test_crowd_of_one_package(home, new_home, registry):
    """Versions of one package, published at once by many programs: all get through, and under few checkpoints."""
    paths = [content(home, f"{at}.wasm", 100 + at) for at in range(CROWD)]
    releases = [(home, "test:crowd", f"1.{at}.0", path) for at, path in enumerate(paths)]
    assert release_at_once(*releases) == [0] * CROWD
    assert len(receipts(home, registry, "test:crowd")) == CROWD and not journal(home, registry)
    reader = new_home().configure(registry.url)
    for at in range(CROWD):
        reader.warg("download", "test:crowd", "-v", f"1.{at}.0", "-o", os.path.join(reader.work, "out.wasm"))


def test_one_version_twice(home, registry):
    """One wins, and the others hear that it exists."""
    paths = [content(home, f"{at}.wasm", 200 + at) for at in range(3)]
    assert sorted(release_at_once(*((home, "test:twice", "1.0.0", path) for path in paths))) == [0, 5, 5]
    assert len(receipts(home, registry, "test:twice")) == 1 and not journal(home, registry)


def test_many_packages(home, registry):
    """Packages do not wait for each other."""
    path = content(home, "many.wasm", 300)
    began = registry.checkpoint()["contents"]["logLength"]
    assert release_at_once(*((home, f"test:many{at}", "1.0.0", path) for at in range(MANY))) == [0] * MANY
    assert registry.checkpoint()["contents"]["logLength"] == began + MANY
    assert len(glob.glob(os.path.join(state(home, registry), "receipts/test/many*/*.json"))) == MANY
    assert not journal(home, registry)


def test_two_publishers(new_home, registry):
    """Those who know nothing of each other outrun each other, and both get through."""
    homes = [new_home().configure(registry.url) for _ in range(3)]
    releases = [(home, "test:race", f"1.{at}.0", content(home, "race.wasm", 400 + at)) for at, home in enumerate(homes)]
    assert release_at_once(*releases) == [0] * len(homes)
    assert not any(journal(home, registry) for home in homes)


def go_on(home, registry, name, size):
    """Whatever is published next goes on with what the journal has."""
    record, = journal(home, registry)
    home.wargfs("publish", "release", "-n", "test:after", "-v", f"1.0.{size}", content(home, "after.wasm", size + 1))
    assert not journal(home, registry)
    receipt, = receipts(home, registry, name)
    assert os.path.basename(receipt) == os.path.basename(record)
    home.warg("download", name, "-v", "1.0.0", "-o", os.path.join(home.work, "out.wasm"))


@pytest.mark.parametrize("size", (1000, 8 << 20))
def test_killed(new_home, registry, size):
    """Killed with its record sent and in the journal: the next run ends what was begun."""
    name = f"test:killed{size}"
    with contextlib.closing(Liar(registry)) as liar:
        home = new_home().configure(liar.url)
        liar.lie("publish", silent)
        process = release(home, name, "1.0.0", content(home, "killed.wasm", size, size))
        try:
            until(lambda: liar.count("publish"), "the record is sent")
        finally:
            process.kill()
            process.wait()
        liar.be_honest()
        go_on(home, liar, name, size)
