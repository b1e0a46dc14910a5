"""https: a server whose certificate nobody vouches for is not spoken to."""
import http.server
import os
import ssl
import threading

import pytest

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
    done = home.wargfs("update", "--registry", f"https://{host}:{port}", status=1)
    assert "certificate" in done.stderr
    assert asked == []
