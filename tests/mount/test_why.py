# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""The reason of a failed read is always readable, at the file and in the folders above."""
import contextlib
import os
import subprocess

from liar import silent
from mounts import errno_of
from registry import CONTENTS


def getfattr(mount, path):
    """Read the attribute with getfattr, as a user does."""
    done = subprocess.run(["getfattr", "--only-values", "-n", "user.warg.last_error", mount.at(path)],
                          capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_why(new_mount, liar):
    """The reason is readable at the file, its folders and the root, without any request to the registry."""
    mount = new_mount(liar.url, "refresh=0,timeout=20").expect("^wargfs: ")
    file = "test/hello/0.9.0.wasm"
    places = (file, "test/hello", "test", "")
    mount.list("test/hello")
    assert [getfattr(mount, place) for place in places] == [""] * 4
    # Another file each time: the size of the first one is known by now.
    liar.close()
    assert errno_of(mount.read, "test/hello/1.0.0.wasm") == "EHOSTUNREACH"
    why = getfattr(mount, "test/hello/1.0.0.wasm")
    assert "127.0.0.1" in why and [getfattr(mount, place) for place in places[1:]] == [why] * 3
    assert mount.list("test/hello") and getfattr(mount, "test/hello") == why
    # The reason of a failed lookup is at its folder.
    assert errno_of(mount.list, "test/steps") == "EHOSTUNREACH"
    assert "test:steps" in getfattr(mount, "test") and "test:steps" in getfattr(mount, "")
    liar.open()
    liar.lie("sources", silent)
    liar.lie("bytes", silent)
    calls = len(liar.calls)
    for place in places:
        for name in ("digest", "state", "checkpoint", "age", "registry", "last_error"):
            with contextlib.suppress(OSError):
                os.getxattr(mount.at(place), "user.warg." + name)
    assert len(liar.calls) == calls
    liar.be_honest()
    assert mount.read("test/hello/1.0.0.wasm") == CONTENTS["test:hello", "1.0.0"]
    assert getfattr(mount, "test/hello/1.0.0.wasm") == getfattr(mount, "test/hello") == ""
