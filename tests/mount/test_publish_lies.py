# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Every lie of publish_lies.py: an error that names the thing, or none; in the log one record or none, never two; and
with honesty the next run finishes.
"""
import contextlib
import os
import re
import signal
import socket
import threading
import urllib.request

import pytest

import liar as liars
import publish_lies as lies
import registry
from liar import silent
from mounts import errno_of
from waiting import until

CONTENT = registry.wasm(100000, 1)
NAME, VERSION = "test:lied", "1.0.0"
RELEASE = ("publish", "release", "-n", NAME, "-v", VERSION, "content.wasm")


class Trap:
    """A port at which nothing may arrive."""

    def __init__(self):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.address = "127.0.0.1:%d" % self.listener.getsockname()[1]
        self.arrived = []
        self.thread = threading.Thread(target=self.listen)
        self.thread.start()

    def listen(self):
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self.listener.accept()
                with connection:
                    connection.settimeout(5)
                    self.arrived.append(b"")
                    with contextlib.suppress(OSError):
                        self.arrived.append(connection.recv(65536))

    def end(self):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.thread.join()
        self.listener.close()
        assert not self.arrived, self.arrived


@pytest.fixture
def liar(quick):
    """A liar before a registry that is new, and a trap beside it."""
    quick.forget()
    liar = liars.Liar(quick)
    trap = Trap()
    liar.trap = trap.address
    yield liar
    liar.close()
    trap.end()
    assert not liar.mistakes, "\n".join(liar.mistakes)


@pytest.fixture
def publisher(home, liar):
    home.configure(liar.url)
    with open(os.path.join(home.work, "content.wasm"), "wb") as file:
        file.write(CONTENT)
    return home


UNDER_WAY = rf"it may be published yet: 'wargfs (publish wait {NAME} sha256:[0-9a-f]{{64}})' goes on with it\n"


def check_said(done, kind, words, then):
    """Exit status and sentence; and behind it, how to go on where there is something to go on with."""
    assert done.returncode == (kind.status if kind else 0), done.stderr
    assert not re.search(r"[^\n -~]|Sanitizer|runtime error", done.stderr), done.stderr
    said = re.sub(UNDER_WAY, "", done.stderr)
    assert (said != done.stderr) == (then == lies.GOES_ON), done.stderr
    assert ("'wargfs login'" in said) == (kind == lies.LOGIN)
    assert len(said) < 2048
    if kind:
        assert re.match("wargfs publish release: ", said) and said.count("\n") == 1, said
        assert re.search(words, said, re.I), said


def list_under_way(home):
    done = home.wargfs("publish", "list", status=None)
    assert done.returncode == 0 or done.stderr == "wargfs publish list: no pending publish to list\n", done
    return done.stdout


def go_on(home, done, then):
    """The next run: what is under way is told, and finished."""
    if then == lies.GOES_ON:
        assert NAME in list_under_way(home)
        home.wargfs(*re.search(UNDER_WAY, done.stderr)[1].split())
    else:
        assert not list_under_way(home)
        home.wargfs(*RELEASE)


def tell(liar, call, mutation):
    """Lie. A record is asked after only where the answer to its content got lost, or no checkpoint has it."""
    liar.lie(call, mutation)
    if call == "record":
        liar.lie("upload", lies.first(lies.closed))


@pytest.mark.parametrize("call, name, mutation, kind, words, sent, then", lies.TABLE, ids=lies.ids(lies.TABLE))
def test_lied_to(publisher, quick, liar, call, name, mutation, kind, words, sent, then):
    tell(liar, call, mutation)
    done = publisher.wargfs(*RELEASE, status=None)
    check_said(done, kind, words, then)
    assert quick.registry.releases(NAME, VERSION) == sent
    liar.be_honest()
    if kind:
        go_on(publisher, done, then)
    assert quick.registry.releases(NAME, VERSION) == 1
    assert not quick.registry.again, "the record was sent twice"
    assert not list_under_way(publisher)
    assert publisher.wargfs("download", NAME, "-o", "-", text=False).stdout == CONTENT


def copy(path):
    """As cp does it: what close says is the truth."""
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
    try:
        os.write(file, CONTENT)
    finally:
        os.close(file)


@pytest.mark.parametrize("call, name, mutation, kind, words, sent, then", lies.TABLE, ids=lies.ids(lies.TABLE))
def test_copied(publisher, new_mount, quick, liar, call, name, mutation, kind, words, sent, then):
    """The same on a mount: an errno, a sentence, and the next copy publishes."""
    mount = new_mount(liar.url, "rw", "timeout=5", home=publisher).expect("^wargfs: ")
    os.mkdir(mount.at("test/lied"))
    path = mount.at(f"test/lied/{VERSION}.wasm")
    tell(liar, call, mutation)
    assert errno_of(copy, path) == (kind.errno if kind else None), mount.log
    sentence = mount.last_error("test/lied")
    assert re.search(words, sentence, re.I) and sentence in mount.log if kind else not sentence
    assert quick.registry.releases(NAME, VERSION) == sent
    liar.be_honest()
    if kind:
        copy(path)
    assert quick.registry.releases(NAME, VERSION) == 1
    assert not quick.registry.again, "the record was sent twice"
    assert mount.read(path) == CONTENT
    assert not list_under_way(publisher)


@pytest.mark.parametrize("name, mutations, errno, sent", lies.SLOW, ids=[row[0] for row in lies.SLOW])
def test_slow(publisher, new_mount, quick, liar, name, mutations, errno, sent):
    """Who takes too long on a mount, or for ever: each copy ends with the reason; the next one publishes, or the
    next mount goes on."""
    mount = new_mount(liar.url, "rw", "timeout=2", home=publisher).expect("^wargfs: ")
    os.mkdir(mount.at("test/lied"))
    path = mount.at(f"test/lied/{VERSION}.wasm")
    for call, mutation in mutations.items():
        liar.lie(call, mutation)
    with urllib.request.urlopen(liar.url.rstrip("/") + "/v1/fetch/checkpoint") as answer:
        answer.read() # what is frozen is from before
    assert errno_of(copy, path) == errno, mount.log
    assert errno is None or mount.last_error("test/lied") in mount.log
    assert quick.registry.releases(NAME, VERSION) == sent
    liar.be_honest()
    with contextlib.suppress(FileExistsError): # it is there, once it is looked at again
        copy(path)
    assert quick.registry.releases(NAME, VERSION) == 1
    assert not quick.registry.again, "the record was sent twice"
    assert mount.read(path) == CONTENT
    mount.end()
    mount = new_mount(liar.url, "rw", home=publisher)
    until(lambda: not list_under_way(publisher), "nothing is under way")
    assert mount.read(f"test/lied/{VERSION}.wasm") == CONTENT and quick.registry.releases(NAME, VERSION) == 1


def test_interrupted(publisher, new_mount, quick, liar):
    """Who waits for a slow registry can be interrupted at once, and holds up nobody; it is published all the same."""
    mount = new_mount(liar.url, "rw", "timeout=600", home=publisher).expect("^wargfs: ")
    os.mkdir(mount.at("test/lied"))
    path = mount.at(f"test/lied/{VERSION}.wasm")
    liar.forget()
    liar.lie("checkpoint", silent)
    program = publisher.start("cp", "content.wasm", path)

    def is_waiting():
        names = [call.name for call in liar.calls]
        return "upload" in names and "checkpoint" in names[names.index("upload"):]
    until(is_waiting, "the registry is asked for a checkpoint with the record")
    assert mount.list("test") == ["lied"]
    write_staged = mount.at("test/lied/notes")
    with open(write_staged, "wb") as file:
        file.write(b"meanwhile")
    assert mount.read(write_staged) == b"meanwhile"
    os.unlink(write_staged)
    program.send_signal(signal.SIGINT)
    assert program.wait(30) == -signal.SIGINT
    liar.be_honest()
    until(lambda: errno_of(mount.read, path) is None, lambda: mount.log)
    assert mount.read(path) == CONTENT
    until(lambda: not list_under_way(publisher), "nothing is under way")
    assert quick.registry.releases(NAME, VERSION) == 1 and not quick.registry.again
