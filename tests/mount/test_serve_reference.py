# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""The reference's client, unchanged, through each command that it has: against its own server, and against ours.

Both have to end alike, and to say the same but for what no two registries have alike.
"""
import concurrent.futures
import os
import pty
import re

import forge
import programs
from registry import wasm

COMPONENT = b"\0asm\x0d\0\x01\0"  # the empty one
OTHER = forge.STRANGER


# A key is made anew by each; and why a record is rejected is said in the server's own words.
OWN_WORDS = ("key new", "key info", "publish release --name test:hello --version 0.1.0 other.wasm")


class Person:
    """Somebody with a home of their own, who uses the one server."""

    def __init__(self, everything, kind, name):
        self.server = kind(programs.Home(os.path.join(everything, f"{name}-server")))
        self.home = programs.Home(os.path.join(everything, f"{name}-person"))
        self.said = []
        for file, content in (("hello.wasm", wasm(2000, 71)), ("other.wasm", wasm(3000, 72)),
                              ("component.wasm", COMPONENT), ("text.wasm", b"no Wasm at all")):
            with open(os.path.join(self.home.work, file), "wb") as out:
                out.write(content)

    def normal(self, text):
        """Without what differs from registry to registry, and from run to run."""
        text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]|\r", "", text)
        text = text.replace(self.home.path, "HOME").replace(self.server.url.rstrip("/"), "URL")
        text = text.replace("127.0.0.1-%d" % self.server.address[1], "LABEL")
        text = text.replace("127.0.0.1:%d" % self.server.address[1], "ADDRESS")
        return re.sub(r"record `sha256:[0-9a-f]{64}`|sha256:[0-9a-f]{64}(?= )", "RECORD", text)

    def run(self, *words, typed=None):
        """Run a command, at a terminal if something is typed."""
        if typed is None:
            done = self.home.warg(*words, status=None)
            said = done.stdout, done.stderr
        else:
            ours, its = pty.openpty()
            try:
                os.write(ours, typed)
                done = self.home.warg(*words, status=None, stdin=its)
                said = done.stdout, done.stderr
            finally:
                os.close(its)
                os.close(ours)
        self.said.append((self.normal(" ".join(words)), done.returncode, *map(self.normal, said)))


def use(person):
    run, url = person.run, person.server.url
    run("config", "--registry", url, "--keyring-backend", "flat-file", "--overwrite")
    run("key", "new")
    run("key", "info")
    person.home.configure(url)
    run("key", "info")
    run("publish", "init", "test:hello")
    run("publish", "init", "test:hello")
    run("publish", "release", "--name", "test:hello", "--version", "0.1.0", "hello.wasm")
    run("publish", "release", "--name", "test:hello", "--version", "0.1.0", "other.wasm")
    run("publish", "release", "--name", "nowhere:hello", "--version", "0.1.0", "hello.wasm")
    run("publish", "grant", "--name", "test:hello", OTHER.public)
    run("publish", "revoke", "--name", "test:hello", "--permission", "yank", OTHER.id)
    run("publish", "start", "test:together")
    run("publish", "init", "test:together")
    run("publish", "release", "--name", "test:together", "--version", "1.0.0", "component.wasm")
    run("publish", "release", "--name", "test:together", "--version", "1.1.0", "hello.wasm")
    run("publish", "list")
    run("publish", "submit")
    run("publish", "start", "test:not")
    run("publish", "init", "test:not")
    run("publish", "abort")
    run("publish", "list")
    run("publish", "yank", "--name", "test:hello", "--version", "0.1.0", typed=b"y\n")
    run("publish", "wait", "test:hello", forge.digest(b"no record"))
    run("update")
    run("info")
    run("info", "test:together")
    run("info", "--namespaces")
    run("download", "test:together", "--version", "1.1.0", "--output", "out.wasm")
    run("download", "test:hello", "--version", "0.1.0", "--output", "out.wasm")
    run("download", "test:nothing", "--output", "out.wasm")
    run("dependencies", "test:together")
    run("lock", "test:together")
    run("bundle", "test:together")
    run("clear", typed=b"y\n")
    run("download", "test:together", "--version", "1.0.0", "--output", "again.wasm")
    run("publish", "release", "--name", "test:hello", "--version", "0.2.0", "--no-wait", "other.wasm")
    run("login", "--registry", url, typed=b"a-token\n")
    run("update")
    run("logout", "--registry", url)
    run("reset", typed=b"y\n")
    run("info")
    run("key", "delete", typed=b"y\n")


def test_every_command(everything):
    people = []
    try:
        for kind, name in (programs.Server, "commands-reference"), (programs.OwnServer, "commands-own"):
            people.append(Person(everything, kind, name))
        for person in people:
            person.server.wait_for_length(1)
        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            list(pool.map(use, people))
    finally:
        for person in people:
            person.server.end()
    theirs, ours = (person.said for person in people)
    assert len(theirs) == len(ours)
    for one, other in zip(theirs, ours):
        assert other[:2] == one[:2]
        assert other == one or one[0].startswith(OWN_WORDS)
    assert sum(status == 0 for _, status, *_ in ours) >= 28
