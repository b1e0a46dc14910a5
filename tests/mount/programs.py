# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""The programs, each with a home of its own: wargfs, and the reference's warg and warg-server."""
import glob
import hashlib
import json
import os
import pty
import re
import signal
import socket
import subprocess
import urllib.request

import forge
from waiting import until

HERE = os.path.dirname(os.path.abspath(__file__))
WARGFS = os.environ.get("WARGFS") or os.path.join(HERE, "../../build/wargfs")
REFERENCE = os.environ.get("WARGFS_REFERENCE") or os.path.expanduser("~/.cache/wargfs-reference/0.10.0")
WARG = os.path.join(REFERENCE, "bin/warg")
WARG_SERVER = os.path.join(REFERENCE, "bin/warg-server")

# What wargfs ends with where something is absent, refused, unreachable or wants a key or login; warg knows only 1.
FAILURES = ABSENT, REFUSED, UNREACHABLE, LOGIN = 4, 5, 6, 7

# Whatever happens to the tests, no program outlives them.
TIED = ("setpriv", "--pdeathsig", "TERM", "--")


MET = r"(?:wargfs: first contact with |\{\"note\":\{\"kind\":\"first_contact\").*\n"


def is_sanitized():
    """Whether wargfs was built with a sanitizer."""
    with open(WARGFS, "rb") as file:
        program = file.read()
    return b"__asan_init" in program or b"__tsan_init" in program


def free_address():
    """An address of this machine at which nothing listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return "127.0.0.1:%d" % probe.getsockname()[1]


def set_meetings_apart(done):
    if isinstance(done.stderr, str):
        done.met, done.stderr = re.findall(MET, done.stderr), re.sub(MET, "", done.stderr)
    elif done.stderr:
        done.stderr = re.sub(MET.encode(), b"", done.stderr)
    return done


class Home:
    """A home folder: configuration, keys and cache. What runs in it knows no other."""

    def __init__(self, path):
        self.path = path
        self.work = os.path.join(path, "work")
        self.runtime = os.path.join(path, "run")
        os.makedirs(self.work, exist_ok=True)
        os.makedirs(self.runtime, 0o700, exist_ok=True)
        self.cache = os.path.join(path, ".cache/warg")
        self.config = os.path.join(path, ".config/warg/config.json")
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("XDG_", "WARG_"))}
        self.environment = dict(kept, HOME=path, XDG_RUNTIME_DIR=self.runtime, RUST_BACKTRACE="0", LC_ALL="C.UTF-8")

    def start(self, *command, **options):
        return subprocess.Popen([*TIED, *command], cwd=self.work, env=self.environment,
                                **{"stdin": subprocess.DEVNULL, **options})

    def run(self, *command, status=0, seconds=60, **options):
        """Run a command to its end. It fails unless it ends with `status`; None: any.

        What ours says of registries that were met for the first time is in `met`, not in `stderr`.
        """
        done = subprocess.run([*TIED, *command], cwd=self.work, env=self.environment, timeout=seconds,
                              **{"text": True, "capture_output": True, "stdin": subprocess.DEVNULL, **options})
        if command[0] == WARG and status in FAILURES:
            status = 1
        assert status is None or done.returncode == status, (
            f"{command} ended with {done.returncode}, not {status}\n{done.stdout}{done.stderr}")
        return set_meetings_apart(done)

    def warg(self, *words, **options):
        return self.run(WARG, *words, **options)

    def wargfs(self, *words, **options):
        return self.run(WARGFS, *words, **options)

    def warg_at_terminal(self, *words):
        """Some of its commands ask, and do not run without a terminal. The answer is yes."""
        ours, its = pty.openpty()
        try:
            os.write(ours, b"y\n")
            self.warg(*words, capture_output=False, stdin=its, stdout=its, stderr=its)
        finally:
            os.close(its)
            os.close(ours)

    def configure(self, url):
        """Make `url` the home registry, and the publisher the one who signs."""
        self.warg("config", "--overwrite", "--registry", url, "--keyring-backend", "flat-file")
        config = self.read_config()
        config["keys"] = ["default"]
        with open(self.config, "w") as file:
            json.dump(config, file)
        keyring = os.path.join(os.path.dirname(self.config), "keyring")
        os.makedirs(keyring, 0o700, exist_ok=True)
        with open(os.path.join(keyring, "service=warg-signing-key&user=default"), "w") as file:
            os.fchmod(file.fileno(), 0o600)
            file.write(forge.PUBLISHER.text)
        return self

    def read_config(self):
        with open(self.config) as file:
            return json.load(file)

    def registry_folder(self, url):
        """Where what is stored of a registry lies."""
        host, _, port = url.rstrip("/").partition("//")[2].partition(":")
        return os.path.join(self.cache, "registries", f"{host}-{port}")

    def log_file(self, url, name):
        return os.path.join(self.registry_folder(url), "package-logs/sha256",
                            forge.package_log_id(name).partition(":")[2])

    def content_file(self, content):
        return os.path.join(self.cache, "content/sha256", hashlib.sha256(content).hexdigest())


class Server:
    """A registry's server, with its operator's key known and one namespace: the reference's."""

    def __init__(self, home, namespace="test", operator=forge.OPERATOR, contents=None):
        self.home = home
        self.namespace = namespace
        self.contents = contents or os.path.join(home.path, "contents")
        os.makedirs(self.contents, exist_ok=True)
        self.log = os.path.join(home.path, "server.log")
        self.environment = dict(home.environment, WARG_OPERATOR_KEY=operator.text)
        self.checkpoints = {}
        self.start()

    def words(self):
        return (WARG_SERVER, "--content-dir", self.contents, "--listen", "127.0.0.1:0", "--namespace", self.namespace)

    def start(self, *before):
        """Start the program, with the words of another one before it."""
        with open(self.log, "w") as log:
            self.process = subprocess.Popen([*TIED, *before, *self.words()], env=self.environment,
                                            stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        port = until(self.find_port, "the server listens")
        self.address = "127.0.0.1", port
        self.url = f"http://127.0.0.1:{port}/"

    def find_port(self):
        assert self.process.poll() is None, "the server ended"
        with open(self.log) as file:
            found = re.search(r"listen(?:ing on|s at) +127\.0\.0\.1:(\d+)", file.read())
        return found and int(found[1])

    def get(self, path):
        with urllib.request.urlopen(self.url + path, timeout=30) as answer:
            return answer.read()

    def checkpoint(self):
        """The newest signed checkpoint; the newest of each length is kept."""
        signed = json.loads(self.get("v1/fetch/checkpoint"))
        self.checkpoints[signed["contents"]["logLength"]] = signed
        return signed

    def wait_for_length(self, length):
        until(lambda: self.checkpoint()["contents"]["logLength"] >= length, f"a checkpoint of {length} records")

    def stop(self):
        """Stop it. A thread on another processor goes on for a moment after the signal was sent."""
        self.process.send_signal(signal.SIGSTOP)
        until(self.is_stopped, "the server is stopped")

    def is_stopped(self):
        for thread in glob.glob(f"/proc/{self.process.pid}/task/*/stat"):
            with open(thread) as file:
                if file.read().rpartition(")")[2].split()[0] != "T":
                    return False
        return True

    def resume(self):
        self.process.send_signal(signal.SIGCONT)

    def end(self):
        self.resume()
        self.process.kill()
        self.process.wait()


class OwnServer(Server):
    """Our own. It keeps what it has: started again, it goes on, and so does one that is given its folders."""

    def __init__(self, home, *more, data=None, environment=None, **options):
        self.data = data or os.path.join(home.path, "data")
        self.more = more
        home.environment.update(environment or {})
        super().__init__(home, **options)

    def words(self):
        return (WARGFS, "serve", "--data", self.data, "--content-dir", self.contents, "--listen", "127.0.0.1:0",
                "--namespace", self.namespace, *self.more)

    def terminate(self):
        """End it in good order, and see that it says nothing but how it began."""
        self.process.terminate()
        status = self.process.wait(30)
        with open(self.log) as file:
            said = file.read()
        assert status == 0 and said.count("\n") == 6, f"it ended with {status}:\n{said}"

    def restart(self):
        self.terminate()
        self.start()


class ImportedServer(OwnServer):
    """A server that brings a registry here; without the operator's key it is a mirror."""

    def __init__(self, home, url, *more, key=False, **options):
        self.url_of_origin, self.with_key = url, key
        super().__init__(home, *more, **options)

    def words(self):
        words = (WARGFS, "serve", "--data", self.data, "--content-dir", self.contents, "--listen",
                 "127.0.0.1:0", "--import", self.url_of_origin, *self.more)
        if not self.with_key:
            self.environment.pop("WARG_OPERATOR_KEY", None)
        return words

    def surprises(self):
        with open(self.log) as file:
            return [line for line in file if not re.match(
                r"(registry|listens at|key id|public key|records|mirror of|wargfs serve: it serves) ", line)]


# Whose server the registries of the tests are: the reference's, or with `wargfs` in the environment our own.
HomeServer = OwnServer if os.environ.get("WARGFS_SERVER") == "wargfs" else Server
