# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Somebody who publishes by speaking the protocol itself: records of any make, sent in any order."""
import base64
import hashlib
import http.client
import json

import forge

INIT, GRANT, REVOKE, RELEASE, YANK = 1, 2, 3, 4, 5
EPOCH = 1_700_000_000


def digest(content):
    return "sha256:" + hashlib.sha256(content).hexdigest()


def init(key=forge.PUBLISHER):
    return INIT, [[1, key.public.encode()], [2, b"sha256"]]


def release(version, content):
    return RELEASE, [[1, version.encode()], [2, (content if isinstance(content, str) else digest(content)).encode()]]


def yank(version):
    return YANK, [[1, version.encode()]]


def grant(key, *permissions):
    return GRANT, [[1, key.public.encode()], [2, forge.packed(permissions)]]


def revoke(key, *permissions):
    return REVOKE, [[1, key.id.encode()], [2, forge.packed(permissions)]]


class Record:
    """A record of a package, signed. `prev` is the one before it, or its id."""

    def __init__(self, name, *entries, prev=None, key=forge.PUBLISHER, seconds=EPOCH):
        fields = [[1, (prev if isinstance(prev, str) else prev.id).encode()]] if prev else []
        fields.append([3, forge.render([[1, seconds]])])
        fields += [[4, forge.render([[kind, forge.render(parts)]])] for kind, parts in entries]
        signed = forge.sign_record("PACKAGE", fields, key)
        self.name = name
        self.log_id = forge.package_log_id(name)
        self.id = signed.pop("fetchToken")
        self.body = signed
        self.path = f"v1/package/{self.log_id}/record"

    @property
    def content(self):
        return base64.b64decode(self.body["contentBytes"])


class Answer:
    def __init__(self, answer, body):
        self.status = answer.status
        self.type = answer.headers.get("content-type")
        self.headers = answer.headers
        self.body = body

    @property
    def json(self):
        return json.loads(self.body)


class Client:
    """A connection to a server, kept open if that is wanted. What is asked is answered by an Answer."""

    def __init__(self, server, keep=True):
        self.keep = keep
        self.connection = http.client.HTTPConnection(*server.address, timeout=60)

    def close(self):
        self.connection.close()

    def ask(self, method, path, body=None, **headers):
        """Ask for a path; a body that is no bytes goes as JSON. Underscores in names of headers are dashes."""
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        if isinstance(body, (dict, list)):
            body = json.dumps(body).encode()
            sent.setdefault("content-type", "application/json")
        try:
            try:
                self.connection.request(method, "/" + path, body, sent)
            except BrokenPipeError:
                pass  # it does not want to hear all of it, and says why
            answer = self.connection.getresponse()
            return Answer(answer, answer.read())
        except (OSError, http.client.HTTPException):
            self.connection.close()  # the next one begins anew
            raise
        finally:
            if not self.keep:
                self.connection.close()

    def post(self, path, body, **headers):
        return self.ask("POST", path, body, **headers)

    def send(self, record, **headers):
        return self.post(record.path, {"packageName": record.name, "record": record.body}, **headers)

    def state(self, record):
        return self.ask("GET", f"{record.path}/{record.id}").json

    def upload(self, record, content, of=None):
        """Upload a content, or bytes in place of another one."""
        return self.post(f"{record.path}/{record.id}/content/{of or digest(content)}", content)

    def publish(self, record, *contents):
        """Send a record and upload its contents. Returns its place."""
        answer = self.send(record)
        assert answer.status == 202, answer.body
        for content in contents:
            if answer.json["state"] == "sourcing" and digest(content) in answer.json["missingContent"]:
                assert self.upload(record, content).status == 201
        return self.state(record)["registryIndex"]

    def checkpoint(self):
        return self.ask("GET", "v1/fetch/checkpoint").json

    def length(self):
        return self.checkpoint()["contents"]["logLength"]
