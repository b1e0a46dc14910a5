# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""A proxy before the real warg-server that counts the calls, and lies where it is told to.

Its lies are functions that change an Answer: what it says (status, type, body) or how it travels (`send`). While it is
told nothing it is honest, but for the addresses of contents, which it turns into its own, so that they too pass here.
"""
import base64
import contextlib
import http.client
import http.server
import io
import json
import re
import socket
import sys
import threading
import time
import traceback
from dataclasses import dataclass, field

DIGEST = "sha256:[0-9a-f]{64}"
RECORD = f"/v1/package/{DIGEST}/record"
CALLS = [(call, method, re.compile(path)) for call, method, path in (
    ("well-known", "GET", r"/\.well-known/wasm-pkg/registry\.json"),
    ("checkpoint", "GET", r"/v1/fetch/checkpoint"),
    ("logs", "POST", r"/v1/fetch/logs"),
    ("names", "POST", r"/v1/fetch/names"),
    ("ledger", "GET", r"/v1/ledger"),
    ("records", "GET", r"/v1/ledger/records/\d+"),
    ("inclusion", "POST", r"/v1/proof/inclusion"),
    ("consistency", "POST", r"/v1/proof/consistency"),
    ("sources", "GET", r"/v1/content/sha256:[0-9a-f]{64}"),
    ("size", "HEAD", r"/content/.*"),
    ("bytes", "GET", r"/content/.*"),
    ("publish", "POST", RECORD),
    ("record", "GET", rf"{RECORD}/{DIGEST}"),
    ("upload", "POST|PUT", rf"{RECORD}/{DIGEST}/content/{DIGEST}"),
)]


def call_of(method, path):
    for call, its_method, its_path in CALLS:
        if method in its_method.split("|") and its_path.fullmatch(path):
            return call
    return f"{method} {path}"


@dataclass
class Call:
    name: str
    path: str
    request: bytes
    began: float
    ended: float = None
    headers: dict = field(default_factory=dict)


@dataclass
class Answer:
    """An answer on its way from the real server."""
    call: Call
    status: int
    headers: dict
    body: bytes
    send: object = field(default=None)
    ask: object = field(default=None)  # ask(path, request): what the real server says to something else, as JSON
    liar: object = field(default=None)

    @property
    def json(self):
        return json.loads(self.body)

    @json.setter
    def json(self, value):
        self.body = json.dumps(value, separators=(",", ":")).encode()


def keep_port():
    """A socket at a free port: while it is there, no other program gets the port, listened at or not."""
    kept = socket.socket()
    kept.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    kept.bind(("127.0.0.1", 0))
    return kept


class Liar:
    def __init__(self, server, network=None):
        """network: the namespace to listen in, where it is not that of all."""
        self.server = server
        self.network = network or contextlib.nullcontext()
        self.lock = threading.Lock()
        self.mistakes = []
        with self.network:
            self.kept = keep_port()
        self.address = self.kept.getsockname()
        self.open()
        self.url = "http://127.0.0.1:%d/" % self.address[1]

    def open(self):
        """Listen, at the same address as before, and be honest."""
        self.calls = []
        self.lies = {}
        self.past = None
        self.spoken_for = {}  # the servers of other registries, by domain: for them Warg-Registry is heeded
        self.hint = None      # Warg-Registry-Hint
        self.released = threading.Event()  # from lies that never end
        self.connections = set()
        with self.network:
            self.listener = Listener(self.address, type("Exchange", (Exchange,), {"liar": self}), self.mistakes)
        self.thread = threading.Thread(target=self.listener.serve_forever, args=(0.05,))
        self.thread.start()

    def close(self):
        """Hang up on everybody and listen no more."""
        self.released.set()
        self.listener.shutdown()
        self.listener.socket.close()
        self.hang_up()
        self.thread.join()
        self.listener.server_close()

    def hang_up(self):
        with self.lock:
            for connection in self.connections:
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)

    def lie(self, call, mutation):
        """From now on, have mutation(answer) change each answer to a call."""
        if isinstance(mutation, InTurn):
            mutation = InTurn(*mutation.left)
        self.lies = {**self.lies, call: mutation}

    def be_honest(self):
        """About everything, including the present."""
        self.lies = {}
        self.past = None
        self.released.set()
        self.released = threading.Event()

    def stay_at(self, length):
        """Show the checkpoint of that many records as the newest: a registry that has not grown yet."""
        self.past = self.server.checkpoints[length]

    def count(self, call):
        with self.lock:
            return sum(one.name == call for one in self.calls)

    def forget(self):
        """Begin to count anew."""
        with self.lock:
            self.calls = []

    def count_header(self, name):
        """How many calls had it."""
        with self.lock:
            return sum(name in call.headers for call in self.calls)

    def round_trips(self):
        """How many of the calls must have waited for the one before: the longest row of which none overlaps."""
        row, end = 0, 0
        with self.lock:
            for call in sorted((call for call in self.calls if call.ended), key=lambda call: call.ended):
                if call.began >= end:
                    row, end = row + 1, call.ended
        return row

    def pass_on(self, server, method, path, body, headers):
        upstream = http.client.HTTPConnection(*server.address, timeout=60)
        try:
            upstream.request(method, path, body or None, headers)
            response = upstream.getresponse()
            headers = {name.lower(): value for name, value in response.getheaders()}
            return response.status, headers, response.read()
        finally:
            upstream.close()

    def ask(self, path, request):
        body = json.dumps(request).encode()
        return json.loads(self.pass_on(self.server, "POST", path, body, {"content-type": "application/json"})[2])

    def lie_about(self, call):
        """What is to be made of this call, or None."""
        with self.lock:
            lie = self.lies.get(call)
            return lie.take() if isinstance(lie, InTurn) else lie

    def answer(self, call, method, headers, mutation):
        """What the real server says, and then what the liar makes of it."""
        other = self.spoken_for.get(headers.get("warg-registry"))
        if other:
            headers = {name: value for name, value in headers.items() if name != "warg-registry"}
        server = other or self.server
        said = 200, {}, b""
        for _ in range(getattr(mutation, "deliveries", 1)):
            said = self.pass_on(server, method, call.path, call.request, headers)
        answer = Answer(call, *said, ask=self.ask, liar=self)
        if call.name == "sources":
            answer.body = answer.body.replace(self.server.url.encode(), self.url.encode())
        if call.name == "checkpoint" and self.past:
            answer.json = self.past
        if call.name == "logs" and answer.status == 404 and self.hint and not other:
            answer.headers["warg-registry-hint"] = self.hint
        if mutation:
            mutation(answer)
        return answer


class Listener(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, address, handler, mistakes):
        """mistakes: a list, to which what went wrong in these tests is added."""
        super().__init__(address, handler)
        self.mistakes = mistakes

    def handle_error(self, request, client_address):
        """Clients may hang up; all else is a mistake in the tests."""
        if not isinstance(sys.exc_info()[1], OSError):
            self.mistakes.append(traceback.format_exc())


def read_body(request):
    """The body of a request, in whatever form it comes."""
    if request.headers.get("transfer-encoding") != "chunked":
        return request.rfile.read(int(request.headers.get("content-length") or 0))
    body = b""
    while True:
        length = int(request.rfile.readline().split(b";")[0], 16)
        body += request.rfile.read(length)
        request.rfile.readline()
        if not length:
            return body


class Exchange(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    passed_on = ("content-type", "range", "authorization", "warg-registry")

    def setup(self):
        super().setup()
        with self.liar.lock:
            self.liar.connections.add(self.connection)

    def finish(self):
        with self.liar.lock:
            self.liar.connections.discard(self.connection)
        super().finish()

    def handle_any(self):
        headers = {name.lower(): value for name, value in self.headers.items() if name.lower() in self.passed_on}
        call = Call(call_of(self.command, self.path), self.path, b"", time.monotonic(), headers=headers)
        with self.liar.lock:
            self.liar.calls.append(call)
        self.released = self.liar.released  # before the lie: who is told one is let go when the liar turns honest
        mutation = self.liar.lie_about(call.name)
        unread = getattr(mutation, "unread", None)
        if unread:
            with contextlib.suppress(OSError):
                unread(self)
            self.hang_up()
            return
        getattr(mutation, "before", lambda _: None)(self)
        call.request = read_body(self)
        answer = self.liar.answer(call, self.command, headers, mutation)
        call.ended = time.monotonic()
        with contextlib.suppress(OSError):
            (answer.send or send_whole)(self, answer)

    do_GET = do_POST = do_HEAD = do_PUT = do_DELETE = handle_any

    def begin(self, answer, length):
        """The head of an answer. length: of the body; None: in chunks."""
        self.send_response_only(answer.status)
        for name, value in answer.headers.items():
            if name.lower() not in ("content-length", "transfer-encoding", "connection"):
                self.send_header(name, value)
        if length is None:
            self.send_header("transfer-encoding", "chunked")
        else:
            self.send_header("content-length", str(length))
        self.end_headers()
        self.wfile.flush()

    def hang_up(self):
        self.close_connection = True

    def gone(self):
        """Whether the client hung up."""
        self.connection.settimeout(0.02)
        try:
            return self.connection.recv(1, socket.MSG_PEEK) == b""
        except TimeoutError:
            return False
        except OSError:
            return True
        finally:
            self.connection.settimeout(None)

    def log_message(self, *_):
        pass


# ---- How an answer travels ----


def send_whole(exchange, answer):
    if exchange.command == "HEAD":
        exchange.begin(answer, next((value for name, value in answer.headers.items()
                                     if name.lower() == "content-length"), 0))
        return
    exchange.begin(answer, len(answer.body))
    exchange.wfile.write(answer.body)


def travels(send):
    """The lie whose answer is sent by `send`."""
    def mutation(answer):
        answer.send = send
    return mutation


@travels
def cut(exchange, answer):
    """Half of what was announced."""
    exchange.begin(answer, len(answer.body))
    exchange.wfile.write(answer.body[:len(answer.body) // 2])
    exchange.hang_up()


@travels
def endless(exchange, answer):
    """The body, and then white space for as long as somebody listens."""
    exchange.begin(answer, None)
    piece = answer.body
    blanks = b" " * 65536
    while not exchange.released.is_set():
        exchange.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
        piece = blanks
    exchange.hang_up()


@travels
def dribble(exchange, answer):
    """A byte now and then, never the last."""
    released = exchange.released
    exchange.begin(answer, len(answer.body) + 1)
    for byte in answer.body:
        if exchange.gone() or released.is_set():
            break
        exchange.wfile.write(bytes([byte]))
    exchange.hang_up()


@travels
def silent(exchange, answer):
    """Nothing at all, until the client is gone or the liar honest."""
    released = exchange.released
    while not exchange.gone() and not released.is_set():
        pass
    exchange.hang_up()


@travels
def closed(exchange, _):
    """The connection closed in place of an answer."""
    exchange.hang_up()


@travels
def late(exchange, answer):
    """After a while."""
    exchange.released.wait(0.5)
    send_whole(exchange, answer)


@travels
def twice(exchange, answer):
    """The same answer again right behind it, as if it were that to the next request."""
    wire = exchange.wfile
    exchange.wfile = io.BytesIO()
    send_whole(exchange, answer)
    wire.write(exchange.wfile.getvalue() * 2)
    exchange.wfile = wire


@travels
def not_http(exchange, _):
    exchange.wfile.write(b"220 mail.example ESMTP ready\r\n")
    exchange.hang_up()


# ---- How a request travels ----


def delivered(times, mutation):
    """The lie, and the request reaches the real server that often: 0, not at all."""
    def lie(answer):
        mutation(answer)
    lie.deliveries = times
    return lie


def unread(action):
    """That action(exchange) is all that comes of a request, whose body is still to be read; then it hangs up."""
    def lie(_):
        raise AssertionError("it was not to be answered")
    lie.unread = action
    return lie


def slowly_read(exchange):
    """Reads what comes at once of a body, and no more until the liar is honest again."""
    exchange.rfile.peek(1)
    exchange.released.wait(60)


def read_late(_):
    """An honest answer to a body that is read only when the liar is honest again."""


read_late.before = slowly_read


@unread
def half_read(exchange):
    """Half of the body is taken, and what is left is thrown away with the connection."""
    exchange.rfile.read(int(exchange.headers.get("content-length") or 2) // 2)


class InTurn:
    """One lie after another, the last again and again; None: the truth."""

    def __init__(self, *mutations):
        self.left = list(mutations)

    def take(self):
        return self.left.pop(0) if len(self.left) > 1 else self.left[0]


# ---- What it says ----


def says(status=200, content_type="application/json", body=b""):
    """Something else."""
    def mutation(answer):
        answer.status, answer.body = status, body
        answer.headers = {"content-type": content_type, "content-length": str(len(body))}
    return mutation


def text(pattern, replacement):
    """The body with every place that matches replaced; there has to be one."""
    def mutation(answer):
        answer.body, times = re.subn(pattern, replacement, answer.body)
        assert times, f"nothing to lie about in {answer.body[:400]}"
    return mutation


def changed(change):
    """The body's JSON changed in place, or replaced by what change(json) returns."""
    def mutation(answer):
        value = answer.json
        other = change(value)
        answer.json = value if other is None else other
    return mutation


def raw(change):
    """The body's bytes replaced by change(bytes)."""
    def mutation(answer):
        answer.body = change(answer.body)
    return mutation


def base64_at(key, change):
    """The base64 under a key of an object replaced by that of change(bytes). As a change of JSON."""
    def edit(value):
        value[key] = base64.b64encode(change(base64.b64decode(value[key]))).decode()
    return edit
