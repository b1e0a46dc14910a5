# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Where `wargfs serve` listens, the URL that it prints, and which Host it answers."""
import contextlib
import http.client
import json
import os

import pytest

import programs
from waiting import until

TLS = os.path.join(os.path.dirname(__file__), "../data/tls")
WITH_TLS = ("--tls-certificate", os.path.join(TLS, "certificate.pem"), "--tls-key", os.path.join(TLS, "key.pem"))
PUBLIC = "https://registry.example/"

# A network of its own, with an address that is no loopback one.
ALONE = ("unshare", "--net", "sh", "-c", "ip link set lo up && ip address add 192.0.2.7/32 dev lo && exec \"$@\"", "sh")
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root may have a network of its own")


@contextlib.contextmanager
def serving(home, *words, before=()):
    """What a server says of itself, and on its stderr."""
    paths = [os.path.join(home.path, name) for name in ("said", "complained")]
    with open(paths[0], "w") as out, open(paths[1], "w") as err:
        process = home.start(*before, programs.WARGFS, "serve", "--json", "--data", os.path.join(home.path, "data"),
                             *words, stdout=out, stderr=err)

    def read(path):
        with open(path) as file:
            return file.read()
    try:
        until(lambda: read(paths[0]).endswith("}\n") or process.poll() is not None, "it serves")
        said = read(paths[0])
        yield json.loads(said) if said else None, lambda: read(paths[1])
    finally:
        process.terminate()
        process.wait()


LISTENING = (
    ("8091", (), "127.0.0.1:8091", "http://127.0.0.1:8091/", ""),
    ("localhost:8091", (), "127.0.0.1:8091", "http://127.0.0.1:8091/", ""),
    ("LOCALHOST:8091", (), "127.0.0.1:8091", "http://127.0.0.1:8091/", ""),
    ("[::1]:8091", (), "[::1]:8091", "http://[::1]:8091/", ""),
    ("127.0.0.2:8091", WITH_TLS, "127.0.0.2:8091", "https://127.0.0.2:8091/", ""),
    (":8091", (), "0.0.0.0:8091", "http://127.0.0.1:8091/", "clients there refuse http"),
    ("0.0.0.0:8091", (), "0.0.0.0:8091", "http://127.0.0.1:8091/", "clients there refuse http"),
    ("[::]:8091", (), "[::]:8091", "http://127.0.0.1:8091/", "clients there refuse http"),
    ("192.0.2.7:8091", (), "192.0.2.7:8091", None, "clients there refuse http"),
    ("192.0.2.7:8091", WITH_TLS, "192.0.2.7:8091", "https://192.0.2.7:8091/", ""),
    (":8091", WITH_TLS, "0.0.0.0:8091", None, "https://NAME:8091/"),
    (":8091", (*WITH_TLS, "--public-url", PUBLIC), "0.0.0.0:8091", PUBLIC, ""),
    (":8091", ("--public-url", PUBLIC), "0.0.0.0:8091", PUBLIC, ""),
    (":8091", ("--public-url", "http://r.example"), "0.0.0.0:8091", "http://r.example/", "clients there refuse http"),
)


@needs_root
@pytest.mark.parametrize("listen, words, address, url, warned", LISTENING, ids=lambda value: str(value)[:30])
def test_listen(home, listen, words, address, url, warned):
    """No URL is printed that no client takes; who listens to other machines without TLS is told what is missing."""
    with serving(home, "--listen", listen, *words, before=ALONE) as (said, complaints):
        assert said["address"] == address and said["registry"] == url
        assert warned in complaints() and ("--public-url" in complaints()) == bool(warned)


@pytest.mark.parametrize("listen", (":", "nowhere", "localhost:", "localhost", "[::1]", "::1", "registry.test:80",
                                    "localhost:65536", ":http", "65536", "-1", "80 ", "[]:0", "[x]:0"))
def test_no_address(home, listen):
    done = home.wargfs("serve", "--data", os.path.join(home.path, "data"), "--listen", listen, status=2)
    assert f"'{listen}' is no address to listen on" in done.stderr


BROWSER = {"User-Agent": "Mozilla/5.0 (X11)", "Accept-Language": "en"}


def ask(port, host, path="/v1/fetch/checkpoint", headers=()):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.putrequest("GET", path, skip_host=True)
        for name, value in ({"Host": host} | dict(headers)).items():
            connection.putheader(name, value)
        connection.endheaders()
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


STRANGERS = ("evil.example", "evil.example:8090", "localhost.evil.example", "127.0.0.1.evil.example", "[::1",
             "x.registry.example", "evil.example.", "localhost.evil")


def test_host(serve):
    """A web page whose name leads to 127.0.0.1 cannot read the registry as if it were its own server."""
    server = serve("--public-url", "https://registry.example:8443/r/", "--content-base-url", "https://cdn.example/")
    port = server.address[1]
    for host in ("127.0.0.1", f"127.0.0.1:{port}", "127.9.9.9:1", "localhost", "LOCALHOST:80", "localhost.", "[::1]:80",
                 "box.localhost:80", "registry.example", "REGISTRY.example:443", "cdn.example", "registry:8090", "x"):
        assert ask(port, host, headers=BROWSER)[0] == 200, host
    for host in STRANGERS:
        status, body = ask(port, host, headers=BROWSER)
        assert status == 421 and b"--public-url" in body, (host, status)
        # A proxy on this machine keeps the host that it was asked for.
        assert ask(port, host)[0] == 200, host
    for headers in ({"User-Agent": "Mozilla/"}, {"Accept-Language": ""}, {"Sec-Fetch-Mode": "cors"}):
        assert ask(port, "evil.example", "/metrics", headers)[0] == 421
    assert ask(port, "evil.example", "/healthz", BROWSER)[0] == 421


@needs_root
def test_host_of_others(home):
    """A server for other machines is asked by names that it does not know."""
    with serving(home, "--listen", "0.0.0.0:8091", before=ALONE) as (said, _):
        done = home.run("nsenter", "--net", "--target", str(said["pid"]), "curl", "-sS", "-H",
                        "Host: registry.lan.example", "-A", "Mozilla/5.0", "http://127.0.0.1:8091/healthz")
        assert done.stdout == "ok\n"
