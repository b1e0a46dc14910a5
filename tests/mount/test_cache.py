# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""The cache that we share with the reference's client, in both directions and at the same time."""
import contextlib
import fcntl
import hashlib
import json
import os
import threading

import pytest

from mounts import read
from registry import CONTENTS

HELLO = CONTENTS["test:hello", "1.0.0"]


@pytest.fixture
def configured(home, liar):
    """A home whose home registry is behind the liar."""
    return home.configure(liar.url)


@contextlib.contextmanager
def locked(home, url):
    """Both locks, as the reference's client holds them for its whole life."""
    with contextlib.ExitStack() as stack:
        for folder in (home.registry_folder(url), os.path.join(home.cache, "content")):
            os.makedirs(folder, exist_ok=True)
            file = stack.enter_context(open(os.path.join(folder, ".lock"), "w"))
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def test_its_content(configured, new_mount, liar):
    """What warg downloaded is not downloaded again. Its logs are: there are no signatures in them to prove them by."""
    configured.warg("download", "test:hello", "-v", "1.0.0", "-o", "out.wasm")
    liar.forget()
    mount = new_mount(liar.url, home=configured)
    assert mount.read("test/hello/1.0.0.wasm") == HELLO
    assert liar.count("bytes") == liar.count("size") == 0
    tokens = [token for call in liar.calls if call.name == "logs"
              for token in (json.loads(call.request).get("packages") or {}).values()]
    assert tokens == [None, None]  # its own log, and that of the newest record, for its namespace's time


def test_our_content(configured, liar):
    """What we downloaded warg does not download again."""
    configured.wargfs("download", "test:hello", "-v", "1.0.0", "-o", "ours.wasm")
    liar.forget()
    configured.warg("download", "test:hello", "-v", "1.0.0", "-o", "its.wasm")
    assert read(os.path.join(configured.work, "its.wasm")) == HELLO
    assert liar.count("bytes") == liar.count("logs") == 0
    assert "test:hello" in configured.warg("info").stdout


def test_our_mount(configured, new_mount, liar):
    """The same of a mount, while it is there."""
    mount = new_mount(liar.url, home=configured)
    mount.read("test/hello/1.0.0.wasm")
    liar.forget()
    configured.warg("download", "test:hello", "-v", "1.0.0", "-o", "its.wasm")
    assert liar.count("bytes") == 0
    assert read(os.path.join(configured.work, "its.wasm")) == HELLO
    configured.warg("update")
    assert mount.read("test/hello/0.9.0.wasm") == CONTENTS["test:hello", "0.9.0"]


def test_same_files(new_home, liar):
    """The state files are the same, byte for byte; contents too."""
    its, ours = (new_home().configure(liar.url) for _ in range(2))
    for name in ("test:hello", "test:regret", "test:steps"):
        its.warg("download", name, "-o", "out.wasm")
        ours.wargfs("download", name, "-o", "out.wasm")
        assert read(its.log_file(liar.url, name)).decode() == read(ours.log_file(liar.url, name)).decode()
    for file in ("operator.log",):
        assert (read(os.path.join(its.registry_folder(liar.url), file)).decode() ==
                read(os.path.join(ours.registry_folder(liar.url), file)).decode())
    for folder in ("content/sha256", "registries"):
        assert files(os.path.join(its.cache, folder)) == files(os.path.join(ours.cache, folder))
    assert its.warg("info").stdout == ours.warg("info").stdout


def files(top):
    return sorted(os.path.relpath(os.path.join(folder, name), top)
                  for folder, _, names in os.walk(top) for name in names)


def test_while_locked(configured, new_mount, liar):
    """warg at work keeps us from nothing."""
    with locked(configured, liar.url):
        mount = new_mount(liar.url, home=configured)
        assert mount.read("test/hello/1.0.0.wasm") == HELLO
        configured.wargfs("download", "test:hello", "-v", "0.9.0", "-o", "ours.wasm")
    assert read(os.path.join(configured.work, "ours.wasm")) == CONTENTS["test:hello", "0.9.0"]


def test_damaged_content(configured, new_mount, liar):
    """A file in the cache that is not what its name says is fetched again."""
    configured.wargfs("download", "test:hello", "-v", "1.0.0", "-o", "ours.wasm")
    cached = configured.content_file(HELLO)
    assert read(cached) == HELLO
    with open(cached, "r+b") as file:
        file.write(b"\1")
    mount = new_mount(liar.url, home=configured).expect("^wargfs: ")
    assert mount.read("test/hello/1.0.0.wasm") == HELLO
    assert read(cached) == HELLO


def test_after_power_failure(configured, liar):
    """State files that a power failure left empty keep the reference's client from its work no longer than to our next
    update."""
    configured.wargfs("download", "test:hello", "-v", "1.0.0", "-o", "ours.wasm")
    path = configured.log_file(liar.url, "test:hello")
    os.truncate(path, 0)
    assert "EOF" in configured.warg("update", status=1).stderr
    configured.wargfs("update")
    assert not os.path.exists(path)
    configured.warg("update")
    configured.warg("download", "test:hello", "-v", "1.0.0", "-o", "its.wasm")
    assert read(os.path.join(configured.work, "its.wasm")) == HELLO


@pytest.mark.parametrize("damage", (lambda text: text[:len(text) // 2], lambda text: b"", lambda text: b"{}",
                                    lambda text: b"\0" * 100, lambda text: text.replace(b"test:hello", b"test:hella")),
                         ids=("half", "empty", "another JSON", "zeroes", "another name"))
@pytest.mark.parametrize("which", ("package", "operator.log", "checkpoint"))
def test_damaged_state(configured, new_mount, liar, which, damage):
    """State that does not parse is as good as none."""
    configured.wargfs("download", "test:hello", "-v", "1.0.0", "-o", "ours.wasm")
    path = (configured.log_file(liar.url, "test:hello") if which == "package" else
            os.path.join(configured.registry_folder(liar.url), which))
    text = read(path)
    with open(path, "wb") as file:
        file.write(damage(text))
    mount = new_mount(liar.url, home=configured).expect("^wargfs: ")
    assert mount.read("test/hello/1.0.0.wasm") == HELLO
    mount.end()
    json.loads(read(path))
    configured.warg("download", "test:hello", "-v", "1.0.0", "-o", "its.wasm")


def change_state(home, url, name, change):
    """Change the state of a package's log as the shared cache has it; its head stays what it is."""
    path = home.log_file(url, name)
    with open(path) as file:
        value = json.load(file)
    change(value["state"])
    with open(path, "w") as file:
        json.dump(value, file)
    return path


@pytest.mark.parametrize("client", ["warg", "wargfs"])
def test_a_false_state_is_not_believed(configured, new_mount, liar, client):
    """A state with the true head, in which a version has another content: it is not shown, and is put right."""
    other = "sha256:" + hashlib.sha256(CONTENTS["test:other", "0.1.0"]).hexdigest()

    def change(state):
        state["releases"]["1.0.0"]["state"]["content"] = other

    if client == "warg":
        configured.warg("download", "test:hello", "-v", "1.0.0", "-o", "out.wasm")
    else:
        configured.wargfs("download", "test:hello", "-v", "1.0.0", "-o", "out.wasm")
    path = change_state(configured, liar.url, "test:hello", change)
    mount = new_mount(liar.url, home=configured)
    assert mount.read("test/hello/1.0.0.wasm") == HELLO
    mount.end()
    with open(path) as file:
        assert other not in file.read()


def test_cleared_while_read(new_mount, liar, home):
    """Somebody clears the cache all the time: what just came may be gone before it is opened, and is had again."""
    mount = new_mount(liar.url, home=home)
    mount.list("test/hello")
    path = home.content_file(HELLO)
    over = threading.Event()

    def clear():
        while not over.is_set():
            with contextlib.suppress(FileNotFoundError):
                os.unlink(path)
    clearing = threading.Thread(target=clear)
    clearing.start()
    try:
        for _ in range(30):
            assert mount.read("test/hello/1.0.0.wasm") == HELLO
    finally:
        over.set()
        clearing.join()
