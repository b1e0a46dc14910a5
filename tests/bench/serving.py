# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""What our server does, beside the reference's on the same machine, with the same records.

The reference keeps all in memory and writes nothing to the disk but contents; ours syncs every record.
"""
import concurrent.futures
import contextlib
import getpass
import os
import re
import socket
import statistics
import subprocess
import time

import programs
from publisher import Client, Record, digest, init, release
from registry import wasm
from setting import NAMESPACE, write_component
from waiting import until

PACKAGES = 100      # that both have
SECONDS = 3         # of each look at a kind of request
CONNECTIONS = 16
ROUNDS = 5
MANY = 1000         # packages that are published by 16 clients
CLIENTS = 16
LARGE = 256 << 20   # bytes of the content that is downloaded
LARGE_NAME = "sha256-" + "0" * 64  # of no record
ONE_BY_ONE = 200    # publishes, each waited for

LUA = """wrk.method = "POST"
wrk.headers["content-type"] = "application/json"
wrk.body = [[%s]]
"""


def made(name, seed):
    """A package's first record, with its content."""
    content = wasm(1000, seed)
    return Record(f"{NAMESPACE}:{name}", init(), release("1.0.0", content)), content


def published(server, records):
    """Publishes records, one after another."""
    client = Client(server)
    for record, content in records:
        state = client.send(record).json["state"]
        if state == "sourcing":
            assert client.upload(record, content).status == 201
    client.close()


def proven(client, record):
    """Once a record is published and under a checkpoint, its inclusion is asked for."""
    place = until(lambda: client.state(record).get("registryIndex"), "a record is published")
    length = until(lambda: (length := client.length()) > place and length, "a checkpoint of it")
    answer = client.post("v1/proof/inclusion", {"logLength": length, "leafs": [place]})
    assert answer.status == 200, answer.body


class Serving:
    def __init__(self, setting):
        self.setting = setting
        self.ours = programs.OwnServer(setting.home("serving-own"))
        self.peer = programs.Server(setting.home("serving-reference"))
        records = [made(f"served-p{i}", i) for i in range(PACKAGES)]
        for server in self.ours, self.peer:
            published(server, records)
            server.wait_for_length(PACKAGES + 1)
        self.record, self.content = records[0]

    def close(self):
        for server in self.ours, self.peer:
            server.end()

    def rate(self, server, path, body=None):
        """Requests a second, of connections that are kept."""
        words = ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{SECONDS}s"]
        if body:
            script = os.path.join(self.setting.folder, "request.lua")
            with open(script, "w") as file:
                file.write(LUA % body)
            words += ["-s", script]
        said = subprocess.run([*words, server.url + path], capture_output=True, text=True, check=True).stdout
        assert "Non-2xx" not in said and "Socket errors" not in said, said
        return float(re.search(r"Requests/sec: +([\d.]+)", said)[1])

    def rates(self):
        """For each kind of request its name, and our rate and the peer's."""
        length = PACKAGES + 1
        for name, path, body in (
                ("a checkpoint", "v1/fetch/checkpoint", None),
                ("a package's log", "v1/fetch/logs",
                 f'{{"logLength":{length},"packages":{{"{self.record.log_id}":null}}}}'),
                ("a proof of inclusion", "v1/proof/inclusion", f'{{"logLength":{length},"leafs":[50]}}'),
                ("a content of 1,000 bytes", "content/" + digest(self.content).replace(":", "-"), None)):
            pairs = [(self.rate(self.ours, path, body), self.rate(self.peer, path, body)) for _ in range(ROUNDS)]
            yield name, *(statistics.median(side) for side in zip(*pairs))

    def publish_many(self, server):
        """Seconds from the first record to the last proof."""
        records = [made(f"many-p{i}", 1000 + i) for i in range(MANY)]

        def publish(share):
            published(server, share)

        start = time.monotonic()
        with concurrent.futures.ThreadPoolExecutor(CLIENTS) as pool:
            list(pool.map(publish, [records[i::CLIENTS] for i in range(CLIENTS)]))
        client = Client(server)
        for record, _ in records[-CLIENTS:]:
            proven(client, record)
        client.close()
        return time.monotonic() - start

    @contextlib.contextmanager
    def nginx(self, folder):
        """nginx, with a folder. @return its address"""
        config = os.path.join(self.setting.folder, "nginx.conf")
        with socket.create_server(("127.0.0.1", 0)) as free:
            address = "%s:%d" % free.getsockname()
        with open(config, "w") as file:
            # Its workers have to get into a folder of ours.
            file.write(f"user {getpass.getuser()}; daemon off; worker_processes 2; pid {config}.pid;\n"
                       "error_log stderr; events {}\n"
                       f"http {{ access_log off; sendfile on; server {{ listen {address}; root {folder}; }} }}\n")
        process = subprocess.Popen(["nginx", "-c", config], stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            yield f"http://{address}/"
        finally:
            process.terminate()
            process.wait()

    def download(self):
        """Bytes a second of a large content, from our server and from nginx."""
        folder = os.path.join(self.ours.contents, "files")
        write_component(os.path.join(folder, LARGE_NAME), LARGE, "served")

        def fetch(url):
            start = time.monotonic()
            subprocess.run(["curl", "-sSf", "--retry", "5", "--retry-connrefused", "-o", "/dev/null", url], check=True)
            return LARGE / (time.monotonic() - start)

        with self.nginx(folder) as peer:
            fetch(peer + LARGE_NAME)
            pairs = [(fetch(f"{self.ours.url}content/{LARGE_NAME}"), fetch(peer + LARGE_NAME))
                     for _ in range(2 * ROUNDS)]
        return (statistics.median(side) for side in zip(*pairs))

    def mirrored(self):
        """A mirror of our server: contents, seconds until it serves, and in which curl has the contents alone."""
        folder = os.path.join(self.setting.folder, "contents-alone")
        wanted = os.path.join(self.setting.folder, "wanted")
        os.mkdir(folder)
        names = set(os.listdir(os.path.join(self.ours.contents, "files"))) - {LARGE_NAME}
        with open(wanted, "w") as file:
            for name in names:
                file.write(f'url = "{self.ours.url}content/{name}"\n'
                           f'output = "{folder}/{name}"\n')
        pairs = []
        for i in range(ROUNDS):
            start = time.monotonic()
            mirror = programs.ImportedServer(self.setting.home(f"mirror{i}"), self.ours.url)
            middle = time.monotonic()
            subprocess.run(["curl", "-sSf", "--no-progress-meter", "--parallel", "--parallel-max", "8", "-K", wanted],
                           check=True)
            pairs.append((middle - start, time.monotonic() - middle))
            mirror.end()
        return len(names), *(statistics.median(side) for side in zip(*pairs))

    def one_by_one(self):
        """Seconds that a publish takes, with its proof, each of them."""
        client, taken = Client(self.ours), []
        for i in range(ONE_BY_ONE):
            record, content = made(f"one-p{i}", 5000 + i)
            start = time.monotonic()
            client.publish(record, content)
            proven(client, record)
            taken.append(time.monotonic() - start)
        client.close()
        return statistics.median(taken)


def start_large(setting, folder):
    """Starts our server with a registry that is there. @return seconds until it listens, and its memory then"""
    home = setting.home("large")
    start = time.monotonic()
    server = programs.OwnServer(home, data=folder, namespace=NAMESPACE)
    taken = time.monotonic() - start
    client = Client(server)
    length = client.length()
    for leaf in range(1, 2000, 7):
        assert client.post("v1/proof/inclusion", {"logLength": length, "leafs": [leaf * 400]}).status == 200
    client.close()
    with open(f"/proc/{server.process.pid}/status") as file:
        memory = int(re.search(r"VmRSS:\s+(\d+) kB", file.read())[1]) << 10
    server.terminate()
    return taken, memory
