# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""A desktop's keyring: a D-Bus of its own, on which nothing is started, and a real gnome-keyring on that."""
import os
import subprocess

from waiting import until

BUS = """<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <type>session</type>
  <listen>unix:dir={folder}</listen>
  <policy context="default"><allow send_destination="*"/><allow receive_sender="*"/><allow own="*"/></policy>
</busconfig>
"""


class Desktop:
    """What runs in `home` finds the keyring from now on."""

    def __init__(self, home):
        self.home = home
        self.keyring = None
        config = os.path.join(home.path, "bus.conf")
        with open(config, "w") as file:
            file.write(BUS.format(folder=home.runtime))
        self.bus = home.start("dbus-daemon", "--config-file", config, "--nofork", "--print-address=1",
                              stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        home.environment["DBUS_SESSION_BUS_ADDRESS"] = self.bus.stdout.readline().decode().strip()
        # For tests/run/lsan, which names functions of libraries.
        home.environment["ASAN_OPTIONS"] = home.environment.get("ASAN_OPTIONS", "") + ":fast_unwind_on_malloc=0"

    def start_keyring(self, password=None):
        """Unlocked by the password, which is a new keyring's from then on; locked without one."""
        self.keyring = self.home.start(
            "gnome-keyring-daemon", "--foreground", "--components=secrets", *(["--unlock"] if password else []),
            stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.keyring.stdin.write((password or "").encode())
        self.keyring.stdin.close()
        until(lambda: self.home.run("secret-tool", "search", "nobody", "has", status=None).returncode == 0,
              "the keyring answers")
        return self

    def end_keyring(self):
        if self.keyring:
            self.keyring.terminate()
            self.keyring.wait()
            self.keyring = None

    def end(self):
        self.end_keyring()
        self.bus.terminate()
        self.bus.wait()
        self.bus.stdout.close()
