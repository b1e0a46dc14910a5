"""What the benchmarks run in: a registry by the real server, homes of their own for its users, mounts.

Everything lies in one temporary folder and ends with it; only processes that were started here are ended.
"""
import contextlib
import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import tempfile
import time
import urllib.request

# A key that everybody knows: it signs for these registries of minutes alone.
OPERATOR_KEY = "ecdsa-p256:I+UlDo0HxyBBFeelhPPWmD+LnklOpqZDkrFP5VduASk="
NAMESPACE = "bench"
PATIENCE = 60  # seconds


def wait_until(what, condition):
    """Looks again and again until `condition` gives something true, and returns that."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        result = condition()
        if result:
            return result
        time.sleep(0.002)
    raise TimeoutError(f"waited in vain for {what}")


def component(path, size, seed):
    """Writes a component of `size` bytes: its preamble, and one custom section that no other seed gives."""
    body = size - 8 - 1 - 5
    length = bytes((body >> 7 * i & 127) | (128 if i < 4 else 0) for i in range(5))
    filler = b"".join(hashlib.sha256(f"{seed}/{i}".encode()).digest() for i in range(2048))
    with open(path, "wb") as file:
        file.write(b"\0asm\x0d\0\x01\0" + b"\0" + length + b"\5bench")
        left = body - 6
        block = 0
        while left > 0:
            piece = hashlib.sha256(f"{seed}:{block}".encode()).digest() + filler
            file.write(piece[:left])
            left -= len(piece)
            block += 1


def is_mounted(path):
    with open("/proc/self/mounts", encoding="utf-8") as file:
        return any(line.split()[1] == path for line in file)


def pid_of_daemon(mountpoint):
    """The process that was started with this mountpoint as an argument."""
    for pid in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError), open(f"/proc/{pid}/cmdline", "rb") as file:
            if mountpoint.encode() in file.read().split(b"\0"):
                return int(pid)
    return None


def is_running(pid):
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


class Home:
    """A user of one of the clients: a home folder, and with it a configuration and a cache."""

    def __init__(self, setting, name):
        self.setting = setting
        self.path = os.path.join(setting.folder, name)
        self.cache = os.path.join(self.path, ".cache")
        self.environment = {key: value for key, value in os.environ.items() if not key.startswith("XDG_")}
        self.environment.update(HOME=self.path, XDG_RUNTIME_DIR=os.path.join(self.path, "run"))
        os.makedirs(self.environment["XDG_RUNTIME_DIR"], mode=0o700)
        self.run(setting.warg, "config", "--registry", setting.url, "--keyring-backend", "flat-file")

    def run(self, *command, check=True):
        done = subprocess.run(command, env=self.environment, cwd=self.path, stdin=subprocess.DEVNULL,
                              capture_output=True, text=True)
        if check and done.returncode != 0:
            raise RuntimeError(f"{' '.join(command)}: status {done.returncode}: {done.stdout}{done.stderr}")
        return done

    def forget(self):
        """Loses the cache."""
        shutil.rmtree(self.cache, ignore_errors=True)


class Setting:
    def __init__(self):
        reference = os.environ["WARGFS_REFERENCE"]
        self.warg = os.path.join(reference, "bin", "warg")
        self.wargfs = os.path.abspath(os.environ.get("WARGFS", "build/wargfs"))
        self.folder = tempfile.mkdtemp(prefix="wargfs-bench-")
        self.mounts = []
        self.server = None
        self.records = 1  # the operator's
        try:
            self.start_server(os.path.join(reference, "bin", "warg-server"))
        except BaseException:
            self.close()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def start_server(self, program):
        contents = os.path.join(self.folder, "server")
        key = os.path.join(self.folder, "operator.key")
        log = os.path.join(self.folder, "server.log")
        os.mkdir(contents)
        with open(key, "w", encoding="ascii") as file:
            file.write(OPERATOR_KEY)
        with open(log, "wb") as file:
            self.server = subprocess.Popen(
                [program, "--listen", "127.0.0.1:0", "--content-dir", contents, "--operator-key-file", key,
                 "--namespace", NAMESPACE], stdout=file, stderr=file, stdin=subprocess.DEVNULL)

        def address():
            with open(log, encoding="utf-8") as file:
                found = re.search(r"listening on (\S+)", file.read())
            return found and found.group(1)
        self.url = "http://" + wait_until("warg-server", address)

    def publish(self, home, package, files):
        """Publishes versions of a package, all in one record, without waiting. `files`: version to path."""
        name = f"{NAMESPACE}:{package}"
        home.run(self.warg, "publish", "start", name)
        home.run(self.warg, "publish", "init", name)
        for version, path in files.items():
            home.run(self.warg, "publish", "release", "--name", name, "--version", version, path)
        home.run(self.warg, "publish", "submit", "--no-wait")
        self.records += 1

    def wait_for_checkpoint(self):
        """Waits until all that was published is under a checkpoint."""
        def length():
            with urllib.request.urlopen(self.url + "/v1/fetch/checkpoint") as answer:
                return json.load(answer)["contents"]["logLength"]
        wait_until("a checkpoint", lambda: length() == self.records)

    def mount(self, home, *options):
        """Mounts the registry, and returns (folder, pid)."""
        path = tempfile.mkdtemp(prefix="mnt-", dir=self.folder)
        self.mounts.append(path)
        home.run(self.wargfs, "mount", *options, self.url, path)
        return path, pid_of_daemon(path)

    def unmount(self, path, lazily=False):
        pid = pid_of_daemon(path)
        if is_mounted(path):
            subprocess.run(["fusermount3", "-u", *(["-z"] if lazily else []), path], check=True)
        if pid:
            try:
                wait_until("the daemon's end", lambda: not is_running(pid))
            except TimeoutError:
                os.kill(pid, signal.SIGKILL)
                raise
        self.mounts.remove(path)

    @contextlib.contextmanager
    def mounted(self, home, *options):
        path, pid = self.mount(home, *options)
        try:
            yield path, pid
        finally:
            self.unmount(path)

    @contextlib.contextmanager
    def server_stopped(self):
        """The registry takes connections and answers nothing."""
        self.server.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self.server.send_signal(signal.SIGCONT)

    def close(self):
        for path in list(self.mounts):
            with contextlib.suppress(Exception):
                self.unmount(path, lazily=True)
        if self.server:
            self.server.send_signal(signal.SIGCONT)
            self.server.kill()
            self.server.wait()
        shutil.rmtree(self.folder, ignore_errors=True)
