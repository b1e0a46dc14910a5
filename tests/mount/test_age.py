# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""How old a checkpoint may be: max_age=, and clocks that are wrong. The operator's key is known, so time can lie."""
import json
import os
import time

import pytest

from forge import sign_checkpoint
from liar import changed, says
from mounts import errno_of, read
from registry import CONTENTS, path_of
from waiting import until

MAX_AGE = 4
BOUNDED = f"max_age={MAX_AGE}", "refresh=0"
TOO_OLD = rf"s old, and max_age is {MAX_AGE} s"
YEAR = 365 * 86400
HELLO = path_of("test:hello", "1.0.0")
LATEST = "test/steps/latest.wasm"
ABSENT = "test/steps/7.0.0.wasm"


def aged(seconds):
    """The newest state, signed that long ago."""
    return changed(lambda value: sign_checkpoint({**value["contents"], "timestamp": int(time.time()) - seconds}))


def frozen(server, seconds=0):
    """One checkpoint for ever, signed that long before now."""
    contents = {**server.checkpoint()["contents"], "timestamp": int(time.time()) - seconds}
    signed = sign_checkpoint(contents)
    return changed(lambda _: signed)


@pytest.fixture
def known(liar, new_mount):
    """A mount that bears no old checkpoint, with what it was asked for while there were new ones."""
    liar.lie("checkpoint", aged(0))
    mount = new_mount(liar.url, *BOUNDED).expect(TOO_OLD)
    assert mount.read(HELLO) == CONTENTS["test:hello", "1.0.0"]
    assert "steps" in mount.list("test")
    assert mount.list("test/steps")
    assert os.readlink(mount.at(LATEST)) == "0.3.0.wasm"
    assert mount.stat("test/steps/^0.2.wasm")
    assert mount.list(".latest/test")
    assert errno_of(mount.stat, ABSENT) == "ENOENT"
    return mount


CHANGING = (
    ("the root", lambda mount: mount.list()),
    ("a namespace", lambda mount: mount.list("test")),
    ("a package", lambda mount: mount.list("test/steps")),
    ("what was yanked", lambda mount: mount.list("test/regret/.yanked")),
    ("links", lambda mount: mount.list(".latest")),
    ("links of a namespace", lambda mount: mount.list(".latest/test")),
    ("the latest", lambda mount: os.readlink(mount.at(LATEST))),
    ("a look at the latest", lambda mount: mount.stat(LATEST)),
    ("reading the latest", lambda mount: mount.read(LATEST)),
    ("a requirement", lambda mount: mount.stat("test/steps/^0.2.wasm")),
    ("a new requirement", lambda mount: mount.stat("test/steps/~0.1.wasm")),
    ("a package's link", lambda mount: mount.stat(".latest/test/steps.wasm")),
    ("what was absent", lambda mount: mount.stat(ABSENT)),
    ("what would be absent", lambda mount: mount.stat("test/steps/8.0.0.wasm")),
    ("a package that would be absent", lambda mount: mount.stat("test/nothing")),
    ("a content that is not here", lambda mount: mount.read("test/steps/0.1.0.wasm")),
)

LASTING = (
    ("a content that is here", lambda mount: mount.read(HELLO)),
    ("a look at a release", lambda mount: mount.stat("test/steps/0.1.0.wasm")),
    ("a look at a package", lambda mount: mount.stat("test/steps")),
    ("what cannot be", lambda mount: errno_of(mount.stat, "test/Foo") == "ENOENT"),
    ("the status", lambda mount: json.loads(mount.read(".warg/status"))["checkpoint"]["stale"] is True),
    ("the checkpoint", lambda mount: mount.read(".warg/checkpoint")),
    ("a package's log", lambda mount: mount.read(".warg/log/test/steps.json")),
    ("what the mount has of itself", lambda mount: mount.list(".warg")),
)


def check_stale(mount):
    until(lambda: errno_of(mount.list, "test") == "ETIMEDOUT", "the checkpoint is too old")
    for name, action in CHANGING:
        assert errno_of(action, mount) == "ETIMEDOUT", name
    for name, action in LASTING:
        assert action(mount), name


def attribute(mount, name, *parts):
    return os.getxattr(mount.at(*parts), "user.warg." + name).decode()


def test_replayed(known, liar, server):
    """The registry offers one checkpoint again and again: nothing of it is new."""
    liar.lie("checkpoint", frozen(server))
    check_stale(known)
    assert "it was too old when it came" in known.last_error("test/steps")
    assert attribute(known, "stale") == "true" and int(attribute(known, "age")) >= MAX_AGE
    told = json.loads(known.home.wargfs("status", "--json", known.path).stdout)["checkpoint"]
    assert told["stale"] and told["maxAge"] == MAX_AGE and told["age"] >= MAX_AGE and told["verifiedAgo"] <= told["age"]
    assert "STALE " in known.status().stdout
    liar.lie("checkpoint", aged(YEAR))
    assert errno_of(known.list) == "ETIMEDOUT", "an older one is none"
    liar.lie("checkpoint", aged(0))
    for name, action in CHANGING:
        assert errno_of(action, known) in (None, "ENOENT"), name
    assert attribute(known, "stale") == "false"
    assert "STALE " not in known.status().stdout


def test_away(known, liar):
    """It is said why there is no newer one, and what cannot have changed is there."""
    liar.lie("checkpoint", says(503))
    check_stale(known)
    assert "status 503" in known.last_error("test/steps")


def test_held_open(known, liar, server):
    """A file that is being read is read to its end."""
    with open(known.at(HELLO), "rb", buffering=0) as file:
        begin = file.read(10)
        liar.lie("checkpoint", frozen(server))
        check_stale(known)
        assert begin + file.read() == CONTENTS["test:hello", "1.0.0"]


def test_clock_years_ahead(liar, new_mount):
    """To such a clock everything is old; that it may be the clock is said."""
    liar.lie("checkpoint", aged(3 * YEAR))
    mount = new_mount(liar.url, *BOUNDED).expect(TOO_OLD)
    assert errno_of(mount.list) == "ETIMEDOUT"
    assert "the clock here is wrong" in mount.last_error()
    assert json.loads(mount.read(".warg/status"))["checkpoint"]["age"] >= 3 * YEAR


def test_clock_years_behind(liar, new_mount, server):
    """A checkpoint of the future is as old as it has been known, and somebody's clock is said to be wrong."""
    liar.lie("checkpoint", aged(-YEAR))
    mount = new_mount(liar.url, *BOUNDED).expect(TOO_OLD)
    mount.wait_for_log(r"the clock here or the registry's is wrong by 3\d{7} s")
    assert mount.list("test")
    told = json.loads(mount.home.wargfs("status", "--json", mount.path).stdout)["checkpoint"]
    assert not told["stale"] and told["age"] <= 60 and "wrong by" in told["clock"]
    assert "CLOCK WRONG" in mount.status().stdout
    liar.lie("checkpoint", frozen(server, -YEAR - 100))
    assert mount.list("test")
    until(lambda: errno_of(mount.list, "test") == "ETIMEDOUT", "a replay does not make it younger")
    assert "ahead of the clock here" in mount.last_error("test")
    liar.lie("checkpoint", aged(0))
    assert mount.list("test"), "the registry has come back"


def test_future_of_another_process(liar, new_mount, home, server):
    """Seen by a process before, it is not new to the next one: nobody knows how old it is."""
    liar.lie("checkpoint", frozen(server, -YEAR))
    mount = new_mount(liar.url, *BOUNDED, home=home).expect("wrong by", TOO_OLD)
    assert errno_of(mount.list) in (None, "ETIMEDOUT")
    mount.end()
    mount = new_mount(liar.url, *BOUNDED, home=home).expect("wrong by", "max_age")
    assert errno_of(mount.list) == "ETIMEDOUT"
    assert "is not known" in mount.last_error()
    assert json.loads(mount.read(".warg/status"))["checkpoint"]["age"] is None
    assert "checkpoint_age" not in mount.read(".warg/metrics").decode()


@pytest.mark.parametrize("how", ("offline", "refresh=0"))
def test_old_cache(liar, new_mount, home, how):
    """A mount that stands on what was kept shows of it what cannot have changed, as its first word to anybody."""
    liar.lie("checkpoint", aged(1000))
    mount = new_mount(liar.url, home=home)
    assert mount.list() and mount.list("test") and mount.read(HELLO) == CONTENTS["test:hello", "1.0.0"]
    mount.end()
    liar.close()
    try:
        mount = new_mount(liar.url, how, "max_age=600", home=home).expect("s old, and max_age is 600 s", "127.0.0.1")
        assert mount.read(HELLO) == CONTENTS["test:hello", "1.0.0"]
        assert mount.stat("test/steps")
        for action in (mount.list, lambda: mount.list("test"), lambda: mount.stat("test/hello/latest.wasm"),
                       lambda: mount.stat("test/hello/7.0.0.wasm"), lambda: mount.stat("test/nothing")):
            assert errno_of(action) == "ETIMEDOUT"
        assert ("offline" if how == "offline" else "127.0.0.1") in mount.last_error("test")
        assert int(attribute(mount, "age")) >= 1000 and attribute(mount, "stale") == "true"
        mount.end()
    finally:
        liar.open()


def test_without_bound(liar, new_mount):
    """The age is told always, and forbids nothing."""
    liar.lie("checkpoint", aged(YEAR))
    mount = new_mount(liar.url, "refresh=0")
    assert mount.list("test") and mount.read(HELLO) == CONTENTS["test:hello", "1.0.0"]
    assert errno_of(mount.stat, ABSENT) == "ENOENT"
    assert int(attribute(mount, "age", HELLO)) >= YEAR
    assert attribute(mount, "stale", HELLO) == "false"
    assert attribute(mount, "signed_at", HELLO) < attribute(mount, "verified_at", HELLO)
    assert "365 d" in mount.status().stdout
    assert read(mount.at(LATEST)) == CONTENTS["test:steps", "0.3.0"]
