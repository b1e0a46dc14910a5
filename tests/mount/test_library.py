# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""The library without the program: the examples of tests/examples, against a registry, as a reader would run them."""
import hashlib
import os
import re

import pytest

import programs
from liar import raw
from registry import CONTENTS

ROOT = os.path.join(programs.HERE, "../..")
EXAMPLES = os.path.join(ROOT, "tests/examples")
LIBRARY = os.path.join(os.path.dirname(os.path.abspath(programs.WARGFS)), "libwarg.so.0")
HEADER = os.path.join(ROOT, "client/warg.h")


@pytest.fixture
def user(home, liar):
    """A home whose home registry is behind the liar, and whose programs find the library."""
    home.environment["LD_LIBRARY_PATH"] = os.path.dirname(LIBRARY)
    return home.configure(liar.url)


def build(user, source):
    program = os.path.join(user.work, "program")
    user.run("gcc", "-std=c11", "-Wall", "-Wextra", "-pedantic", "-Werror", "-I", os.path.dirname(HEADER), source,
             LIBRARY, "-o", program)
    return program


@pytest.fixture
def fetch(user):
    """The example in C, built."""
    return build(user, os.path.join(EXAMPLES, "fetch.c"))


def run_list(user, *words, **options):
    return user.run("/usr/bin/python3", os.path.join(EXAMPLES, "list.py"), *words, **options)


def test_in_c(user, fetch):
    done = user.run(fetch, "test:regret", text=False)
    assert done.stdout == CONTENTS["test:regret", "1.0.0"]
    assert done.stderr == b"1.0.0\n1.1.0 (yanked)\n"
    done = user.run(fetch, "test:none", status=1)
    assert done.stdout == "" and "test:none" in done.stderr and done.stderr.count("\n") == 1


def test_in_c_of_a_lie(user, fetch, liar):
    """Of a content that is not the one that was released, not one byte comes out."""
    liar.lie("bytes", raw(lambda content: content[:-1] + bytes([content[-1] ^ 1])))
    done = user.run(fetch, "test:regret", status=1)
    assert done.stdout == "" and "the content source's answer is not valid" in done.stderr


def test_of_readme(user):
    """What README.md and libwarg(3) show, word for word: the page has the same functions in the same order."""
    with open(os.path.join(ROOT, "README.md"), encoding="utf-8") as file:
        text = re.search(r"^```c\n(.*?)^```$", file.read(), re.M | re.S)[1]
    source = os.path.join(user.work, "hello.c")
    with open(source, "w", encoding="utf-8") as file:
        file.write(text)
    done = user.run(build(user, source), text=False)
    assert done.stdout == CONTENTS["test:hello", "1.1.0+build.7"] and done.stderr == b""
    with open(os.path.join(ROOT, "man/libwarg.3"), encoding="utf-8") as file:
        shown = re.search(r"^\.Bd -literal\n(.*?)^\.Ed$", file.read(), re.M | re.S)[1]
    calls = re.compile(r"warg_\w+\(.*?[,)]")
    assert [call.split("(")[0] for call in calls.findall(shown)] == [
        call.split("(")[0] for call in calls.findall(text.replace(" */", "").replace("warg) ", ""))]


def test_in_python(user):
    done = run_list(user, "test")
    lines = done.stdout.splitlines()
    assert "test:bare has no release" in done.stderr
    digest = hashlib.sha256(CONTENTS["test:regret", "1.0.0"]).hexdigest()
    assert f"test:regret 1.0.0 sha256:{digest}" in lines
    done = run_list(user, "Test", status=1)
    assert done.stdout == "" and done.stderr.startswith("list.py: ")
