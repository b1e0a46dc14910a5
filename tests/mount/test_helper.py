# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""mount(8) and /etc/fstab, which call mount.wargfs.

mount(8) looks for its helpers in /sbin alone, reads /etc/fstab, and takes HOME out of the environment, so that they
find the home of the user database: each call is made in a mount namespace of its own, in which the first is overlaid
and the others are empty. Nothing of it is seen outside, nor left behind.
"""
import os
import pwd
import re
import subprocess

import pytest

import programs
from liar import closed
from mounts import LET_GO_OF_OTHERS, mounted_at, read, unmount_by_force
from registry import CONTENTS
from waiting import until

TINY = CONTENTS["test:tiny", "1.0.0"]
SPARED = os.path.join(programs.HERE, "../run/tsan")  # of the thread sanitizer's reports

SET_UP = "mount --make-rprivate /\n" + LET_GO_OF_OTHERS + r"""
set -eu
mount -t tmpfs none "$PLACE/over"
mkdir "$PLACE/over/up" "$PLACE/over/work"
cp "$WARGFS" "$PLACE/over/wargfs"
sbin=$(realpath /sbin)
mount -t overlay none -o "lowerdir=$sbin,upperdir=$PLACE/over/up,workdir=$PLACE/over/work" "$sbin"
ln -s "$PLACE/over/wargfs" "$sbin/mount.wargfs"
cp "$SPARED" "$sbin/spared.tsan"
touch "$PLACE/fstab"
mount --bind "$PLACE/fstab" /etc/fstab
mount -t tmpfs none "$USERS_HOME"
"""

# The checkout may be in the home that is covered.
SPARE = 'export TSAN_OPTIONS="${TSAN_OPTIONS:-}:suppressions=$(realpath /sbin)/spared.tsan"\n'


class Namespace:
    """A mount namespace with the helper in /sbin, held by a shell in it. `run` runs a script there, as root."""

    def __init__(self, home, folder):
        self.home = home
        self.folder = folder
        self.point = os.path.join(folder, "point")
        for name in "over", "point":
            os.mkdir(os.path.join(folder, name))
        self.users_home = pwd.getpwuid(os.getuid()).pw_dir
        home.environment.update(PLACE=folder, POINT=self.point, USERS_HOME=self.users_home, WARGFS=programs.WARGFS,
                                SPARED=SPARED)
        self.holder = home.start("unshare", "--mount", "sh", "-c", SET_UP + "echo there\nexec cat\n",
                                 stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert self.holder.stdout.readline() == b"there\n"

    def run(self, script, **options):
        place = f"/proc/{self.holder.pid}"  # whose root is not that of the namespace where all this runs in a chroot
        return self.home.run("nsenter", f"--mount={place}/ns/mnt", f"--root={place}/root", f"--wd={place}/root",
                             "sh", "-euc", SPARE + script, **options)

    def write_fstab(self, line):
        with open(os.path.join(self.folder, "fstab"), "w") as file:
            file.write(line + "\n")

    def mounts(self):
        """The lines of mountinfo that are about the mountpoint: what is before and behind the dash."""
        with open(f"/proc/{self.holder.pid}/mountinfo", errors="surrogateescape") as file:
            return [line.rstrip("\n").split(" - ") for line in file if line.split(" ")[4] == self.point]

    def end(self):
        while self.mounts():
            self.run('umount "$POINT"')
        # The daemon ends by itself; with the shell the namespace goes.
        self.holder.stdin.close()
        self.holder.wait()
        self.holder.stdout.close()


@pytest.fixture
def namespace(home, folder):
    namespace = Namespace(home, folder)
    try:
        yield namespace
    finally:
        namespace.end()
        until(lambda: not children_of_nobody(namespace.point), "the daemons have ended")


def children_of_nobody(point):
    """The daemons that have the mountpoint among their arguments. One that has ended has none, reaped or not."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            words = read(f"/proc/{pid}/cmdline").decode(errors="replace").split("\0")
        except OSError:
            continue
        if point in words and any("wargfs" in word for word in words[:1]):
            found.append(pid)
    return found


def test_by_hand(namespace, liar):
    """Without a word about writing it is read-only, which is said and no failure."""
    typed = liar.url.rstrip("/")
    done = namespace.run(f'mount -t wargfs {typed} "$POINT"; cat "$POINT/test/tiny/1.0.0.wasm"', text=False)
    assert done.stdout == TINY
    assert done.stderr.decode() == f"mount.wargfs: {namespace.point}: mounted read-only\n"
    (before, behind), = namespace.mounts()
    assert before.split(" ")[5].split(",")[0] == "ro" and behind.split(" ")[:2] == ["fuse.wargfs", typed]
    assert not mounted_at(namespace.point)
    assert namespace.run(f"findmnt -no target --source {typed}").stdout == namespace.point + "\n"
    namespace.run(f"umount {typed}")
    assert not namespace.mounts()


@pytest.mark.parametrize("words", (
    "ro", "ro,_netdev,nofail,noauto,user", "ro,users,noexec,nosuid,nodev", "ro,x-systemd.automount,X-mount.mkdir",
    "ro,comment=of a person,defaults", "ro,relatime,nodiratime,lazytime", "ro,noatime,async,suid,dev,exec",
    "ro,uid=12,gid=34,umask=027,timeout=20,refresh=0,allow_other", f"ro,operator_key={programs.forge.OPERATOR.id}",
))
def test_words(namespace, liar, words):
    done = namespace.run(f'mount -t wargfs {liar.url} "$POINT" -o "{words}"; stat -c "%u %g %a" "$POINT/test"')
    assert done.stderr == ""
    assert done.stdout == ("12 34 750\n" if "uid=" in words else f"{os.getuid()} {os.getgid()} 755\n")


def test_wrong_words(namespace, liar):
    """The numbers of mount(8): 1 is misuse, 32 is not mounted."""
    for words, status in (("frobnicate", 1), ("timeout=never", 1), ("config=/nowhere.json", 32),
                          ("ro,operator_key=sha256:0", 1), (f"ro,operator_key={programs.forge.STRANGER.id}", 32)):
        done = namespace.run(f'mount -t wargfs {liar.url} "$POINT" -o "{words}"', status=status)
        assert "wargfs" in done.stderr and not namespace.mounts()
    liar.lie("checkpoint", closed)
    done = namespace.run(f'mount -t wargfs {liar.url} "$POINT" -o ro', status=32)
    assert done.stderr.startswith("wargfs mount: ")
    liar.be_honest()
    # -s passes over what is not known, wherever it stands.
    namespace.run(f'mount -s -t wargfs {liar.url} "$POINT" -o frobnicate,ro,uid=7')
    assert os.listdir(namespace.point) == [] and len(namespace.mounts()) == 1


def test_fstab(namespace, liar):
    """Mounted by its folder alone, and not again by who mounts all, however the URL was written."""
    namespace.write_fstab(f"{liar.url.rstrip('/')} {namespace.point} wargfs defaults,ro,nofail 0 0")
    namespace.run('mount "$POINT"; test -e "$POINT/test/tiny/1.0.0.wasm"; mount -a; mount -a -t wargfs')
    assert len(namespace.mounts()) == 1
    namespace.run('umount "$POINT"; mount -a; umount "$POINT"; umount "$POINT" 2>/dev/null && exit 1 || true')


def util_linux():
    """The version of mount(8), as numbers."""
    said = subprocess.run(["mount", "--version"], check=True, capture_output=True, text=True).stdout
    return tuple(map(int, re.search(r"util-linux (\d+)\.(\d+)", said).groups()))


@pytest.mark.skipif(util_linux() >= (2, 41), reason="this mount(8) holds what it has remounted: mount.wargfs(8)")
def test_remount(namespace, liar):
    """mount(8) has a mount changed with the line of fstab, or by hand."""
    namespace.write_fstab(f"{liar.url} {namespace.point} wargfs nofail,_netdev 0 0")
    namespace.run('mount "$POINT"; mount -o remount,writable "$POINT"; mkdir "$POINT/test/mine"')
    (before, behind), = namespace.mounts()
    assert before.split(" ")[5].split(",")[0] == "rw" and behind.split(" ")[1] == liar.url
    namespace.run(f'mount -t wargfs -o remount,ro {liar.url} "$POINT"; ! mkdir "$POINT/test/yours" 2>/dev/null')
    (before, behind), = namespace.mounts()
    assert before.split(" ")[5].split(",")[0] == "ro" and behind.split(" ")[1] == liar.url


def test_home(namespace, liar):
    """mount(8) takes HOME away: what is kept lies in the home that the user database names."""
    namespace.run(f'HOME=/nowhere mount -t wargfs {liar.url} "$POINT" -o ro; cat "$POINT/test/tiny/1.0.0.wasm"')
    look = 'cd "$USERS_HOME/.cache/warg"; ls content/sha256; ls registries; ls ../../.local/state/wargfs'
    content, *labels = namespace.run(look).stdout.split()
    assert content == os.path.basename(namespace.home.content_file(TINY))
    assert labels == [os.path.basename(namespace.home.registry_folder(liar.url))] * 2
    assert not os.path.exists(namespace.home.cache)


def test_places(namespace, liar):
    """It can lie elsewhere: the configuration says so, or the variables that mount(8) leaves alone."""
    config = os.path.join(namespace.folder, "config.json")
    with open(config, "w") as file:
        file.write('{"registriesDir": "registries", "contentDir": "content"}')
    other = os.path.join(namespace.folder, "other")
    namespace.write_fstab(f"{liar.url} {namespace.point} wargfs ro,config={config} 0 0")
    namespace.run(f'XDG_CACHE_HOME={other} XDG_STATE_HOME={other} mount "$POINT"; cat "$POINT/test/tiny/1.0.0.wasm"')
    for place in "content/sha256", "registries", "other/wargfs":
        assert os.listdir(os.path.join(namespace.folder, place))
    assert namespace.run('ls -A "$USERS_HOME"').stdout == ""


NOBODY = 65534

# Where nobody can go, with the program, a mountpoint and a home; and the device, which not every machine lets everybody
# open.
FOR_NOBODY = r"""
mount -t tmpfs none /mnt
cp "$PLACE/over/wargfs" /mnt/wargfs
ln -sfn /mnt/wargfs "$(realpath /sbin)/mount.wargfs"
mkdir /mnt/home /mnt/point
mkdir --mode=700 /mnt/run
chown {0}:{0} /mnt/home /mnt/point /mnt/run
mknod --mode=666 /mnt/fuse c 10 229
mount --bind /mnt/fuse /dev/fuse
cd /mnt
as() {{
	setpriv --reuid={0} --regid={0} --clear-groups \
		env XDG_CACHE_HOME=/mnt/home XDG_STATE_HOME=/mnt/home XDG_RUNTIME_DIR=/mnt/run "$@"
}}
"""


def test_fstab_of_a_user(namespace, liar):
    """With `user` in fstab anybody may mount it: the mount is theirs, and so is the cache."""
    namespace.write_fstab(f"{liar.url} /mnt/point wargfs ro,user,noauto 0 0")
    done = namespace.run(FOR_NOBODY.format(NOBODY) + """
        as mount /mnt/point
        as stat -c %u /mnt/point/test
        as cat /mnt/point/test/tiny/1.0.0.wasm | wc -c
        as find /mnt/home/warg/content/sha256 -type f | wc -l
        ls /mnt/point 2>/dev/null || echo not for root
        as umount /mnt/point
        ls /mnt/point
    """)
    assert done.stdout.split("\n")[:-1] == [str(NOBODY), str(len(TINY)), "1", "not for root"]
    assert not done.stderr
    until(lambda: not children_of_nobody("/mnt/point"), "the daemon has ended")


def test_helper_alone(home, server, folder):
    """What mount(8) may say to it, said directly."""
    helper = os.path.join(folder, "mount.wargfs")
    point = os.path.join(folder, "point")
    os.symlink(programs.WARGFS, helper)
    os.mkdir(point)
    done = home.run(helper, server.url, point, "-fv", "-o", "rw,uid=1,_netdev")
    assert "would be mounted" in done.stdout and not mounted_at(point)
    home.run(helper, server.url, point, "-f", "-o", "frobnicate", status=1)
    home.run(helper, server.url, point, "-f", "-o", "rw,yank", status=1)
    home.run(helper, server.url, point, "-f", "-o", "rw,writable,yank")
    home.run(helper, server.url, point, "-f", "-o", "ro,writable,yank", status=1)
    home.run(helper, server.url, point, "-f", "-s", "-o", "frobnicate")
    home.run(helper, server.url, point, "-f", "-o", "frobnicate", "-s")
    home.run(helper, server.url, status=1)
    home.run(helper, server.url, point, "more", status=1)
    home.run(helper, server.url, point, "-t", "ext4", status=1)
    home.run(helper, server.url, point, "-z", status=1)
    home.run(helper, "-h")
    assert home.run(helper, "-V").stdout.startswith("mount.wargfs ")
    try:
        done = home.run(helper, server.url, point, "-n", "-v", "-t", "wargfs", "-o", "rw")
        assert done.stdout == f"mount.wargfs: {server.url} mounted on {point}\n" and "read-only" in done.stderr
        assert read(os.path.join(point, "test/tiny/1.0.0.wasm")) == TINY
        assert children_of_nobody(point)
    finally:
        unmount_by_force(point)
    until(lambda: not children_of_nobody(point), "the daemon has ended")
