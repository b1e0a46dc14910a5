# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""A server's folders: private, reached through links, and refused if they hold other files."""
import os
import stat
import subprocess

import pytest

import programs
from publisher import Client, Record, init, release
from registry import wasm

CONTENT = wasm(700, 91)


@pytest.fixture
def serve(home):
    """Starts our own servers: serve(data=, contents=). Each has to end cleanly."""
    started = []

    def make(*more, **options):
        started.append(programs.OwnServer(home, *more, **options))
        return started[-1]

    yield make
    for server in started:
        server.terminate()


def publish(server, name, content=CONTENT):
    client = Client(server)
    client.publish(Record(name, init(), release("1.0.0", content)), content)
    client.close()


def mode_of(path):
    return stat.S_IMODE(os.stat(path).st_mode)


@pytest.mark.parametrize("missing", ["data", "parent/data", "a/b/data/"])
def test_made_for_nobody_else(home, folder, missing):
    """Missing parts of the path are made private, with any umask."""
    data = os.path.join(folder, missing)
    process = home.start("sh", "-c", 'umask 022; exec "$0" "$@"', programs.WARGFS, "serve", "--data", data, "--listen",
                         "127.0.0.1:0", stdout=subprocess.PIPE, text=True)
    process.stdout.readline()
    process.terminate()
    process.communicate(timeout=30)
    assert process.returncode == 0
    assert (mode_of(data), mode_of(os.path.join(data, "contents"))) == (0o700, 0o700)
    assert mode_of(os.path.join(data, "operator.key")) == 0o600


def test_behind_links(serve, home, folder):
    """The path may have symbolic links, as it is resolved once; links in place of our files are refused."""
    os.makedirs(os.path.join(folder, "real/contents"))
    os.symlink("real", os.path.join(folder, "link"))
    data, contents = (os.path.join(folder, "link", name) for name in ("data", "contents"))
    server = serve(data=data, contents=contents)
    publish(server, "test:one")
    assert "all is well" in home.wargfs("serve", "fsck", "--data", data, "--content-dir", contents).stdout
    # An open folder is not affected by a changed link.
    os.unlink(os.path.join(folder, "link"))
    publish(server, "test:two")
    assert os.listdir(folder).count("link") == 0
    server.terminate()
    os.symlink("real", os.path.join(folder, "link"))
    server.start()
    os.rename(os.path.join(folder, "real/data/registry.db"), os.path.join(folder, "registry.db"))
    os.symlink(os.path.join(folder, "registry.db"), os.path.join(folder, "real/data/registry.db"))
    assert home.wargfs("serve", "fsck", "--data", data, "--content-dir", contents, status=1).stderr


def test_contents_are_not_ours(home, folder):
    """A folder with other files is refused, and not touched."""
    stuff = os.path.join(folder, "stuff")
    os.makedirs(os.path.join(stuff, "tmp"))
    with open(os.path.join(stuff, "tmp/thesis.txt"), "w") as file:
        file.write("years of work")
    words = ("serve", "--data", os.path.join(folder, "data"), "--listen", "127.0.0.1:0")
    for more in (("--content-dir", stuff), ()):
        environment = dict(home.environment, WARG_CONTENT_DIR=stuff)
        done = subprocess.run([programs.WARGFS, *words, *more], env=environment, timeout=30, text=True,
                              capture_output=True, stdin=subprocess.DEVNULL)
        assert done.returncode != 0 and "has other things in it than contents" in done.stderr
        with open(os.path.join(stuff, "tmp/thesis.txt")) as file:
            assert file.read() == "years of work"
        assert os.listdir(stuff) == ["tmp"]
