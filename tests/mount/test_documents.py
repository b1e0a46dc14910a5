# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""The folders that are found by name alone: /.warg, .yanked, and what is in them."""
import json
import os
import re
import shutil
import stat
import subprocess

import pytest

import forge
import mounts
import programs
import prometheus
import waiting
from mounts import errno_of, read
from registry import PACKAGES

DOCUMENTS = ["checkpoint", "metrics", "operator.json", "status"]
PUBLISHER = forge.PUBLISHER.id


def load(mount, *path):
    return json.loads(mount.read(*path))


def lines_of(text):
    return dict(line.split(": ", 1) for line in text.decode().splitlines())


def test_folder(shared):
    assert set(DOCUMENTS) | {"log", "proof", "receipts"} == set(shared.list(".warg"))
    assert shared.list(".warg/log") == shared.list()
    assert shared.list(".warg/log/test") == [name.partition(":")[2] + ".json" for name in PACKAGES]


@pytest.mark.parametrize("folder", ("", "test", "test/regret"))
def test_not_listed(shared, folder):
    """Programs that walk the tree do not come upon them."""
    assert not [name for name in shared.list(folder) if name.startswith(".")]
    for program in (("find",), ("ls", "-aR"), ("du", "-a")):
        told = subprocess.run([*program, shared.at(folder)], check=True, capture_output=True, text=True).stdout
        assert not re.search(r"\.warg|\.latest|\.yanked", told.replace(shared.path, ""))


def test_status(shared):
    told, asked = load(shared, ".warg/status"), json.loads(shared.home.wargfs("status", "--json", shared.path).stdout)
    for same in ("mountpoint", "pid", "version", "registry", "trust"):
        assert told[same] == asked[same]
    assert told["checkpoint"]["logRoot"] == asked["checkpoint"]["logRoot"]


def test_checkpoint(shared, server):
    told = load(shared, ".warg/checkpoint")
    assert told["contents"]["logLength"] == server.lengths[-1]
    assert told["keyId"] == forge.OPERATOR.id
    assert re.fullmatch(r"ecdsa-p256:[A-Za-z0-9+/]+=*", told["signature"])


def test_operator(shared):
    state = load(shared, ".warg/operator.json")["state"]
    assert state["namespaces"] == {"test": {"state": "defined"}}
    assert state["permissions"][forge.OPERATOR.id] == ["commit", "defineNamespace", "importNamespace"]
    assert set(state["keys"]) == {forge.OPERATOR.id}
    assert state["head"]["digest"].startswith("sha256:")


def test_log(new_mount, liar):
    """A log that is not known yet is fetched, once."""
    mount = new_mount(liar.url)
    mount.list(".warg/log/test")
    liar.forget()
    told = load(mount, ".warg/log/test/hello.json")
    assert told["name"] == "test:hello"
    assert list(told["state"]["releases"]) == ["0.9.0", "1.0.0", "1.1.0+build.7"]
    release = told["state"]["releases"]["1.0.0"]
    assert release["by"] == PUBLISHER
    assert release["state"]["content"] == os.getxattr(mount.at("test/hello/1.0.0.wasm"), "user.warg.digest").decode()
    assert release["recordId"] == os.getxattr(mount.at("test/hello/1.0.0.wasm"), "user.warg.record").decode()
    assert liar.count("logs") == 1
    assert load(mount, ".warg/log/test/regret.json")["state"]["releases"]["1.1.0"]["state"]["status"] == "yanked"


def test_yanked(shared):
    assert shared.list("test/regret/.yanked") == ["1.1.0"]
    assert shared.list("test/hello/.yanked") == []
    told = lines_of(shared.read("test/regret/.yanked/1.1.0"))
    assert (told["package"], told["version"]) == ("test:regret", "1.1.0")
    assert told["yanked-by"] == told["released-by"] == PUBLISHER
    assert told["released-at"] < told["yanked-at"]
    assert told["record"] == os.getxattr(shared.at("test/regret/1.0.0.wasm"), "user.warg.record").decode()
    assert shared.stat("test/regret/.yanked/1.1.0").st_size == len(shared.read("test/regret/.yanked/1.1.0"))


def test_metrics(new_mount, server):
    mount = new_mount(server.url)

    def metrics():
        return prometheus.check(mount.read(".warg/metrics").decode(), "wargfs_mount_", "wargfs-mount.1")

    before = metrics()
    assert before["wargfs_mount_checkpoint_length"] == server.lengths[-1]
    assert before["wargfs_mount_downloads_total"] == 0
    mount.read("test/tiny/1.0.0.wasm")
    assert errno_of(os.lstat, mount.at("test/tiny/3.0.0.wasm")) == "ENOENT"
    after = metrics()
    assert after["wargfs_mount_downloads_total"] == after["wargfs_mount_cache_misses_total"] == 1
    assert after["wargfs_mount_packages_known"] == 2  # also the one with the newest record, for its namespace's time
    assert after["wargfs_mount_read_bytes_total"] > before["wargfs_mount_read_bytes_total"]
    for operation in ("lookup", "getattr", "read"):
        name = f'wargfs_mount_requests_total{{operation="{operation}"}}'
        assert after[name] > before[name]
    # The kernel is told once that it need not ask.
    assert after['wargfs_mount_requests_total{operation="open"}'] == 1


def read_in_pieces(path):
    with open(path, "rb", buffering=0) as file:
        return b"".join(iter(lambda: file.read(5), b""))


READERS = {
    "cat": lambda path, _: subprocess.run(["cat", path], check=True, capture_output=True).stdout,
    "dd": lambda path, _: subprocess.run(["dd", f"if={path}", "bs=7"], check=True, capture_output=True).stdout,
    "tail": lambda path, _: subprocess.run(["tail", "-c", "+1", path], check=True, capture_output=True).stdout,
    "cp": lambda path, to: subprocess.run(["cp", path, to], check=True) and read(to),
    "sendfile": lambda path, to: shutil.copyfile(path, to) and read(to),
    "python": lambda path, _: read_in_pieces(path),
}
UNCHANGING = [".warg/checkpoint", ".warg/operator.json", ".warg/log/test/hello.json", "test/regret/.yanked/1.1.0"]


@pytest.fixture(scope="module")
def still(everything, server):
    """A mount whose checkpoint stays as it is."""
    mount = mounts.Mount(programs.Home(os.path.join(everything, "still")), server.url,
                         os.path.join(everything, "still-mount"), ("refresh=0",))
    try:
        yield mount.wait()
        mount.end()
    finally:
        mount.abandon()


@pytest.mark.parametrize("document", UNCHANGING)
@pytest.mark.parametrize("program", READERS)
def test_readers(still, folder, document, program):
    """Every program gets the whole text."""
    told = READERS[program](still.at(document), os.path.join(folder, "copy"))
    assert told == still.read(document)
    assert told.endswith(b"\n")


def test_changing(new_mount, server, folder):
    """Documents that are of another length each time, for those who go by what the kernel takes for their size."""
    mount, copy = new_mount(server.url, "refresh=0"), os.path.join(folder, "copy")
    for name in PACKAGES:
        mount.list(name.replace(":", "/"))
        for document in ("status", "metrics"):
            shutil.copyfile(mount.at(".warg", document), copy)
            told = read(copy).decode()
            assert told.endswith("}\n" if document == "status" else "\n") and told.count("uptime") >= 1
            with open(mount.at(".warg", document), "rb") as file:
                assert os.fstat(file.fileno()).st_size == len(file.read())


def test_side_by_side(new_mount, server):
    """Who opens a document beside others gets one, too."""
    mount = new_mount(server.url, "refresh=0")
    command = "for i in $(seq 100); do cat .warg/metrics .warg/status || exit 1; done"
    readers = [subprocess.Popen(["sh", "-c", command], cwd=mount.path, stdout=subprocess.PIPE) for _ in range(8)]
    told = [reader.communicate()[0].decode() for reader in readers]
    assert [reader.returncode for reader in readers] == [0] * 8
    assert {(one.count("\nwargfs_mount_uptime_seconds "), one.count('"uptime":')) for one in told} == {(100, 100)}


def test_stat(shared):
    for document in DOCUMENTS:
        told = shared.stat(".warg", document)
        assert stat.S_ISREG(told.st_mode) and told.st_mode & 0o777 == 0o644
        assert told.st_mtime > 1.6e9
    assert shared.stat("test/regret/.yanked/1.1.0").st_mtime > shared.stat("test/regret/1.0.0.wasm").st_mtime


def test_open_stays(shared):
    """What was opened stays as it is."""
    with open(shared.at(".warg/metrics"), "rb", buffering=0) as file:
        first = file.read(1000)
        shared.list("test/hello")
        file.seek(0)
        assert file.read(1000) == first


def test_read_only(shared):
    assert errno_of(os.open, shared.at(".warg/status"), os.O_RDWR) == "EROFS"
    assert errno_of(os.unlink, shared.at("test/regret/.yanked/1.1.0")) == "EROFS"
    assert errno_of(os.mkdir, shared.at(".warg/new")) == "EROFS"


def test_registry_is_gone(new_mount, liar):
    """What this mount believes is told all the same; a log that it never saw cannot be."""
    mount = new_mount(liar.url, "timeout=20").expect("^wargfs: ")
    mount.list("test/regret")
    liar.close()
    for document in DOCUMENTS:
        assert mount.read(".warg", document)
    assert load(mount, ".warg/log/test/regret.json")["name"] == "test:regret"
    assert lines_of(mount.read("test/regret/.yanked/1.1.0"))["version"] == "1.1.0"
    assert errno_of(mount.read, ".warg/log/test/hello.json") == "EHOSTUNREACH"
    liar.open()
    assert load(mount, ".warg/log/test/hello.json")["name"] == "test:hello"


PROVEN = "registry", "checkpoint"
OF_NOW = "signed_at", "verified_at", "age", "stale"
ATTRIBUTES = {
    "": {*PROVEN, "complete"},
    ".warg": {*PROVEN, "complete"},
    ".warg/status": {*PROVEN},
    ".warg/log/test": {*PROVEN, "complete"},
    ".warg/log/test/regret.json": {*PROVEN, "record", "registry_index"},
    ".latest/test": {*PROVEN, "complete"},
    "test/regret": {*PROVEN, "complete", "record", "registry_index"},
    "test/regret/.yanked": {*PROVEN, "complete", "record", "registry_index"},
    "test/regret/.yanked/1.1.0": {*PROVEN, "record", "released_by", "released_at", "yanked_by", "yanked_at"},
    "test/regret/1.0.0.wasm": {*PROVEN, "digest", "record", "released_by", "released_at"},
}


@pytest.mark.parametrize("path", ATTRIBUTES)
def test_attributes(shared, path):
    """What is listed can be read, and is what has to be there. What tells of now is not listed, and can be read."""
    shared.list("test/regret")
    names = os.listxattr(shared.at(path))
    assert set(names) == {f"user.warg.{name}" for name in ATTRIBUTES[path]}
    for name in names:
        assert os.getxattr(shared.at(path), name)
    for name in OF_NOW:
        assert os.getxattr(shared.at(path), "user.warg." + name)


def test_listed_attributes_stay(shared):
    """They are the same when time has passed and the content came: a copy with attributes stays a true copy."""
    path = shared.at("test/regret/1.0.0.wasm")

    def listed():
        return {name: os.getxattr(path, name) for name in os.listxattr(path)}

    before, age = listed(), os.getxattr(path, "user.warg.age")
    waiting.until(lambda: os.getxattr(path, "user.warg.age") != age, "the age to change")
    with open(path, "rb") as file:
        assert file.read()
    assert os.getxattr(path, "user.warg.state") == b"verified" and listed() == before


@pytest.mark.parametrize("path", ("test/hello/latest.wasm", "test/hello/^1.wasm", ".latest/test/hello.wasm"))
def test_links_have_no_attributes(shared, path):
    assert os.listxattr(shared.at(path), follow_symlinks=False) == []
