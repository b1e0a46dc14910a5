# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Every lie of lies.py: an error that names the thing, never wrong bytes, and with honesty the same works at once."""
import os
import re
import signal

import pytest

import forge
import lies
from mounts import errno_of
from registry import CONTENTS, PACKAGES
from waiting import until


@pytest.fixture
def patient(new_mount, liar):
    """Mounts with a kind's patience; whatever the daemon says of the registry is no surprise."""
    def make(kind, *options):
        return new_mount(liar.url, f"timeout={kind.patience}", *options).expect("^wargfs: ")
    return make


def check_error(mount, what, words):
    """The sentence at a place names the thing, and the daemon logged it."""
    sentence = mount.last_error(what)
    assert sentence and re.search(words, sentence, re.I), sentence
    assert sentence in mount.log


def until_it_works(kind, action, what):
    """At once; but where others waited too, their wait may have to end first."""
    if kind == lies.SLOW:
        until(lambda: errno_of(action, what) is None, f"{what} can be had")


@pytest.mark.parametrize("call, name, mutation, kind, words", lies.AT_MOUNT, ids=lies.ids(lies.AT_MOUNT))
def test_at_mount(new_mount, liar, home, call, name, mutation, kind, words):
    """No mount comes of it, but an exit status and a sentence."""
    liar.lie(call, mutation)
    mount = new_mount(liar.url, f"timeout={kind.patience}", home=home, wait=False)
    status, log = mount.refused()
    assert status == kind.status, log
    assert re.search("^wargfs mount: .*" + words, log, re.I) and log.count("\n") == 1, log
    liar.be_honest()
    assert home.wargfs("download", "test:tiny", "--registry", liar.url, "-o", "-", text=False).stdout == CONTENTS[
        "test:tiny", "1.0.0"]


def test_without_commit(new_mount, liar):
    """A checkpoint signed by a key that the operator trusts with other things."""
    liar.lie("logs", lies.granted(forge.STRANGER, lies.DEFINE_NAMESPACE))
    liar.lie("checkpoint", lies.signed(forge.STRANGER))
    status, log = new_mount(liar.url, wait=False).refused()
    assert status == 3 and "commit" in log.lower(), log


@pytest.mark.parametrize("call, name, mutation, kind, words", lies.AT_PACKAGE, ids=lies.ids(lies.AT_PACKAGE))
def test_at_package(patient, liar, call, name, mutation, kind, words):
    """One package cannot be entered; the others can, and so can it afterwards."""
    mount = patient(kind)
    assert "steps" in mount.list("test")
    mount.read("test/tiny/1.0.0.wasm")
    liar.lie(call, mutation)
    assert errno_of(mount.list, "test/steps") == kind.errno, mount.log
    check_error(mount, "test/steps", words)
    assert mount.read("test/tiny/1.0.0.wasm") == CONTENTS["test:tiny", "1.0.0"]
    liar.be_honest()
    until_it_works(kind, mount.list, "test/steps")
    assert mount.list("test/steps") == ["0.1.0.wasm", "0.2.0.wasm", "0.3.0.wasm", "latest.wasm"]
    assert mount.last_error("test/steps") == ""


@pytest.mark.parametrize("call, name, mutation, kind, words", lies.AT_CONTENT, ids=lies.ids(lies.AT_CONTENT))
def test_at_content(patient, liar, call, name, mutation, kind, words):
    """No byte of it is read; afterwards all are."""
    mount = patient(kind)
    release = "test/page/1.0.0.wasm"
    assert mount.stat(release).st_size == 4096
    liar.lie(call, mutation)
    assert errno_of(mount.read, release) == kind.errno, mount.log
    check_error(mount, release, words)
    liar.be_honest()
    until_it_works(kind, mount.read, release)
    assert mount.read(release) == CONTENTS["test:page", "1.0.0"]
    assert mount.last_error(release) == ""


@pytest.mark.parametrize("call, name, mutation, kind, words", lies.GROWTH, ids=lies.ids(lies.GROWTH))
def test_growth(new_mount, liar, server, call, name, mutation, kind, words):
    """A registry that grows and lies about it: what was proven stays, and nothing new is believed."""
    if call == "consistency":  # the ledger proves that, too: then no proof is asked for
        liar.lie("ledger", lies.error(501))
    liar.stay_at(server.lengths[1])
    mount = new_mount(liar.url, "refresh=1", f"timeout={kind.patience}")
    assert mount.list("test/steps") == ["0.1.0.wasm", "latest.wasm"]
    assert mount.read("test/tiny/1.0.0.wasm") == CONTENTS["test:tiny", "1.0.0"]
    liar.lie(call, mutation)
    liar.past = None
    mount.wait_for_log(f"(?i)^wargfs: .*{words}")
    assert mount.list("test/steps") == ["0.1.0.wasm", "latest.wasm"]
    assert mount.read("test/tiny/1.0.0.wasm") == CONTENTS["test:tiny", "1.0.0"]
    liar.be_honest()
    until(lambda: "0.3.0.wasm" in mount.list("test/steps"), "the honest checkpoint is believed")


OLD_PACKAGES = ["bare", "hello", "regret", "steps", "tiny"]
ALL_PACKAGES = [name.partition(":")[2] for name in PACKAGES]
STEPS = ["0.1.0.wasm", "0.2.0.wasm", "0.3.0.wasm", "latest.wasm"]


@pytest.mark.parametrize("call, name, mutation, kind, words", lies.AT_LISTING, ids=lies.ids(lies.AT_LISTING))
def test_at_listing(patient, liar, call, name, mutation, kind, words):
    """What there is cannot be told, and no name is made up; what is asked for by its name is there."""
    mount = patient(kind)
    liar.lie(call, mutation)
    assert errno_of(mount.list, "test") == kind.errno, mount.log
    check_error(mount, "test", words)
    liar.be_honest()
    until_it_works(kind, mount.list, "test")
    assert mount.list("test") == ALL_PACKAGES
    assert os.getxattr(mount.at("test"), "user.warg.complete") == b"true"
    assert mount.last_error("test") == ""


@pytest.mark.parametrize("call, name, mutation", lies.TOO_MUCH, ids=lies.ids(lies.TOO_MUCH))
def test_too_much(patient, liar, call, name, mutation):
    """What is more than all is neither shown nor in the way."""
    mount = patient(lies.FORGED)
    liar.lie(call, mutation)
    assert mount.list("test") == ALL_PACKAGES
    assert os.getxattr(mount.at("test"), "user.warg.complete") == b"true"


@pytest.fixture
def young(new_mount, liar, server):
    """A mount of the registry as it was; `grow(call, mutation)` has it grow, and a lie told of that."""
    liar.stay_at(server.lengths[1])

    def make(kind):
        mount = new_mount(liar.url, "refresh=3600", f"timeout={kind.patience}").expect("^wargfs: ")
        assert mount.list("test") == OLD_PACKAGES
        assert mount.list("test/steps") == STEPS[:1] + STEPS[-1:]
        assert mount.read("test/steps/0.1.0.wasm") == CONTENTS["test:steps", "0.1.0"]

        def grow(call, mutation):
            liar.forget()
            liar.lie(call, mutation)
            if call == "ledger":  # where the parts are is asked for once the last known part is gone
                liar.lie("records", lies.error(404))
            liar.past = None
            mount.process.send_signal(signal.SIGHUP)
            until(lambda: liar.count(call), lambda: f"it asks for {call}; {mount.log}")
        return mount, grow
    return make


def check_accusation(mount, kind, words):
    """That the daemon says what is wrong, and accuses the registry only of what it said."""
    mount.wait_for_log(f"(?i)^wargfs: .*{words}")
    accuses = "the registry's answer is not valid: " in mount.log
    assert accuses == (kind == lies.FORGED), mount.log


def check_grown(mount, liar):
    """With honesty all that is new is there."""
    liar.be_honest()
    mount.process.send_signal(signal.SIGHUP)
    until(lambda: errno_of(mount.list, "test/steps") is None and mount.list("test/steps") == STEPS,
          lambda: f"the releases are seen: {mount.log}")
    until(lambda: mount.list("test") == ALL_PACKAGES, "the packages are seen")
    assert mount.read("test/steps/0.3.0.wasm") == CONTENTS["test:steps", "0.3.0"]


@pytest.mark.parametrize("call, name, mutation, kind, words", lies.GROWTH_OF_LISTING,
                         ids=lies.ids(lies.GROWTH_OF_LISTING))
def test_growth_of_listing(young, liar, call, name, mutation, kind, words):
    """In the middle of a running mount: what was listed is listed, and nothing made up."""
    mount, grow = young(kind)
    grow(call, mutation)
    check_accusation(mount, kind, words)
    assert set(OLD_PACKAGES) <= set(mount.list("test")) <= set(ALL_PACKAGES)
    assert mount.read("test/steps/0.1.0.wasm") == CONTENTS["test:steps", "0.1.0"]
    check_grown(mount, liar)


@pytest.mark.parametrize("call, name, mutation, kind, words", lies.GROWTH_OF_PACKAGE,
                         ids=lies.ids(lies.GROWTH_OF_PACKAGE))
def test_growth_of_package(young, liar, call, name, mutation, kind, words):
    """In the middle of a running mount: what was proven of the package is there."""
    mount, grow = young(kind)
    grow(call, mutation)
    until(lambda: re.search(words, mount.log) or mount.last_error("test/steps"), "it is noticed")
    assert mount.list("test/steps") == STEPS[:1] + STEPS[-1:], mount.log
    assert mount.read("test/steps/0.1.0.wasm") == CONTENTS["test:steps", "0.1.0"]
    sentence = mount.last_error("test/steps") or mount.log
    assert re.search(words, sentence, re.I), sentence
    check_grown(mount, liar)


def test_absence_is_not_taken_on_trust(patient, liar):
    """A package whose log is said not to be there, by a registry whose ledger has it; before anything was listed."""
    mount = patient(lies.FORGED)
    liar.lie("logs", lies.error(404, type="log", id=forge.package_log_id("test:steps")))
    assert errno_of(mount.stat, "test/steps") != "ENOENT", mount.log
    assert errno_of(mount.list, "test/steps") == "EBADMSG"
    assert errno_of(mount.stat, "test/steps/0.1.0.wasm") == "EBADMSG"
    liar.be_honest()
    assert mount.list("test/steps") == STEPS


WITHHELD = (("names", "one", lies.rename(None), len(ALL_PACKAGES) - 1), ("ledger", "all of it", lies.error(501), 0))


@pytest.mark.parametrize("call, name, mutation, left", WITHHELD, ids=lies.ids(WITHHELD))
def test_withheld(new_mount, liar, call, name, mutation, left):
    """What the registry does not tell is missed, and comes when it is told."""
    mount = new_mount(liar.url, "refresh=3600")
    liar.lie(call, mutation)
    assert len(mount.list("test")) == left
    assert os.getxattr(mount.at("test"), "user.warg.complete") == b"false"
    liar.be_honest()
    mount.process.send_signal(signal.SIGHUP)
    until(lambda: mount.list("test") == ALL_PACKAGES, "all names are listed")
    assert os.getxattr(mount.at("test"), "user.warg.complete") == b"true"
