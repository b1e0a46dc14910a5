# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""What is fetched, and when: nothing before it is needed, nothing twice, and few calls one after the other."""
import json
import re
import subprocess

import pytest

from registry import BIG, CONTENTS, PACKAGES
from waiting import until


def names(liar):
    return {call.name for call in liar.calls}


def packages_asked_for(liar):
    """The log ids in the calls for logs."""
    return [log_id for call in liar.calls if call.name == "logs"
            for log_id in json.loads(call.request).get("packages") or {}]


def test_mounting(mount, liar):
    """The operator's log and nothing else."""
    assert names(liar) == {"well-known", "checkpoint", "logs", "inclusion"}
    assert packages_asked_for(liar) == []
    assert liar.round_trips() <= 4


def test_listing(mount, liar):
    """ls fetches no contents, only the log of the newest record, for the namespace's time, and nothing twice."""
    liar.forget()
    assert mount.list("test") == [name.partition(":")[2] for name in PACKAGES]
    assert names(liar) == {"ledger", "records", "names", "logs", "inclusion"}
    assert len(packages_asked_for(liar)) == 1 and liar.round_trips() <= 5
    liar.forget()
    mount.list("test")
    assert names(liar) == set()


def test_entering(mount, liar):
    """A package costs its log and its proofs, once; its listing no sizes and no bytes."""
    mount.list("test")
    liar.forget()
    mount.list("test/hello")
    assert sorted(call.name for call in liar.calls if call.name in ("logs", "inclusion")) == ["inclusion", "logs"]
    assert len(packages_asked_for(liar)) == 1
    assert "bytes" not in names(liar)
    assert liar.round_trips() <= 4
    liar.forget()
    mount.list("test/hello")
    assert not names(liar) & {"logs", "inclusion", "bytes"}


@pytest.mark.reference("ours tells sizes without being asked")
def test_sizes(mount, liar):
    """A size costs no content, and is asked for once, whoever asks."""
    for _ in range(2):
        assert [mount.stat("test/hello", name).st_size for name in mount.list("test/hello")[:3]] == [300, 1000, 70001]
    assert liar.count("size") == 3
    assert liar.count("bytes") == 0


def test_absent_names(mount, liar):
    """What cannot be asks nobody."""
    mount.list("test")
    liar.forget()
    for name in ("test/.git", "test/Foo", "Foo", ".Trash", "test/hello_"):
        subprocess.run(["ls", mount.at(name)], capture_output=True)
    assert names(liar) == set()


def test_one_download(mount, liar):
    """Readers side by side share one download; later ones need none."""
    path = mount.at("test/big/1.0.0.wasm")
    readers = [subprocess.Popen(["sha256sum", path], stdout=subprocess.PIPE, text=True) for _ in range(8)]
    sums = {reader.communicate()[0].split()[0] for reader in readers}
    assert len(sums) == 1
    assert liar.count("bytes") == 1
    assert mount.stat("test/big/1.0.0.wasm").st_size == BIG
    assert mount.read("test/big/1.0.0.wasm") == CONTENTS["test:big", "1.0.0"]
    assert mount.read("test/big/latest.wasm") == CONTENTS["test:big", "1.0.0"]
    assert liar.count("bytes") == 1


def test_same_content(mount, liar):
    """One content under two names is fetched once."""
    assert mount.read("test/hello/1.0.0.wasm") == mount.read("test/again/1.0.0.wasm")
    assert liar.count("bytes") == 1


def test_remount(new_mount, liar, home):
    """What was fetched once is there at the next mount."""
    first = new_mount(liar.url, home=home)
    first.read("test/page/1.0.0.wasm")
    first.end()
    liar.forget()
    second = new_mount(liar.url, home=home)
    assert second.stat("test/page/1.0.0.wasm").st_size == 4096
    assert second.read("test/page/1.0.0.wasm") == CONTENTS["test:page", "1.0.0"]
    assert not names(liar) & {"bytes", "size", "sources"}


def test_growth(new_mount, liar, server):
    """A new checkpoint brings what it brings in at most four round trips, and is seen."""
    liar.stay_at(server.lengths[1])
    mount = new_mount(liar.url, "refresh=1")
    assert "big" not in mount.list("test")
    assert mount.list("test/regret") == ["1.0.0.wasm", "1.1.0.wasm", "latest.wasm"]
    mount.list("test/steps")
    mount.list("test/hello")
    liar.forget()
    liar.past = None
    until(lambda: mount.list("test/steps") == ["0.1.0.wasm", "0.2.0.wasm", "0.3.0.wasm", "latest.wasm"], "the releases")
    assert mount.list("test/regret") == ["1.0.0.wasm", "latest.wasm"]
    # One more for the package with the newest record, which was not accessed.
    assert liar.count("consistency") == 0 and liar.count("logs") <= 2 and liar.count("inclusion") <= 2
    assert "big" in mount.list("test")


def test_at_rest(new_mount, liar, server):
    """A checkpoint with the same roots costs one call."""
    mount = new_mount(liar.url, "refresh=1")
    mount.list("test/hello")
    until(lambda: liar.count("checkpoint") > 2, "a refresh")
    assert liar.count("logs") == 3 and liar.count("consistency") == 0


def requests(mount):
    """How often the kernel has asked for what. That costs some lookups and a getattr by itself."""
    text = mount.read(".warg/metrics").decode()
    return {name: int(count) for name, count in re.findall(r'requests_total\{operation="(\w+)"\} (\d+)', text)}


def test_messages_of_ls(new_mount, server, home):
    """ls -l costs no message a file, whether the kernel knows it or not: names and sizes come with the listing."""
    def list_all(mount):
        return home.run("ls", "-lR", mount.path).stdout

    # Since 9.6 the ls of coreutils asks for the names of each file's attributes, which no kernel remembers.
    asks = "listxattr" in home.run("strace", "-e", "trace=listxattr,llistxattr", "ls", "-ld", home.path).stderr

    first = new_mount(server.url, "refresh=0", home=home)
    list_all(first)  # the sizes are known from then on
    first.end()
    mount = new_mount(server.url, "refresh=0", home=home)

    def cost():
        before = requests(mount)
        entries = len(list_all(mount).splitlines())
        after = requests(mount)
        assert after["lookup"] - before["lookup"] <= 4
        # Until it hears that there are no labels and no access lists.
        assert after["xattr"] - before["xattr"] <= 4 + asks * entries
        return after["getattr"] - before["getattr"]

    # In the first pass packages become known, which changes their folders; the kernel is told of that soon.
    cost()
    until(lambda: cost() <= 4, "attributes are known")
