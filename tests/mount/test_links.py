# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Links: requirements as names, and /.latest."""
import os
import stat
import subprocess

import pytest

from mounts import errno_of
from registry import CONTENTS, PACKAGES

TARGETS = {
    "*": "1.1.0+build.7", "x": "1.1.0+build.7", "1": "1.1.0+build.7", "^1": "1.1.0+build.7", "1.*": "1.1.0+build.7",
    "^1.0": "1.1.0+build.7", ">=0.9, <2": "1.1.0+build.7", "~1.0": "1.0.0", "=1.0.0": "1.0.0", "<1.1": "1.0.0",
    "^0.9": "0.9.0", "~0.9": "0.9.0", "<1": "0.9.0", "0.9": "0.9.0",
}


@pytest.mark.parametrize("requirement", TARGETS)
def test_requirement(shared, requirement):
    link = shared.at("test/hello", f"{requirement}.wasm")
    assert os.readlink(link) == f"{TARGETS[requirement]}.wasm"
    told = os.lstat(link)
    assert stat.S_ISLNK(told.st_mode) and told.st_mode & 0o777 == 0o777
    assert told.st_size == len(os.readlink(link))
    assert told.st_mtime == os.stat(link).st_mtime
    with open(link, "rb") as file:
        assert file.read() == CONTENTS["test:hello", TARGETS[requirement]]


@pytest.mark.parametrize("requirement", ("^2", ">1.1.0", "~0.8", "1.2", "=1.0.1", "=1.0.0, >1.0.0"))
def test_nothing_satisfies(shared, requirement):
    assert errno_of(os.lstat, shared.at("test/hello", f"{requirement}.wasm")) == "ENOENT"


def test_yanked_satisfies_nothing(shared):
    assert os.readlink(shared.at("test/regret/*.wasm")) == "1.0.0.wasm"
    assert errno_of(os.lstat, shared.at("test/regret/=1.1.0.wasm")) == "ENOENT"


def test_requirements_are_not_listed(shared):
    before = shared.list("test/hello")
    os.stat(shared.at("test/hello/^1.0.wasm"))
    assert shared.list("test/hello") == before


def test_latest(shared):
    names = [name.partition(":")[2] for name in PACKAGES]
    # One without releases is there until its log is known.
    assert set(shared.list(".latest/test")) | {"bare.wasm"} == {f"{name}.wasm" for name in names}
    assert errno_of(os.stat, shared.at(".latest/test/bare.wasm")) == "ENOENT"
    shared.list("test/bare")
    assert shared.list(".latest/test") == sorted(f"{name}.wasm" for name in names if name != "bare")
    link = shared.at(".latest/test/hello.wasm")
    assert os.readlink(link) == "../../test/hello/latest.wasm"
    assert os.lstat(link).st_size == len(os.readlink(link))
    with open(link, "rb") as file:
        assert file.read() == CONTENTS["test:hello", "1.1.0+build.7"]


def test_latest_lists_like_the_root(shared):
    assert shared.list(".latest") == shared.list()


def test_shell(shared):
    """Names that a shell would take for something else."""
    done = subprocess.run("cmp '>=1, <2.wasm' latest.wasm && cmp '*.wasm' latest.wasm && ls *.wasm",
                          shell=True, cwd=shared.at("test/hello"), check=True, capture_output=True, text=True)
    assert done.stdout.split() == shared.list("test/hello")


def test_numbers(shared):
    """Each link has a number of its own, the same as long as the place is."""
    links = [shared.at("test/hello", f"{name}.wasm") for name in (*TARGETS, "latest")]
    links += [shared.at(".latest/test", name) for name in shared.list(".latest/test")]
    numbers = [os.lstat(link).st_ino for link in links]
    assert len(set(numbers)) == len(numbers)
    assert numbers == [os.lstat(link).st_ino for link in links]
