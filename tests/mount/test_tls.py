# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""https: a server whose certificate nobody vouches for is not spoken to; ours is not kept busy by a client."""
import contextlib
import http.server
import os
import socket
import ssl
import threading

import pytest

from waiting import until

DATA = os.path.join(os.path.dirname(__file__), "../data/tls")


@pytest.fixture
def stranger():
    """The port of an https server that answers anything; and what it was asked."""
    asked = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            self.send_error(404)

        def log_message(self, *_):
            pass

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(os.path.join(DATA, "certificate.pem"), os.path.join(DATA, "key.pem"))

    class Server(http.server.ThreadingHTTPServer):
        def handle_error(self, *_):
            """The client breaks off: that is what is tested."""

        def get_request(self):
            connection, address = self.socket.accept()
            return context.wrap_socket(connection, server_side=True, do_handshake_on_connect=False), address

    with Server(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server.server_port, asked
        server.shutdown()
        thread.join()


@pytest.mark.parametrize("host", ("localhost", "127.0.0.1"))
def test_unknown_certificate(home, stranger, host):
    port, asked = stranger
    done = home.wargfs("update", "--registry", f"https://{host}:{port}", status=6)
    assert "certificate" in done.stderr
    assert asked == []


def is_at_rest(pid):
    """Whether no thread of a process runs, as often as one looks."""
    for _ in range(200):
        for task in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{task}/stat") as file:
                if file.read().rpartition(")")[2].split()[0] == "R":
                    return False
    return True


def test_half_a_handshake(serve):
    """While a client does not go on with its handshake, the server waits; it does not look again and again."""
    server = serve("--tls-certificate", os.path.join(DATA, "certificate.pem"), "--tls-key",
                   os.path.join(DATA, "key.pem"))
    out = ssl.MemoryBIO()
    with contextlib.suppress(ssl.SSLWantReadError):
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).wrap_bio(ssl.MemoryBIO(), out, server_hostname="x").do_handshake()
    with socket.create_connection(server.address, timeout=30) as client:
        client.sendall(out.read())
        assert client.recv(1)
        until(lambda: is_at_rest(server.process.pid), "the server is at rest", 20)
