# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""What stands between a client and a registry elsewhere: an authority of one's own, and a proxy that tunnels."""
import base64
import contextlib
import os
import socket
import socketserver
import subprocess
import threading


class Authority:
    """Makes certificates, by openssl."""

    def __init__(self, folder):
        self.folder = folder
        self.certificate = os.path.join(folder, "ca.pem")
        self.openssl("req", "-x509", *self.KEY, "-days", "2", "-subj", "/CN=Test authority", "-keyout", "ca.key",
                     "-out", "ca.pem")

    KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")

    def openssl(self, *words):
        subprocess.run(["openssl", *words], cwd=self.folder, check=True, capture_output=True, stdin=subprocess.DEVNULL)

    def certify(self, *names):
        """The paths of a certificate for these names, and of its key."""
        self.openssl("req", "-x509", *self.KEY, "-days", "2", "-subj", "/CN=server", "-CA", "ca.pem", "-CAkey",
                     "ca.key", "-addext", "basicConstraints=critical,CA:FALSE", "-addext",
                     "subjectAltName=" + ",".join(names), "-keyout", "server.key", "-out", "server.pem")
        return os.path.join(self.folder, "server.pem"), os.path.join(self.folder, "server.key")


def pump(source, sink):
    with contextlib.suppress(OSError):
        while data := source.recv(1 << 16):
            sink.sendall(data)
    for end in (source, sink):
        with contextlib.suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)


class Tunnel(socketserver.StreamRequestHandler):
    def handle(self):
        request, login = self.rfile.readline().decode().split(), None
        while (line := self.rfile.readline().strip()):
            name, _, value = line.decode().partition(": ")
            login = value if name.lower() == "proxy-authorization" else login
        proxy = self.server.proxy
        if proxy.login and login != "Basic " + base64.b64encode(proxy.login.encode()).decode():
            self.wfile.write(b"HTTP/1.1 407 Login\r\nproxy-authenticate: Basic realm=x\r\ncontent-length: 0\r\n\r\n")
            return
        proxy.asked.append(request[:2])
        if proxy.refuses:
            self.wfile.write(b"HTTP/1.1 403 No\r\ncontent-length: 0\r\n\r\n")
            return
        if proxy.cuts:
            self.wfile.write(b"HTTP/1.1 200 Connected\r\n\r\n")
            self.connection.recv(1 << 16)
            return
        with socket.create_connection(proxy.target) as far:
            self.wfile.write(b"HTTP/1.1 200 Connected\r\n\r\n")
            back = threading.Thread(target=pump, args=(far, self.connection))
            back.start()
            pump(self.connection, far)
            back.join()


class Proxy:
    """Takes whoever asks for any host to one target. What was asked is in `asked`: ["CONNECT", "HOST:PORT"]."""

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True

        def handle_error(self, *_):
            """The client may leave at any time."""

    def __init__(self, target):
        self.target, self.asked, self.login, self.refuses, self.cuts = target, [], None, False, False
        self.server = self.Server(("127.0.0.1", 0), Tunnel)
        self.server.proxy = self
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        self.thread = threading.Thread(target=self.server.serve_forever)
        self.thread.start()

    def close(self):
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()
