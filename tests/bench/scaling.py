# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""What reading and publishing cost as a registry grows: the same work at several sizes, against our own server.

The registries are made by the bench program published_registry, which signs and commits without a server: they may be
large. All releases have the same small content.
"""
import concurrent.futures
import contextlib
import os
import shutil
import statistics
import subprocess
import time

import forge
import programs
from far import Far
from liar import Liar
from publisher import digest
from registry import wasm
from setting import NAMESPACE, forget
from waiting import until

ROUND_TRIP = 0.020
SIZES = 500, 5000, 50000      # packages that `find` goes through
KNOWN = 10, 1000, 10000       # packages that a mount knows which publishes
FAR, GREATEST = 2000, 100000
PUBLISHES = 40                # of which the median is taken
WRITERS, WRITTEN = 16, 600
VERSIONS = 10, 1000           # of the packages that are published into
CONTENT = wasm(1000, 1)


def seconds(action):
    start = time.perf_counter()
    action()
    return time.perf_counter() - start


def quietly(*command):
    subprocess.run(command, stdout=subprocess.DEVNULL, check=True)


def resident(pid):
    """Bytes of memory of a process."""
    with open(f"/proc/{pid}/status", encoding="utf-8") as file:
        return next(int(line.split()[1]) << 10 for line in file if line.startswith("VmRSS:"))


class Grown:
    """A server of a registry of so many packages, and a home that publishes to it."""

    def __init__(self, setting, packages):
        self.setting, self.packages = setting, packages
        self.home = setting.home(f"grown-{packages}")
        data, contents = (os.path.join(self.home.path, name) for name in ("data", "contents"))
        os.mkdir(data, 0o700)
        os.makedirs(os.path.join(contents, "files"))
        with open(os.path.join(contents, "files", digest(CONTENT).replace(":", "-")), "wb") as file:
            file.write(CONTENT)
        program = os.path.join(os.environ["WARGFS_BENCH"], "published_registry")
        subprocess.run([program, data, forge.PUBLISHER.text, digest(CONTENT), str(packages), *map(str, VERSIONS)],
                       check=True)
        self.server = programs.OwnServer(self.home, data=data, contents=contents, namespace=NAMESPACE)
        self.client, self.other = (setting.home(f"{name}-{packages}").configure(self.server.url)
                                   for name in ("client", "other"))
        self.published = 0

    def close(self):
        self.server.end()
        for home in self.home, self.client, self.other:
            shutil.rmtree(home.path)

    def mounted(self, *options, url=None):
        return self.setting.mounted(self.client, url or self.server.url, *options)

    @contextlib.contextmanager
    def far(self):
        """The server behind a round trip. @return its proxy, and a URL of it"""
        far = Far(self.server.address, ROUND_TRIP)
        try:
            yield far, f"http://127.0.0.1:{far.port}/"
        finally:
            far.close()

    def native(self):
        """The same tree on the file system that the cache is on."""
        tree = os.path.join(self.home.path, "native")
        for i in range(self.packages):
            folder = os.path.join(tree, NAMESPACE, f"p{i}")
            os.makedirs(folder)
            for version in "1.0.0.wasm", "1.1.0.wasm":
                with open(os.path.join(folder, version), "wb"):
                    pass
            os.symlink("1.1.0.wasm", os.path.join(folder, "latest.wasm"))
        return tree

    @staticmethod
    def walk(path):
        """Seconds of `find` through it."""
        return seconds(lambda: quietly("find", path))

    def finds(self):
        """Seconds of `find`: nothing cached, all cached, again in the same mount."""
        forget(self.client)
        with self.mounted() as mount:
            cold = self.walk(mount.path)
        with self.mounted() as mount:
            return cold, self.walk(mount.path), self.walk(mount.path)

    def release(self, folder):
        """Publishes another version there by the program's own calls. @return seconds until it is proven"""
        self.published += 1
        content = wasm(1000, 100000 * self.packages + self.published)
        path = os.path.join(folder, f"2.{self.published}.0.wasm")

        def write():
            with open(path, "wb", buffering=0) as file:
                file.write(content)
        return seconds(write)

    def publish_known(self):
        """Seconds of a publish through a mount that knows all packages."""
        with self.mounted("rw") as mount:
            self.walk(mount.path)
            return statistics.median(self.release(mount.at(NAMESPACE, f"p{i % self.packages}"))
                                     for i in range(PUBLISHES))

    def publish_into(self):
        """The same into packages of few and of many versions."""
        with self.mounted("rw") as mount:
            folders = [mount.at(NAMESPACE, f"v{count}") for count in VERSIONS]
            for folder in folders:
                self.release(folder)
            taken = [[self.release(folder) for folder in folders] for _ in range(PUBLISHES)]
            return [statistics.median(column) for column in zip(*taken)]

    def publish_far(self):
        """Round trips of a publish."""
        with self.far() as (_, url), self.mounted("rw", url=url) as mount:
            self.release(mount.at(NAMESPACE, "p0"))
            taken = statistics.median(self.release(mount.at(NAMESPACE, f"p{i}")) for i in range(10))
            return taken / ROUND_TRIP

    def publish_together(self):
        """Seconds of WRITTEN releases by WRITERS side by side."""
        with self.mounted("rw") as mount:
            def write(writer):
                for _ in range(WRITTEN // WRITERS):
                    self.release(mount.at(NAMESPACE, f"p{writer}"))
            with concurrent.futures.ThreadPoolExecutor(WRITERS) as pool:
                return seconds(lambda: list(pool.map(write, range(WRITERS))))

    def update_far(self):
        """What another's release costs a mount that knows all: round trips and bytes, until it is shown."""
        liar = Liar(self.server)
        far = Far(liar.address, 0)
        try:
            with self.mounted("refresh=1", url=f"http://127.0.0.1:{far.port}/") as mount:
                self.walk(mount.path)
                with self.setting.mounted(self.other, self.server.url, "rw") as other:
                    liar.forget()
                    before = far.carried
                    self.release(other.at(NAMESPACE, "p7"))
                path = mount.at(NAMESPACE, "p7", f"2.{self.published}.0.wasm")
                until(lambda: os.path.exists(path), "the release is shown")
                return self.of_change(liar), far.carried - before
        finally:
            far.close()
            liar.close()

    @staticmethod
    def of_change(liar):
        """The round trips from the checkpoint with news on, without the looks for one before and after it."""
        with liar.lock:
            names = [call.name for call in liar.calls]
        return liar.round_trips() - names.count("checkpoint") + 1

    def first_listing(self):
        """Seconds from a mount's start, everything cached, until its packages were listed once."""
        start = time.perf_counter()
        with self.mounted() as mount:
            os.listdir(mount.at(NAMESPACE))
            return time.perf_counter() - start

    def memory(self):
        """Bytes of a mount that knows all."""
        with self.mounted() as mount:
            self.walk(mount.path)
            return resident(mount.process.pid)

    def find_far(self):
        """Seconds of `find`, nothing cached, and of curl that makes the same requests one after another."""
        with contextlib.closing(Liar(self.server)) as liar:
            forget(self.client)
            with self.mounted(url=liar.url) as mount:
                self.walk(mount.path)
            calls = liar.calls
        forget(self.client)
        with self.far() as (_, url):
            with self.mounted(url=url) as mount:
                ours = self.walk(mount.path)
            return ours, seconds(lambda: quietly("curl", "-sSf", "-K", self.requests(calls, url)))

    def requests(self, calls, url):
        """@return a file that tells curl to make these requests"""
        path = os.path.join(self.home.path, "requests")
        with open(path, "w", encoding="utf-8") as file:
            for i, call in enumerate(calls):
                file.write(f'url = "{url.rstrip("/")}{call.path}"\noutput = "/dev/null"\n')
                if call.request:
                    with open(f"{path}-{i}", "wb") as body:
                        body.write(call.request)
                    file.write(f'data-binary = "@{path}-{i}"\nheader = "content-type: application/json"\n')
                file.write("next\n" if i + 1 < len(calls) else "")
        return path

    def commands(self):
        """Seconds of commands about all packages, everything cached, and of `find`: (ls, update, fetch), find."""
        packages = [f"{NAMESPACE}:p{i}" for i in range(self.packages)]
        commands = ("ls", NAMESPACE), ("update",), ("fetch", *packages)
        self.client.wargfs(*commands[-1], "--registry", self.server.url, seconds=600)
        with self.mounted() as mount:
            find = self.walk(mount.path)
        return [seconds(lambda: self.client.wargfs(*words, "--registry", self.server.url, seconds=600))
                for words in commands], find


@contextlib.contextmanager
def grown(setting, packages):
    registry = Grown(setting, packages)
    try:
        yield registry
    finally:
        registry.close()
