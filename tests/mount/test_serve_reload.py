# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""SIGHUP: a server reads its files again, all of them or none, while it serves."""
import hashlib
import os
import signal
import socket
import ssl
import threading

import pytest

import forge
from publisher import Record, init, release
from registry import wasm
from waiting import until

CONTENT = wasm(700, 71)
TLS = os.path.join(os.path.dirname(__file__), "../data/tls")


def write(path, text):
    with open(path, "w", opener=lambda name, flags: os.open(name, flags, 0o600)) as file:
        file.write(text)
    return path


def hang_up(server):
    server.process.send_signal(signal.SIGHUP)


def said(server):
    with open(server.log) as file:
        return file.read()


def authorized(*keys):
    return "[namespace.test]\nkeys = [" + ", ".join(f'"{key.id}"' for key in keys) + "]\n"


def test_token(serve, connect, home):
    """After SIGHUP the new token works and the old one does not. An unreadable file changes nothing."""
    path = write(os.path.join(home.path, "token"), "first")
    server = serve("--auth-token-file", path)
    client = connect(server)

    def status(token, name=iter(range(10**6))):
        return client.send(Record(f"test:a{next(name)}", init()), authorization=f"Bearer {token}").status
    assert (status("first"), status("second")) == (202, 401)
    write(path, "second")
    hang_up(server)
    until(lambda: status("second") == 202, "the new token counts")
    assert status("first") == 401
    for text, why in (("", "holds no token"), ("two words", "white space"), (None, "No such file")):
        os.unlink(path)
        if text is not None:
            write(path, text)
        hang_up(server)
        until(lambda: why in said(server), "it says that it goes on as before")
        assert "nothing was read again" in said(server)
        assert (status("second"), status("")) == (202, 401)


def test_authorized_keys(serve, connect, home):
    """Added keys may publish, removed ones may not; with a broken file nothing changes, the token included."""
    path = write(os.path.join(home.path, "keys"), authorized(forge.PUBLISHER))
    token = write(os.path.join(home.path, "token"), "first")
    server = serve("--authorized-keys-file", path, "--auth-token-file", token)
    client = connect(server)

    def status(key, name=iter(range(10**6))):
        record = Record(f"test:b{next(name)}", init(key), key=key)
        return client.send(record, authorization="Bearer first").status
    assert (status(forge.PUBLISHER), status(forge.STRANGER)) == (202, 401)
    write(path, authorized(forge.STRANGER))
    hang_up(server)
    until(lambda: status(forge.STRANGER) == 202, "the new key counts")
    assert status(forge.PUBLISHER) == 401
    write(path, "[namespace.test\nkeys = 1")
    write(token, "second")
    hang_up(server)
    until(lambda: "nothing was read again" in said(server), "it says so")
    assert (status(forge.STRANGER), status(forge.PUBLISHER)) == (202, 401)


def shown_certificate(server):
    return hashlib.sha256(ssl.PEM_cert_to_DER_cert(ssl.get_server_certificate(server.address))).hexdigest()


def of_file(name):
    with open(os.path.join(TLS, name)) as file:
        return hashlib.sha256(ssl.PEM_cert_to_DER_cert(file.read())).hexdigest()


def copy_pair(home, prefix=""):
    for name in ("certificate.pem", "key.pem"):
        with open(os.path.join(TLS, prefix + name)) as file:
            write(os.path.join(home.path, name), file.read())


def test_certificate(serve, home):
    """New connections see the new certificate, open ones continue; also after more reloads than old ones are kept."""
    copy_pair(home)
    server = serve("--tls-certificate", os.path.join(home.path, "certificate.pem"), "--tls-key",
                   os.path.join(home.path, "key.pem"))
    anybody = ssl._create_unverified_context()
    with anybody.wrap_socket(socket.create_connection(server.address)) as kept:
        for i in range(12):
            prefix = "" if i % 2 else "other_"
            copy_pair(home, prefix)
            hang_up(server)
            until(lambda: shown_certificate(server) == of_file(prefix + "certificate.pem"), lambda: said(server))
        kept.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert kept.recv(12) == b"HTTP/1.1 200"
        write(os.path.join(home.path, "key.pem"), "no key")
        hang_up(server)
        until(lambda: "cannot be used; nothing was read again" in said(server), lambda: said(server))
        assert shown_certificate(server) == of_file("certificate.pem")
    assert "open" not in said(server)


def test_operator_key(serve, connect, home):
    """A reload cannot change the operator's key; SIGHUP does not end a server without files."""
    path = write(os.path.join(home.path, "key"), forge.OPERATOR.text)
    server = serve("--operator-key-file", path)
    hang_up(server)
    write(path, forge.STRANGER.text)
    hang_up(server)
    until(lambda: "another operator's key" in said(server), "it says so")
    client = connect(server)
    client.publish(Record("test:still", init(), release("1.0.0", CONTENT)), CONTENT)
    assert client.checkpoint()["keyId"] == forge.OPERATOR.id


@pytest.mark.parametrize("option, text", [
    ("--auth-token-file", "a-token"), ("--operator-key-file", forge.OPERATOR.text),
    ("--authorized-keys-file", authorized(forge.PUBLISHER))])
def test_pipe(serve, home, option, text):
    """A pipe is read at the start. Later it is not waited for: the server can be ended."""
    path = os.path.join(home.path, "pipe")
    os.mkfifo(path, 0o600)
    writer = threading.Thread(target=write, args=(path, text))
    writer.start()
    server = serve(option, path)
    writer.join()
    hang_up(server)
    server.process.terminate()
    assert server.process.wait(30) == 0
    assert f"{path} is a pipe" in said(server)


@pytest.mark.parametrize("more", [(), ("--auth-token-file",)])
def test_nothing_to_read(serve, connect, home, more):
    server = serve(*more, *([write(os.path.join(home.path, "token"), "x")] if more else []))
    for _ in range(3):
        hang_up(server)
    assert connect(server).checkpoint()["contents"]["logLength"] == 1
    server.terminate()


def test_said_once(serve, home):
    """A repeated sentence is logged rarely."""
    path = write(os.path.join(home.path, "token"), "x")
    server = serve("--auth-token-file", path)
    os.unlink(path)
    for _ in range(5):
        hang_up(server)
        until(lambda: "nothing was read again" in said(server), "it says so")
    other = write(path, "")
    hang_up(server)
    until(lambda: "holds no token" in said(server), "it says another thing")
    assert os.path.exists(other) and said(server).count("No such file") == 1


def test_told_twice_to_end(serve):
    """The first signal lets accepted requests finish; the second one ends at once."""
    server = serve()
    with socket.create_connection(server.address) as slow:
        slow.sendall(b"POST /v1/fetch/names HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\n{")
        until(lambda: b"connections 2\n" in server.get("metrics"),
              lambda: server.get("metrics").decode())

        def is_gone():
            server.process.terminate()
            return server.process.poll() is not None
        until(is_gone, "the server ends")
    assert server.process.returncode == -signal.SIGTERM
