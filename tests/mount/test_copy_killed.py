# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""kill -9 of a mount's daemon before each call that changes a file or sends something, while somebody copies into it:
the next mount takes its place, and there the release is, or can be copied again; it is in the log exactly once.
"""
import os
import re
import shutil
import signal
import subprocess

import programs
import registry
from killing import expect_most, killed_at, places, traced
from mounts import Mount, errno_of, mounted_at, read, unmount_by_force
from test_publish_killed import CALLS, left_behind
from waiting import until

KILLS = 24
ROUNDS = 4
CONTENT = registry.wasm(200000, 1)
NAME = "test:copied"


class Copying:
    """A home with a mountpoint, and a file to be copied there."""

    def __init__(self, quick, path):
        quick.forget()
        self.url = quick.url
        self.home = programs.Home(path).configure(quick.url)
        self.path = os.path.join(path, "mnt")
        self.target = os.path.join(self.path, "test/copied/1.0.0.wasm")
        with open(os.path.join(self.home.work, "content.wasm"), "wb") as file:
            file.write(CONTENT)
        os.mkdir(self.path)

    def copy(self):
        """Into a package that may be new. What the first program says that fails, or cp."""
        made = self.home.run("mkdir", "-p", os.path.dirname(self.target), status=None)
        return made if made.returncode else self.home.run("cp", "content.wasm", self.target, status=None)

    def copy_under(self, words):
        """Copy with the daemon under strace. @return whether it was killed"""
        with open(os.path.join(self.home.path, "strace.log"), "wb") as log:
            daemon = self.home.start(*words, programs.WARGFS, "mount", "-f", "-o", "rw", self.url, self.path,
                                     stdout=log, stderr=log)
        try:
            until(lambda: mounted_at(self.path) or daemon.poll() is not None, "the mount stands, or was killed")
            if daemon.poll() is None:
                done = self.copy()
                assert done.returncode == 0 or daemon.wait(60) == -signal.SIGKILL, done
            if daemon.poll() is None:
                subprocess.run(["fusermount3", "-u", self.path], stdin=subprocess.DEVNULL, check=False)
            return daemon.wait(60) == -signal.SIGKILL
        finally:
            if daemon.poll() is None:
                daemon.kill()
                daemon.wait()

    def finish(self):
        """As a person does it again. Where the next mount was faster, it is there already."""
        mount = Mount(self.home, self.url, self.path, ("rw",)).expect("")
        try:
            # What was left is mounted, too.
            until(lambda: errno_of(os.statvfs, self.path) is None, lambda: f"a mount that lives: {mount.log}")
            mount.wait()
            done = self.copy()
            assert done.returncode == 0 or re.search("File exists$", done.stderr), f"{done}\n{mount.log}"
            until(lambda: os.path.exists(self.target), "the release is shown")
            assert read(self.target) == CONTENT
            # The mount goes on with what was left while others use it.
            until(lambda: not any("/journal/" in path for path in left_behind(self.home)), mount.log)
            mount.end()
        finally:
            mount.abandon()


def test_copy_killed(quick, folder):
    trace = os.path.join(folder, "trace")
    whole = Copying(quick, os.path.join(folder, "whole"))
    assert not whole.copy_under(traced(CALLS, trace)), "nobody was to be killed"
    killed = []
    for place in places(trace, KILLS):
        copying = Copying(quick, os.path.join(folder, "killed-%s-%d" % place))
        try:
            killed.append(copying.copy_under(killed_at(place)))
            copying.finish()
        finally:
            unmount_by_force(copying.path)
        assert not quick.registry.again, f"{place}: a record was sent twice"
        assert quick.registry.releases(NAME, "1.0.0") == 1, f"{place}"
        assert not left_behind(copying.home), f"{place}"
        shutil.rmtree(copying.home.path)
    expect_most(killed)


# Each thread renames its files to releases of one package until the mount is dead.
WRITERS = """
import os, sys, threading
def write(number):
    for patch in range(10000):
        draft = f"{sys.argv[2]}/.draft{number}"
        with open(sys.argv[1], "rb") as source, open(draft, "wb") as file:
            file.write(source.read())
        os.rename(draft, f"{sys.argv[2]}/1.{number}.{patch}.wasm")
for number in range(6):
    threading.Thread(target=write, args=(number,)).start()
"""


def test_writers_killed(quick, folder):
    """Programs that have files published side by side end when the daemon is killed: the kernel holds the folder's lock
    for one of them, and the daemon must not wait for that lock, too."""
    for number in range(ROUNDS):
        copying = Copying(quick, os.path.join(folder, f"writers{number}"))
        mount = Mount(copying.home, copying.url, copying.path, ("rw",)).wait()
        writers = None
        try:
            os.mkdir(os.path.dirname(copying.target))
            writers = copying.home.start("python3", "-c", WRITERS, "content.wasm", os.path.dirname(copying.target),
                                         stderr=subprocess.DEVNULL)
            until(lambda: len(quick.registry.published) > 10 + number, "something is published")
            mount.process.kill()
            until(lambda: writers.poll() is not None, "the programs end")
            mount.process.wait()
        finally:
            if writers and writers.poll() is None:
                subprocess.run(["umount", "-f", copying.path], check=False)  # ends what waits for the mount
                writers.wait()
            mount.abandon()
            mount.over = True
        copying.finish()
