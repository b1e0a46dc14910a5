"""Every lie of lies.py: an error that names the thing, never wrong bytes, and with honesty the same works at once."""
import re

import pytest

import forge
import lies
from mounts import errno_of
from registry import CONTENTS
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
    liar.stay_at(server.lengths[1])
    mount = new_mount(liar.url, "refresh=1")
    assert mount.list("test/steps") == ["0.1.0.wasm", "latest.wasm"]
    liar.lie(call, mutation)
    liar.past = None
    mount.wait_for_log(f"(?i)^wargfs: .*{words}")
    assert mount.list("test/steps") == ["0.1.0.wasm", "latest.wasm"]
    assert mount.read("test/tiny/1.0.0.wasm") == CONTENTS["test:tiny", "1.0.0"]
    liar.be_honest()
    until(lambda: "0.3.0.wasm" in mount.list("test/steps"), "the honest checkpoint is believed")
