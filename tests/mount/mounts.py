# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""A mount in the foreground as a child, watched from its beginning to its end."""
import contextlib
import errno
import os
import re
import subprocess

import programs
from waiting import until

COMPLAINTS = re.compile(r"Sanitizer|runtime error|assert|warning|leaked|double free|corrupt|panic|Segmentation", re.I)

# For a shell in a mount namespace of its own: a copy of a mount of another test, which may run at the same time, would
# keep that one's daemon from ending.
LET_GO_OF_OTHERS = r"""
awk '/ - fuse\.wargfs /{print $5}' /proc/self/mountinfo | xargs -r -n 1 umount -l 2>/dev/null || true
"""


def mounted_at(path):
    """The line of /proc/self/mountinfo about what is mounted there, or None."""
    with open("/proc/self/mountinfo", errors="surrogateescape") as file:
        return next((line for line in file if line.split(" ")[4] == path), None)


def daemons(path):
    """The processes that were started to mount at a path."""
    found = []
    for process in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError), open(f"/proc/{process}/cmdline") as file:
            if path in file.read().split("\0"):
                found.append(process)
    return found


def unmount(path):
    """Unmount, as a person would who is told that it is busy: `wargfs status` of another test may just read it."""
    until(lambda: not subprocess.run(["fusermount3", "-u", path], stdin=subprocess.DEVNULL).returncode,
          f"{path} is unmounted")


def unmount_by_force(path):
    """Whatever became of the daemon."""
    while mounted_at(path):
        subprocess.run(["fusermount3", "-u", "-z", path], check=True, stdin=subprocess.DEVNULL, capture_output=True)


def errno_of(action, *arguments):
    """The name of the errno that action(*arguments) fails with, or None when it works."""
    try:
        action(*arguments)
    except OSError as error:
        return errno.errorcode[error.errno]
    return None


def read(path):
    with open(path, "rb") as file:
        return file.read()


class Mount:
    """`wargfs mount -f WORDS URL PATH -o OPTIONS`. What it prints is in `log`, and must be expected by the test."""

    def __init__(self, home, url, path, options=(), words=()):
        self.home = home
        self.path = path
        self.log_path = path + ".log"
        self.expected = [r"^wargfs: first contact with ",
                         r"^wargfs mount: \S+ is mounted; 'wargfs umount \S+' ends it$"]
        self.over = False
        if not mounted_at(path): # a dead one says of its folder that it is none
            os.makedirs(path, exist_ok=True)
        words = [*words, *([url] if url else []), path, *(["-o", ",".join(options)] if options else [])]
        with open(self.log_path, "wb") as log:
            self.process = home.start(programs.WARGFS, "mount", "-f", *words, stdout=log, stderr=log)

    @property
    def log(self):
        with open(self.log_path, errors="replace") as file:
            return file.read()

    def wait(self):
        """Until it is mounted."""
        until(lambda: mounted_at(self.path) or self.process.poll() is not None, "the mount stands")
        assert self.process.poll() is None, f"mount ended with {self.process.returncode}:\n{self.log}"
        return self

    def wait_for_end(self):
        """Until the daemon has ended by itself. Returns its exit status."""
        return until(lambda: self.process.poll() is not None and [self.process.returncode],
                     lambda: f"the daemon ends:\n{self.log}")[0]

    def refused(self):
        """That it comes to nothing. Returns the exit status and what was printed."""
        status = self.wait_for_end()
        assert not mounted_at(self.path), f"the daemon ended with {status} and left its mount:\n{self.log}"
        self.over = True
        assert not COMPLAINTS.search(self.log), self.log
        return status, self.log

    def expect(self, *patterns):
        """Lines of the log that match one of these are no surprise."""
        self.expected += patterns
        return self

    def wait_for_log(self, pattern):
        """Until the daemon has logged a line that matches, other than its first contact; they are expected then."""
        self.expect(pattern)
        until(lambda: re.search(pattern, re.sub(programs.MET, "", self.log), re.M),
              lambda: f"{pattern!r} in the log, which is\n{self.log}")

    def surprises(self):
        lines = self.log.splitlines()
        return [line for line in lines if COMPLAINTS.search(line) or
                not any(re.search(pattern, line) for pattern in self.expected)]

    def end(self):
        """Unmount, and look at how it ended."""
        self.over = True
        if self.process.poll() is None:
            unmount(self.path)
        status = self.wait_for_end()
        assert not mounted_at(self.path)
        assert status == 0, f"the daemon ended with {status}:\n{self.log}"
        assert not self.surprises(), f"the daemon printed:\n{self.log}"

    def abandon(self):
        """After a failed test: leave nothing behind."""
        unmount_by_force(self.path)
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()

    # ---- What programs do with it ----

    def at(self, *parts):
        return os.path.join(self.path, *parts)

    def list(self, *parts):
        return sorted(os.listdir(self.at(*parts)))

    def read(self, *parts):
        return read(self.at(*parts))

    def stat(self, *parts):
        return os.lstat(self.at(*parts))

    def last_error(self, *parts):
        """What went wrong there last; "" if nothing did."""
        with contextlib.suppress(OSError):
            return os.getxattr(self.at(*parts), "user.warg.last_error", follow_symlinks=False).decode()
        return ""

    def status(self):
        """What `wargfs status` says of it."""
        return self.home.wargfs("status", self.path, status=None)


@contextlib.contextmanager
def standing(folder, name, url):
    """A mount with a home of its own that many tests share."""
    mount = Mount(programs.Home(os.path.join(folder, f"{name}-home")), url, os.path.join(folder, f"{name}-mount"))
    try:
        yield mount.wait()
        mount.end()
    finally:
        mount.abandon()
