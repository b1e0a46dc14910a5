# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""How a registry is reached, and where its contents are: two URLs, and what moves with each."""
import http.server
import os
import threading

import pytest

from publisher import Record, digest, init, release
from registry import wasm

CONTENT = wasm(4000, 41)
NAME = digest(CONTENT).replace(":", "-")
PATHS = ".well-known/wasm-pkg/registry.json", ".well-known/warg/registry.json"


def source(client):
    return client.ask("GET", f"v1/content/{digest(CONTENT)}").json["contentSources"][digest(CONTENT)][0]["url"]


@pytest.mark.parametrize("option, environment", [(("--content-base-url", "https://cdn.example/warg"), {}),
                                                 ((), {"WARG_CONTENT_BASE_URL": "https://cdn.example/warg/"})])
def test_contents_elsewhere(serve, connect, home, option, environment):
    """Sources name the other host, and nothing else does: uploads, discovery and the URL that is printed stay."""
    server = serve(*option, environment=environment)
    client = connect(server)
    record = Record("test:elsewhere", init(), release("1.0.0", CONTENT))
    assert client.send(record).json["missingContent"][digest(CONTENT)]["upload"][0]["url"].startswith("v1/package/")
    assert client.upload(record, CONTENT).status == 201
    assert source(client) == f"https://cdn.example/warg/content/{NAME}"
    assert client.ask("GET", f"content/{NAME}").body == CONTENT
    for path in PATHS:
        assert client.ask("GET", path).json == {}
    with open(server.log) as file:
        said = file.read()
    assert f"registry    {server.url}\n" in said and "contents    https://cdn.example/warg/content/\n" in said


def test_public_url(serve, connect):
    """It is printed and discovered, and contents are there, too. `wargUrl` is an error to wkg: only who asked at
    another host has to be told so."""
    server = serve("--public-url", "https://reg.example")
    client = connect(server)
    client.publish(Record("test:public", init(), release("1.0.0", CONTENT)), CONTENT)
    assert source(client) == f"https://reg.example/content/{NAME}"
    named = {"warg": {"url": "https://reg.example/"}}
    for host, is_there in (("reg.example", True), ("REG.example:443", True), ("reg.example:80", False),
                           ("reg.example:8443", False), ("example", False), ("xreg.example", False), ("", False)):
        answer = client.ask("GET", PATHS[0], host=host).json
        assert answer == (named if is_there else {**named, "wargUrl": "https://reg.example/"}), host
    assert client.ask("GET", PATHS[1], host="reg.example").json == {**named, "wargUrl": "https://reg.example/"}
    with open(server.log) as file:
        assert "registry    https://reg.example/\n" in file.read()


def test_public_url_with_a_path(serve, connect):
    """The registry is at the path only, though the host is the same: that is said in each form."""
    client = connect(serve("--public-url", "http://reg.example:80/warg", "--content-base-url", "https://cdn.example"))
    client.publish(Record("test:path", init(), release("1.0.0", CONTENT)), CONTENT)
    url = "http://reg.example:80/warg/"
    assert client.ask("GET", PATHS[0], host="reg.example").json == {"warg": {"url": url}, "wargUrl": url}
    assert source(client) == f"https://cdn.example/content/{NAME}"


def test_neither(serve, connect):
    for path in PATHS:
        assert connect(serve()).ask("GET", path).json == {}


@pytest.mark.parametrize("option", ["--public-url", "--content-base-url"])
@pytest.mark.parametrize("url", ["ftp://x", "reg.example", "https://user@reg.example/", "https://reg.example/?a",
                                 "https://reg.example/#a", "https://", "https:///a", "http://:80/", "https://r\x1b[m/",
                                 "https://reg.example/\n", "https://r\udcff/", "https://r\u00e9g.example/"])
def test_no_url(home, folder, option, url):
    done = home.wargfs("serve", "--data", os.path.join(folder, "data"), option, url, status=2)
    assert "is not the URL" in done.stderr and "user" not in done.stderr
    assert not os.path.exists(os.path.join(folder, "data"))


def test_reference_goes_there(serve, connect, new_home):
    """`warg` asks at one host and goes on at the other, as `wargfs` does."""
    server = serve()
    server.terminate()
    port = server.address[1]
    server.more = "--public-url", f"http://localhost:{port}", "--listen", f"127.0.0.1:{port}"
    server.start()
    connect(server).publish(Record("test:there", init(), release("1.0.0", CONTENT)), CONTENT)
    for way in "warg", "wargfs":
        home = new_home()
        home.configure(server.url)
        getattr(home, way)("download", "test:there", "--version", "1.0.0", "--output", "out.wasm")
        assert os.listdir(os.path.join(home.cache, "registries")) == [f"localhost-{port}"]


# ---- A host that has nothing but contents ----


class ContentHost(http.server.SimpleHTTPRequestHandler):
    asked = []

    def __init__(self, *arguments, folder=None):
        super().__init__(*arguments, directory=folder)

    def log_message(self, *_):
        self.asked.append(self.path)


@pytest.fixture
def content_host(folder):
    """Any web server, with the folder of contents as /content/."""
    root = os.path.join(folder, "web")
    os.makedirs(root)

    class Handler(ContentHost):
        asked = []

        def __init__(self, *arguments):
            super().__init__(*arguments, folder=root)

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as host:
        host.root, host.asked = root, Handler.asked
        thread = threading.Thread(target=host.serve_forever)
        thread.start()
        yield host
        host.shutdown()
        thread.join()


def test_contents_only_host(serve, connect, new_home, new_mount, content_host):
    """`warg`, `wargfs` and a mount fetch contents there, and only contents."""
    server = serve("--content-base-url", f"http://127.0.0.1:{content_host.server_port}")
    os.symlink(os.path.join(server.contents, "files"), os.path.join(content_host.root, "content"))
    client = connect(server)
    client.publish(Record("test:far", init(), release("1.0.0", CONTENT)), CONTENT)
    ways = []
    for way in "warg", "wargfs":
        home = new_home()
        home.configure(server.url)
        getattr(home, way)("download", "test:far", "--version", "1.0.0", "--output", "out.wasm")
        with open(os.path.join(home.work, "out.wasm"), "rb") as file:
            assert file.read() == CONTENT
        ways.append(content_host.asked[:])
        content_host.asked.clear()
    with open(os.path.join(new_mount(server.url).path, "test/far/1.0.0.wasm"), "rb") as file:
        assert file.read() == CONTENT
    assert set(map(str, ways)) == {str([f"/content/{NAME}"])} and set(content_host.asked) == {f"/content/{NAME}"}
    metrics = client.ask("GET", "metrics").body.decode()
    assert 'path="/content/*"' not in metrics, "this server sent a content itself"
