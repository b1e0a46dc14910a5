# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""What may stand behind -o beside our own words; and what a mount in the foreground says of itself."""
import json
import os
import re
import subprocess

import pytest

import programs
from mounts import LET_GO_OF_OTHERS, errno_of, mounted_at, read
from registry import CONTENTS
from test_keys import at_terminal  # noqa: F401  (a fixture)
from waiting import until

TINY = CONTENTS["test:tiny", "1.0.0"]
NOBODY = "65534"


def as_nobody(*command):
    """A command's exit status and output, run by a user that is neither root nor the mounting one."""
    return subprocess.run(["setpriv", "--reuid", NOBODY, "--regid", NOBODY, "--clear-groups", "--", *command],
                          capture_output=True, stdin=subprocess.DEVNULL)


def test_words_of_fstab(new_mount, server):
    """What an option field of fstab(5) has besides is taken; a source of another name is shown."""
    mount = new_mount(server.url, "defaults,noauto,nofail,_netdev,user,x-gvfs-show,X-mount.mkdir,comment=mine,relatime",
                      "fsname=registry of mine")
    assert mount.read("test/tiny/1.0.0.wasm") == TINY
    assert mounted_at(mount.path).split(" - ")[1].split(" ")[:2] == ["fuse.wargfs", r"registry\040of\040mine"]
    done = mount.home.wargfs("mount", "-o", "remount", mount.path, status=2)
    assert "registry of mine" in done.stderr and "URL" in done.stderr
    assert mount.read("test/tiny/1.0.0.wasm") == TINY


@pytest.mark.skipif(os.getuid() != 0, reason="for two other users it takes root")
def test_allow_root(new_mount, server, everything):
    """Root and the owner see it, nobody else, whatever the kernel has in its cache."""
    os.chmod(everything, 0o755)
    mount = new_mount(server.url, "allow_root,umask=0,uid=1234,gid=" + NOBODY)
    os.chmod(os.path.dirname(mount.path), 0o755)
    file = mount.at("test/tiny/1.0.0.wasm")
    assert read(file) == TINY
    assert b"Permission denied" in as_nobody("cat", file).stderr
    assert b"Permission denied" in as_nobody("ls", mount.path).stderr
    own = subprocess.run(["setpriv", "--reuid", "1234", "--regid", "1234", "--clear-groups", "cat", file],
                         capture_output=True, stdin=subprocess.DEVNULL)
    assert own.stdout == TINY
    mount = new_mount(server.url, "allow_other")
    assert as_nobody("cat", mount.at("test/tiny/1.0.0.wasm")).stdout == TINY


KILLED = "mount --make-rprivate /\n" + LET_GO_OF_OTHERS + r"""
"$WARGFS" mount -f -o auto_unmount "$URL" place & daemon=$!
until [ -e place/test ]; do kill -0 $daemon; sleep 0.05; done
cat place/test/tiny/1.0.0.wasm
kill -9 $daemon
wait $daemon || true
for turn in $(seq 1000); do
    findmnt -n place >&2 || exit 0
    sleep 0.05
done
exit 1
"""


def test_auto_unmount(home, server, new_mount):
    """A daemon that is killed leaves no mount; one that is unmounted ends as ever.

    fusermount3 tries it once, and not where the mount is in use. So it is killed where no other test sees its mount.
    """
    os.mkdir(os.path.join(home.work, "place"))
    done = subprocess.run(["unshare", "--mount", "bash", "-euc", KILLED], cwd=home.work, capture_output=True,
                          env={**home.environment, "WARGFS": programs.WARGFS, "URL": server.url}, timeout=120)
    assert done.returncode == 0 and done.stdout == TINY, done.stderr
    mount = new_mount(server.url, "auto_unmount")
    assert mount.read("test/tiny/1.0.0.wasm") == TINY
    mount.end()


def test_debug(new_mount, server):
    """Each request is printed, and it stays in the foreground by itself."""
    mount = new_mount(server.url, "debug").expect(".")
    mount.read("test/tiny/1.0.0.wasm")
    mount.wait_for_log("LOOKUP")
    assert mount.process.poll() is None


def test_remount(home, server, folder):
    """It mounts the same registry with other options, and never half: what is in use stays."""
    path = os.path.join(folder, "place")
    os.mkdir(path)
    file = os.path.join(path, "test/tiny/1.0.0.wasm")
    daemons = []

    def mount(*words):
        daemons.append(json.loads(home.wargfs("mount", "--json", *words).stdout)["pid"])

    assert "nothing to remount" in home.wargfs("mount", "-o", "remount", path, status=2).stderr
    mount(server.url, path)
    try:
        assert home.wargfs("mount", server.url, path, status=1).stderr
        assert errno_of(os.mkdir, os.path.join(path, "test/remounted")) == "EROFS"
        with open(file, "rb") as opened:
            assert "is in use" in home.wargfs("mount", "-o", "remount,rw", path, status=1).stderr
            assert opened.read() == TINY
        mount("-o", "remount,rw,umask=077", path)
        line = mounted_at(path)
        assert line.split(" - ")[1].split(" ")[1] == server.url and " rw," in line
        assert os.stat(file).st_mode & 0o077 == 0 and read(file) == TINY
        os.mkdir(os.path.join(path, "test/remounted"))
        mount("-o", "remount", server.url, path)
        assert errno_of(os.mkdir, os.path.join(path, "test/third")) == "EROFS"
        with open("/proc/self/mountinfo") as mounts:
            assert mounts.read().count(f" {path} ") == 1
    finally:
        home.run("fusermount3", "-u", path)
    until(lambda: not any(os.path.exists(f"/proc/{pid}/exe") for pid in daemons), "the daemons have ended")
    assert not mounted_at(path)


def test_says_that_it_stands(new_mount, server):
    """Once, in the foreground; not to a service manager, and not with --json."""
    mount = new_mount(server.url)
    mount.wait_for_log(rf"^wargfs mount: {mount.path} is mounted; 'wargfs umount {mount.path}' ends it$")
    for words, variables in (("--json",), {}), ((), {"NOTIFY_SOCKET": "@nobody"}):
        home = programs.Home(mount.path + "-" + str(len(words)))
        home.environment.update(variables)
        quiet = new_mount(server.url, home=home, words=words).expect(r"^[{}]| *\"")
        quiet.status()
        assert "is mounted" not in quiet.log


def test_says_how_to_end(home, server, folder, at_terminal):  # noqa: F811
    """At a terminal ^C ends both, as they say."""
    path = os.path.join(folder, "place")
    os.mkdir(path)
    serve = "serve", "--data", os.path.join(folder, "data"), "--listen", "127.0.0.1:0"
    mount = "mount", "-f", server.url, path
    shown = r"'wargfs mount http://127\.0\.0\.1:\d+/ MOUNTPOINT' shows it"
    for words, says in ((mount, rf"{path} is mounted; Ctrl-C or 'wargfs umount {path}' ends it"),
                        (serve, rf"it serves now; {shown}; Ctrl-C ends it")):
        terminal = at_terminal(home, programs.WARGFS, *words)
        terminal.read_until(says)
        terminal.process.send_signal(2)
        assert re.search(says, terminal.end())
    assert not mounted_at(path)
