# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""What a liar needs: protobuf taken apart and put together, and signatures that verify.

The arithmetic of P-256 is the textbook's: slow, and with no secret worth hiding. The registry's operator and its
publisher have keys that everybody knows, so that whatever they could sign, a test can.
"""
import base64
import hashlib
import hmac
import json

# ---- Protobuf: a message as a list of [field number, value], value an int (varint) or bytes ----


def leb(number):
    out = bytearray()
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    return bytes(out + bytes([number]))


def varints(data):
    """All varints in `data`."""
    out, number, shift = [], 0, 0
    for byte in data:
        number |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            out.append(number)
            number, shift = 0, 0
    return out


def packed(numbers):
    return b"".join(map(leb, numbers))


def parse(data):
    fields, at = [], 0

    def varint():
        nonlocal at
        start = at
        while data[at] > 127:
            at += 1
        at += 1
        return varints(data[start:at])[0]

    while at < len(data):
        number, kind = divmod(varint(), 8)
        value = varint()
        if kind == 2:
            at += value
            value = data[at - value:at]
        fields.append([number, value])
    return fields


def render(fields):
    return b"".join(leb(number * 8) + leb(value) if isinstance(value, int) else
                    leb(number * 8 + 2) + leb(len(value)) + value for number, value in fields)


# ---- ECDSA on P-256 with SHA-256 ----

P = 2**256 - 2**224 + 2**192 + 2**96 - 1
N = 0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551
G = (0x6b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296,
     0x4fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5)


def add(a, b):
    if a is None or b is None:
        return a or b
    (ax, ay), (bx, by) = a, b
    if ax == bx and (ay + by) % P == 0:
        return None
    slope = (3 * ax * ax - 3) * pow(2 * ay, -1, P) if a == b else (by - ay) * pow(bx - ax, -1, P)
    x = (slope * slope - ax - bx) % P
    return x, (slope * (ax - x) - ay) % P


DOUBLED = [G]  # G, 2 G, 4 G, …
for _ in range(255):
    DOUBLED.append(add(DOUBLED[-1], DOUBLED[-1]))


def multiply(scalar):
    """scalar times G."""
    out = None
    for place, point in enumerate(DOUBLED):
        if scalar >> place & 1:
            out = add(out, point)
    return out


def der(*numbers):
    """A SEQUENCE of INTEGERs."""
    body = b""
    for number in numbers:
        raw = number.to_bytes(number.bit_length() // 8 + 1, "big")
        body += bytes([2, len(raw)]) + raw
    return bytes([0x30, len(body)]) + body


def text(raw):
    return "ecdsa-p256:" + base64.b64encode(raw).decode()


def digest(data):
    return "sha256:" + hashlib.sha256(data).hexdigest()


class Key:
    """A signing key, from its text or from any other words."""

    def __init__(self, words):
        if words.startswith("ecdsa-p256:"):
            raw = base64.b64decode(words.partition(":")[2])
        else:
            raw = hashlib.sha256(words.encode()).digest()
        self.scalar = int.from_bytes(raw, "big") % N
        self.text = text(raw)
        x, y = multiply(self.scalar)
        self.point = x, y
        self.public = text(bytes([2 + y % 2]) + x.to_bytes(32, "big"))
        self.id = digest(self.public.encode())

    def sign(self, message):
        hashed = hashlib.sha256(message).digest()
        nonce = int.from_bytes(hmac.digest(self.text.encode(), hashed, "sha256"), "big") % N
        r = multiply(nonce)[0] % N
        s = pow(nonce, -1, N) * (int.from_bytes(hashed, "big") + r * self.scalar) % N
        return text(der(r, s))


OPERATOR = Key("ecdsa-p256:I+UlDo0HxyBBFeelhPPWmD+LnklOpqZDkrFP5VduASk=")
PUBLISHER = Key("the publisher of these tests")
STRANGER = Key("somebody who was granted nothing")


# ---- What is signed (protocol.md section 3) ----


def string(words):
    raw = words.encode()
    return leb(len(raw)) + raw


def sign_checkpoint(contents, key=OPERATOR):
    """A signed checkpoint, as in the API."""
    message = (b"WARG-CHECKPOINT-SIGNATURE-V0:WARG-TIMESTAMPED-CHECKPOINT-V0" + leb(contents["logLength"]) +
               string(contents["logRoot"]) + string(contents["mapRoot"]) + leb(contents["timestamp"]))
    return {"contents": contents, "keyId": key.id, "signature": key.sign(message)}


def seal(kind, value):
    """The file "trust" of a registry."""
    text = json.dumps(value)
    return f"wargfs {kind} 2 {digest(text.encode())}\n{text}"


def sign_record(kind, fields, key):
    """The parts of a record in the API that follow from its fields. kind: "PACKAGE" or "OPERATOR"."""
    content = render(fields)
    return {
        "contentBytes": base64.b64encode(content).decode(),
        "keyId": key.id,
        "signature": key.sign(f"WARG-{kind}-RECORD-SIGNATURE-V0:".encode() + content),
        "fetchToken": digest(f"WARG-{kind}-LOG-RECORD-V0:".encode() + content),
    }


def package_log_id(name):
    return digest(b"WARG-PACKAGE-LOG-ID-V0:WARG-PACKAGE-ID-V0" + string(name))


# ---- The map, and what it proves (protocol.md section 5) ----


def sha256(*parts):
    return hashlib.sha256(b"".join(parts)).digest()


class Map:
    """Of log ids to record ids, both as texts, true or not."""

    empties = [sha256(b"\0")]
    for _ in range(256):
        empties.append(sha256(b"\1", empties[-1], empties[-1]))

    def __init__(self, entries):
        self.leaves = {self.path(log): sha256(b"\0WARG-MAP-LEAF-V0", string(record)) for log, record in entries.items()}

    @staticmethod
    def path(log):
        return int.from_bytes(sha256(bytes.fromhex(log.partition(":")[2])), "big")

    def node(self, height, prefix):
        """The hash of all that lies below the first bits of a path."""
        below = [path for path in self.leaves if path >> height == prefix]
        if not below:
            return self.empties[height]
        if not height:
            return self.leaves[below[0]]
        return sha256(b"\1", self.node(height - 1, prefix * 2), self.node(height - 1, prefix * 2 + 1))

    def root(self):
        return "sha256:" + self.node(256, 0).hex()

    def prove(self, logs):
        """A MapProofBundle."""
        paths = [[self.node(height, self.path(log) >> height ^ 1) for height in range(256)] for log in logs]
        return render([[1, render([[1, render([[1, sibling]])] for sibling in path])] for path in paths])
