# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Started as warg-server is started: by its options and variables, with no word of ours."""
import os
import re
import subprocess

import pytest

import forge
import programs
from publisher import Record, init


class LikeReference(programs.OwnServer):
    """With the words of warg-server alone."""

    def words(self):
        return programs.WARGFS, "serve", "--content-dir", self.contents, "--listen", "127.0.0.1:0", *self.more


@pytest.fixture
def serve_alike(new_home):
    started = []

    def start(*more, home=None, **options):
        started.append(LikeReference(home or new_home(), *more, **options))
        return started[-1]
    yield start
    for server in started:
        server.end()


def said(server):
    with open(server.log) as file:
        return file.read()


def folder_of(server):
    return re.search(r"kept in +(/.*)", said(server))[1]


def test_key_alone(serve_alike, connect, home):
    """State is kept in the user's data folder, by the key: the same key finds its registry again."""
    server = serve_alike(home=home, environment={"WARG_NAMESPACE": "test"})
    connect(server).publish(Record("test:kept", init()))
    folder = folder_of(server)
    assert folder == os.path.join(home.path, ".local/share/wargfs/registries", forge.OPERATOR.id[7:23])
    assert os.path.exists(os.path.join(folder, "registry.db"))
    server.end()
    server.start()
    assert connect(server).length() == 2
    other = serve_alike(home=home, operator=forge.STRANGER, contents=os.path.join(home.path, "other"),
                        environment={"XDG_DATA_HOME": os.path.join(home.path, "elsewhere")})
    assert folder_of(other) == os.path.join(home.path, "elsewhere/wargfs/registries", forge.STRANGER.id[7:23])
    assert connect(other).length() == 1


def test_no_key(home, folder):
    """Without a key it is not known which registry is meant."""
    done = home.wargfs("serve", "--content-dir", folder, status=2)
    assert "--data DIR" in done.stderr
    home.environment["WARG_OPERATOR_KEY"] = "none"
    assert "the key" in home.wargfs("serve", "--content-dir", folder, status=1).stderr
    assert not os.path.exists(os.path.join(home.path, ".local"))


def test_lower_case(serve_alike, connect):
    for server in (serve_alike(environment={"WARG_NAMESPACE": "Test"}), serve_alike("--namespace", "TEST")):
        connect(server).publish(Record("test:lower", init()))


def test_data_store(serve_alike, home, folder):
    serve_alike(environment={"WARG_DATA_STORE": "memory"})
    home.environment["WARG_DATA_STORE"] = "postgres"
    done = home.wargfs("serve", "--data", os.path.join(folder, "data"), status=2)
    assert 'WARG_DATA_STORE is "postgres"' in done.stderr


@pytest.mark.parametrize("more, environment, is_verbose", [
    (("-v",), {}, True), (("-v", "-v"), {}, True), ((), {"WARG_VERBOSE": "1"}, True),
    ((), {"WARG_VERBOSE": "0"}, False), ((), {}, False)])
def test_verbose(serve_alike, connect, more, environment, is_verbose):
    server = serve_alike(*more, environment=environment)
    client = connect(server)
    client.checkpoint()
    client.ask("GET", "nothing%0a%1bhere")
    client.close()
    server.process.terminate()
    assert server.process.wait(30) == 0
    requests = [line for line in said(server).splitlines() if line.startswith("wargfs serve: GET ")]
    assert requests == (["wargfs serve: GET /v1/fetch/checkpoint 200",
                         "wargfs serve: GET /nothing\\x0a\\x1bhere 404"] if is_verbose else [])


@pytest.fixture
def secrets(folder):
    """A folder as containers have one for secrets: everybody may read it, and nobody changes anything."""
    path = os.path.join(folder, "secrets")
    os.mkdir(path)
    subprocess.run(["mount", "-t", "tmpfs", "tmpfs", path], check=True)
    for name, text in ("key", forge.OPERATOR.text), ("token", "a-token"):
        with open(os.path.join(path, name), "w") as file:
            file.write(text)
        os.chmod(os.path.join(path, name), 0o444)
    yield path
    subprocess.run(["umount", "-l", path], check=True)


def test_secrets_of_a_container(serve, home, secrets):
    """What others may read is refused while it could be changed; else it is taken, with a warning."""
    options = []
    for option, name in ("--operator-key-file", "key"), ("--auth-token-file", "token"):
        path = os.path.join(secrets, name)
        done = home.wargfs("serve", "--data", os.path.join(home.path, "data"), option, path, status=1)
        assert f"{path}: others may read this {name}" in done.stderr and "chmod 600" in done.stderr
        options += option, path
    subprocess.run(["mount", "-o", "remount,ro", secrets], check=True)
    warned = said(serve(*options))
    assert warned.count("others on this machine may read this secret") == 2
    assert all(f"warning: {path}: " in warned for path in options[1::2])
