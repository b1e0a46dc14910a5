# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""https with an authority of one's own, and a registry behind a proxy (tls.py)."""
import json
import os
import re
import shutil
import subprocess
import types

import pytest

import programs
from mounts import daemons, mounted_at, read, unmount
from publisher import Client, Record, init, release
from registry import wasm
from tls import Authority, Proxy
from waiting import until

CONTENT = wasm(900, 77)
FOREIGN = os.path.join(os.path.dirname(__file__), "../data/tls/certificate.pem")


@pytest.fixture(scope="module")
def secure(everything):
    """A registry with https and one release: its URL by address, and by a name that is no loopback host to us."""
    folder = os.path.join(everything, "authority")
    os.makedirs(folder)
    authority = Authority(folder)
    certificate, key = authority.certify("DNS:localhost", "IP:127.0.0.1", "DNS:registry.localhost")
    server = programs.OwnServer(programs.Home(os.path.join(everything, "secure")))
    client = Client(server)
    client.publish(Record("test:hello", init(), release("1.0.0", CONTENT)), CONTENT)
    client.close()
    server.more = ("--tls-certificate", certificate, "--tls-key", key, "--listen", "127.0.0.1:%d" % server.address[1])
    server.restart()
    by_hash = os.path.join(folder, "by-hash")
    os.makedirs(by_hash)
    shutil.copy(authority.certificate, by_hash)
    subprocess.run(["openssl", "rehash", by_hash], check=True, capture_output=True)
    port = server.address[1]
    yield types.SimpleNamespace(ca=authority.certificate, by_hash=by_hash, server=server, address=server.address,
                                certificate=certificate, key=key,
                                url=f"https://127.0.0.1:{port}", far=f"https://registry.localhost:{port}")
    server.end()
    shutil.rmtree(folder)


@pytest.fixture
def bare(home):
    """A home with none of the environment's own words about the network."""
    words = re.compile(r"(https?|all|no)_proxy|SSL_CERT_\w+|CURL_CA_BUNDLE", re.I)
    home.environment = {name: value for name, value in home.environment.items() if not words.fullmatch(name)}
    return home


def update(home, url, *words, status=0, **environment):
    home.environment.update(environment)
    try:
        return home.wargfs("update", "--registry", url, *words, status=status)
    finally:
        for name in environment:
            del home.environment[name]


def test_ways_to_trust(bare, secure):
    """Each way works by itself; the option counts more than the settings, and these more than the environment."""
    shutil.copy(secure.ca, os.path.join(bare.work, "ca.pem"))
    assert "--cacert" in update(bare, secure.url, status=6).stderr
    update(bare, secure.url, "--cacert", "ca.pem")
    update(bare, secure.url, "--cacert", secure.ca, CURL_CA_BUNDLE=FOREIGN)
    update(bare, secure.url, SSL_CERT_FILE="ca.pem")
    update(bare, secure.url, SSL_CERT_DIR=secure.by_hash)
    update(bare, secure.url, CURL_CA_BUNDLE=secure.ca, SSL_CERT_FILE="/nonexistent", SSL_CERT_DIR="/nonexistent")
    for wrong in ({"CURL_CA_BUNDLE": FOREIGN, "SSL_CERT_FILE": secure.ca}, {"SSL_CERT_FILE": ""}):
        assert "certificate" in update(bare, secure.url, status=6, **wrong).stderr
    assert "certificate" in update(bare, secure.url, "--cacert", FOREIGN, status=6, SSL_CERT_FILE=secure.ca).stderr


def test_settings(bare, secure):
    """wargfs config --cacert FILE is for every command, until it is none; other settings stay."""
    shutil.copy(secure.ca, os.path.join(bare.work, "ca.pem"))
    key = "sha256:" + "0" * 64
    bare.wargfs("config", "--registry", "https://other.test", "--operator-key", key)
    bare.wargfs("config", "--cacert", "ca.pem")
    shown = json.loads(bare.wargfs("config", "--json").stdout)
    assert shown["caFile"] == os.path.join(bare.work, "ca.pem") and list(shown["operatorKeys"].values()) == [key]
    update(bare, secure.url, SSL_CERT_FILE=FOREIGN)
    bare.wargfs("config", "--operator-key", "none")
    update(bare, secure.url)
    os.unlink(os.path.join(bare.work, "ca.pem"))
    assert "ca.pem" in update(bare, secure.url, status=1).stderr
    bare.wargfs("config", "--cacert", "none")
    assert "certificate" in update(bare, secure.url, status=6).stderr
    assert "caFile" not in json.loads(bare.wargfs("config", "--json").stdout)


@pytest.mark.parametrize("word, status", (("/nonexistent", 1), (os.devnull, 2), (__file__, 2), ("/", 1)))
def test_no_certificates(bare, secure, word, status):
    """What holds none is said at once, and to `config` before it is kept."""
    assert word in update(bare, secure.url, "--cacert", word, status=status).stderr
    assert word in bare.wargfs("config", "--cacert", word, status=status).stderr
    assert not os.path.exists(os.path.join(bare.path, ".config/wargfs/settings.json"))


def test_another_users_environment(bare, secure):
    """A program with more rights than the user who called it does not go by this user's certificates."""
    if os.geteuid():
        pytest.skip("only root may lend its rights")
    bare.environment["SSL_CERT_FILE"] = secure.ca

    def borrow():
        os.setreuid(65534, 0)
    done = bare.wargfs("update", "--registry", secure.url, status=6, preexec_fn=borrow)
    assert "certificate" in done.stderr
    bare.wargfs("update", "--registry", secure.url)


def end_mount(place):
    unmount(place)
    until(lambda: not daemons(place), "the daemon ends")


def test_mount(bare, secure, folder):
    """A daemon keeps a relative path through its change of folder, and what the environment said at its start."""
    shutil.copy(secure.ca, os.path.join(bare.work, "ca.pem"))
    place = os.path.join(folder, "mnt")
    os.makedirs(place)
    for words in (("-o", "cacert=ca.pem"), ("--cacert", "ca.pem")):
        bare.wargfs("mount", *words, secure.url, place)
        try:
            secure.server.restart() # and so each request has to connect anew
            assert read(os.path.join(place, "test/hello/1.0.0.wasm")) == CONTENT
        finally:
            end_mount(place)
        bare.wargfs("clear", "--yes")
    done = bare.wargfs("mount", "-o", "cacert=ca.pem", "--cacert", FOREIGN, secure.url, place, status=2)
    assert "two files of certificates" in done.stderr


def test_covered(bare, secure, folder):
    """Certificates below the mount point would be read through the mount itself."""
    for words, environment in ((("--cacert", secure.ca), {}), ((), {"SSL_CERT_DIR": secure.by_hash})):
        bare.environment.update(environment)
        done = bare.wargfs("mount", *words, secure.url, os.path.dirname(secure.ca), status=2)
        assert "would hide" in done.stderr
    assert not mounted_at(os.path.dirname(secure.ca))


def test_helper(bare, secure, folder):
    """mount.wargfs takes the word, and says what is wrong with it."""
    place, helper = os.path.join(folder, "mnt"), os.path.join(folder, "mount.wargfs")
    os.makedirs(place)
    os.symlink(os.path.realpath(programs.WARGFS), helper)
    assert "/nonexistent" in bare.run(helper, secure.url, place, "-o", "cacert=/nonexistent", status=32).stderr
    bare.run(helper, secure.url, place, "-o", "ro,cacert=" + secure.ca)
    try:
        assert os.listdir(place)
    finally:
        end_mount(place)


def test_import(bare, secure, bring):
    """The origin of a mirror."""
    mirror = bring(secure.url, "--cacert", secure.ca)
    assert json.loads(mirror.get("v1/fetch/checkpoint"))["contents"]["logLength"] == 2
    done = bare.wargfs("serve", "--data", "d", "--cacert", secure.ca, status=2)
    assert "--import" in done.stderr


@pytest.fixture
def proxy(secure):
    proxy = Proxy(secure.address)
    yield proxy
    proxy.close()


def test_proxy(bare, secure, proxy):
    """https goes through the proxy by the host's name, with the certificates checked as without one."""
    trust = ("--cacert", secure.ca)
    host = secure.far.partition("//")[2]
    for name in ("https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"):
        update(bare, secure.far, *trust, **{name: proxy.url})
        assert proxy.asked and all(asked == ["CONNECT", host] for asked in proxy.asked)
        proxy.asked.clear()
    assert "certificate" in update(bare, secure.far, status=6, https_proxy=proxy.url).stderr
    proxy.asked.clear()
    for words in ({"https_proxy": proxy.url, "no_proxy": "registry.localhost"},
                  {"all_proxy": proxy.url, "NO_PROXY": "*"}, {"http_proxy": proxy.url}, {"https_proxy": ""}):
        update(bare, secure.far, *trust, **words)
        assert not proxy.asked, words
    update(bare, secure.url, *trust, https_proxy=proxy.url)
    assert not proxy.asked, "a proxy stood between this machine and itself"


def test_proxy_refuses(bare, secure, proxy):
    """What the proxy says is told as its own; its password is not."""
    proxy.login = "me:se%63ret"
    trust = ("--cacert", secure.ca)
    assert "proxy wants a login" in update(bare, secure.far, *trust, status=6, https_proxy=proxy.url).stderr
    proxy.login = "me:secret"
    with_login = proxy.url.replace("//", "//me:se%63ret@")
    update(bare, secure.far, *trust, https_proxy=with_login)
    said = update(bare, secure.far, *trust, status=6, https_proxy=with_login.replace("me:", "you:")).stderr
    assert "refuses the login in its URL" in said and "you" not in said and "se%63ret" not in said
    proxy.cuts = True
    said = update(bare, secure.far, *trust, status=6, https_proxy=with_login).stderr
    assert "closed during the TLS handshake" in said and "does not speak" not in said
    proxy.cuts = False
    proxy.refuses = True
    said = update(bare, secure.far, *trust, status=6, https_proxy=with_login).stderr
    assert "proxy refuses" in said and "403" in said and "se%63ret" not in said and "secret" not in said


@pytest.mark.parametrize("url", [
    "http://me:secret word@HOST", "http://me:secret@127.0.0.1:99999", "gopher://me:secret@HOST", "http://me:secret@",
    "me:secret@[::1", "http://me:secret/@HOST", "http://me%00:secret@HOST", "http://me:secret\x01@HOST",
    "me:secret@ftp.localhost", "http://me:secret" + "x" * 300 + " @HOST"])
def test_proxy_without_a_url(bare, secure, proxy, url):
    """Curl would quote it whole, or go without it; nothing of the password is shown, and nothing is sent."""
    url = url.replace("HOST", proxy.url.partition("//")[2])
    done = update(bare, secure.far, "--cacert", secure.ca, status=6, https_proxy=url)
    assert "the proxy's URL" in done.stderr and "secret" not in done.stderr and "xxx" not in done.stderr
    assert not proxy.asked
    # Where no proxy is used, a wrong one does no harm.
    update(bare, secure.url, "--cacert", secure.ca, https_proxy=url)


# ---- A proxy in front of the server, as wargfs-serve(1) has it ----

AROUND = """
daemon off;
{user}
pid {folder}/pid;
error_log stderr;
events {{}}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
{server}
}}
"""


def from_page(**values):
    """The server of nginx in the page, word for word but for these."""
    with open(os.path.join(programs.HERE, "../../man/wargfs-serve.1"), encoding="utf-8") as file:
        block = re.search(r"^server \{$.*?^\}$", file.read(), re.M | re.S)[0]
    for written, meant in values.items():
        assert block.count(written) == 1, written
        block = block.replace(written, meant)
    return block


@pytest.fixture
def proxied(serve, secure, folder):
    """The URL of nginx before a server that knows of it."""
    nginx = shutil.which("nginx", path=os.environ["PATH"] + ":/usr/sbin")
    if not nginx:
        pytest.skip("nginx is not here")
    port = programs.free_address().rpartition(":")[2]
    url = f"https://localhost:{port}/"
    server = serve("--public-url", url)
    config = os.path.join(folder, "nginx.conf")
    block = from_page(**{"listen 443": f"listen 127.0.0.1:{port}", "team.example": "localhost",
                         "/etc/ssl/team.pem": secure.certificate, "/etc/ssl/team.key": secure.key,
                         "127.0.0.1:8090": "127.0.0.1:%d" % server.address[1]})
    with open(config, "w") as file:
        file.write(AROUND.format(folder=folder, server=block, user="" if os.geteuid() else "user root;"))
    process = server.home.start(nginx, "-e", "stderr", "-c", config, stderr=subprocess.PIPE, text=True)
    until(lambda: os.path.exists(os.path.join(folder, "pid")) or process.poll() is not None, "nginx listens")
    assert process.poll() is None, process.stderr.read()
    yield url
    process.terminate()
    process.wait()
    process.stderr.close()


def test_proxied(bare, secure, proxied):
    """Publishing and reading through the proxy, by its own certificate."""
    bare.wargfs("config", "--registry", proxied, "--cacert", secure.ca, "--keyring-backend", "flat-file")
    bare.wargfs("key", "new")
    with open(os.path.join(bare.work, "big.wasm"), "wb") as file:
        file.write(wasm(3 << 20, 78))
    bare.wargfs("publish", "release", "-n", "test:big", "-v", "1.0.0", "big.wasm")
    bare.wargfs("download", "test:big", "-o", "out.wasm")
    assert read(os.path.join(bare.work, "out.wasm")) == wasm(3 << 20, 78)
