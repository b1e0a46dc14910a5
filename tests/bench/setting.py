# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""What the benchmarks run in: a registry by the real server, a home for each client, mounts.

Everything lies in one temporary folder and ends with it. The programs are started as the tests on mounts start them.
"""
import contextlib
import hashlib
import json
import os
import shutil
import sys
import tempfile
import time
import urllib.request

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "mount"))
import forge  # noqa: E402
import programs  # noqa: E402
from mounts import Mount  # noqa: E402
from waiting import until  # noqa: E402

NAMESPACE = "test"


def write_component(path, size, seed):
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


class Setting:
    def __init__(self):
        self.folder = tempfile.mkdtemp(prefix="wargfs-bench-")
        self.mounts = 0
        self.records = 1  # the operator's
        self.server = None
        try:
            self.server = programs.Server(self.home("server"))
        except BaseException:
            self.close()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def home(self, name):
        return programs.Home(os.path.join(self.folder, name))

    def publish(self, home, package, files):
        """Publishes versions of a package, all in one record, without waiting. `files`: version to path."""
        name = f"{NAMESPACE}:{package}"
        home.warg("publish", "start", name)
        home.warg("publish", "init", name)
        for version, path in files.items():
            home.warg("publish", "release", "--name", name, "--version", version, path)
        home.warg("publish", "submit", "--no-wait")
        self.records += 1

    def publish_many(self, package, versions, content, a_record=10000):
        """
        Publishes a package of many versions, all with the bytes `content`, so many in one record: signed here, as the
        reference's client takes one call for each.
        """
        name = f"{NAMESPACE}:{package}"
        digest, head = forge.digest(content), None
        for start in range(0, len(versions), a_record):
            entries = [[4, forge.render([[1, version.encode()], [2, digest.encode()]])]
                       for version in versions[start:start + a_record]]
            if not head:
                init = [[1, forge.PUBLISHER.public.encode()], [2, b"sha256"]]
                entries.insert(0, [1, forge.render(init)])
            fields = [[1, head.encode()]] if head else []
            fields += [[3, forge.render([[1, int(time.time())]])], *([4, forge.render([entry])] for entry in entries)]
            record = forge.sign_record("PACKAGE", fields, forge.PUBLISHER)
            head = record.pop("fetchToken")
            self.submit(name, head, record, content)

    def submit(self, name, record_id, record, content):
        """Sends a record, uploads its content where that is wanted, and waits until it stands in the log."""
        log = f"v1/package/{forge.package_log_id(name)}/record"
        answer = self.post(log, json.dumps({"packageName": name, "record": record}).encode())
        for missing in answer.get("missingContent", {}).values():
            self.post(missing["upload"][0]["url"].removeprefix(self.server.url), content, "application/octet-stream")
        until(lambda: json.loads(self.server.get(f"{log}/{record_id}"))["state"] == "published", "it is published")
        self.records += 1

    def post(self, path, body, content_type="application/json"):
        request = urllib.request.Request(self.server.url + path, body, {"content-type": content_type})
        with urllib.request.urlopen(request, timeout=60) as answer:
            text = answer.read()
        return json.loads(text) if text else {}

    def wait_for_checkpoint(self):
        """Waits until all that was published is under a checkpoint."""
        self.server.wait_for_length(self.records)

    @contextlib.contextmanager
    def mounted(self, home, url=None, *options):
        """The registry, mounted: a Mount. `url`: of something before it."""
        self.mounts += 1
        mount = Mount(home, url or self.server.url, os.path.join(self.folder, f"mnt{self.mounts}"), options)
        try:
            yield mount.wait().expect("")
            mount.end()
        finally:
            mount.abandon()

    @contextlib.contextmanager
    def server_stopped(self):
        """The registry takes connections and answers nothing."""
        self.server.stop()
        try:
            yield
        finally:
            self.server.resume()

    def close(self):
        if self.server:
            self.server.end()
        shutil.rmtree(self.folder, ignore_errors=True)


def forget(home):
    """Loses a home's cache."""
    shutil.rmtree(os.path.dirname(home.cache), ignore_errors=True)
