# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Invalid options are misuse, before anything is made, opened or signed."""
import contextlib
import os
import socket

import pytest

import programs

NO_NUMBERS = ("", "-1", "+1", " 1", "1 ", "0x10", "1e3", "1.5", "99999999999999999999", "18446744073709551617",
              "\uff11")
PORTS = ("99999", "65536", "-1", "+80", " 80", "80 ", "0x50", "http", "", "4294967376", "18446744073709551696")


@pytest.mark.parametrize("option", ["--content-limit", "--refresh", "--client-connections"])
def test_numbers(home, folder, option):
    data = os.path.join(folder, "data")
    more = {"--content-limit": ("0", "4294967297", "5G", "1T", "1kk", "9999999999G", "k"),
            "--refresh": ("0", "86401", "4294967356"), "--client-connections": ("0", "4097", "4294967297")}
    for value in (*NO_NUMBERS, *more[option]):
        done = home.wargfs("serve", "--data", data, "--import", "http://127.0.0.1:1", f"{option}={value}", status=2)
        assert "is no" in done.stderr, value
    assert not os.path.exists(data)


def test_numbers_of_a_mount(home, folder):
    for option, more in {"timeout": ("0",), "refresh": (), "max_age": (), "uid": ("4294967295", "4294967296"),
                         "gid": ("4294967295", "4294967296"), "umask": ("8", "1000", "0o22")}.items():
        for value in (*NO_NUMBERS, "4294967297", *more):
            done = home.wargfs("mount", "-o", f"{option}={value}", "http://127.0.0.1:1", folder, status=2)
            assert f"-o {option}" in done.stderr, (option, value)


@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]", "0.0.0.0"])
def test_ports(home, folder, host):
    """An invalid port is neither truncated to 16 bits nor looked up."""
    for port in PORTS:
        done = home.wargfs("serve", "--data", os.path.join(folder, "data"), "--namespace", "test", "--listen",
                           f"{host}:{port}", status=2)
        assert "is no address to listen on" in done.stderr, port


@pytest.mark.parametrize("port", [port for port in PORTS if port])
def test_ports_of_registries(home, port):
    assert home.wargfs("ls", "--registry", f"http://127.0.0.1:{port}/", "test", status=2).stderr


@pytest.mark.parametrize("registry", ["https://reg.example/", "reg.example/path", "user@reg.example",
                                      "reg.example:70000"])
def test_namespaces(home, folder, registry):
    """A namespace that clients would refuse is not signed; with valid options the registry then starts."""
    data = os.path.join(folder, "data")
    done = home.wargfs("serve", "--data", data, "--listen", "127.0.0.1:0", "--namespace", "team", "--namespace",
                       f"a={registry}", status=2)
    assert "the namespace a: " in done.stderr
    assert "0 records" in home.wargfs("serve", "fsck", "--data", data, status=1).stdout


@pytest.mark.parametrize("kind", ("datagram", "connected", "file", "closed"))
def test_no_socket_that_listens(home, folder, kind):
    """What a service manager hands over is refused, before it is told that a server is ready, unless it listens."""
    home.environment["LISTEN_FDS"] = "1"
    with contextlib.ExitStack() as held:
        if kind == "datagram":
            given = held.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        elif kind == "file":
            given = held.enter_context(open(os.devnull, "rb"))
        else:
            given, other = socket.socketpair()
            held.enter_context(given)
            held.enter_context(other)
        third = "3<&-" if kind == "closed" else f"3<&{given.fileno()}"
        done = home.run("bash", "-c", f'exec {third}; export LISTEN_PID=$$; exec "$0" "$@"', programs.WARGFS, "serve",
                        "--data", os.path.join(folder, "data"), pass_fds=(given.fileno(),), status=2)
    assert "hands over no socket that listens" in done.stderr and not done.stdout
