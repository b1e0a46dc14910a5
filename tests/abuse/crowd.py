# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""A registry with a ledger of any number of logs without names, with a valid checkpoint and proofs."""
import hashlib
import json
import os
import re
import threading
import time

import forge
from liar import Listener
from quick import OPERATOR_LOG, Log, QuickServer, Wire


class CrowdedLog(Log):
    """A Merkle log that keeps all its nodes."""

    def __init__(self, leaves):
        super().__init__()
        self.leaves = leaves
        self.levels = [leaves]
        while len(self.levels[-1]) > 1:
            below = self.levels[-1]
            self.levels.append([hashlib.sha256(b"\1" + below[at] + below[at + 1]).digest()
                                for at in range(0, len(below) - 1, 2)])

    def hash(self, node):
        height, place = node
        return self.levels[height][place]


class CrowdedWire(Wire):
    def handle_any(self):
        if self.command == "GET" and self.path == "/v1/ledger":
            self.say(200, json.dumps({"hashAlgorithm": "sha256", "sources": [{
                "firstRegistryIndex": 0, "lastRegistryIndex": self.quick.count - 1, "url": "v1/ledger/records/0",
                "contentType": "application/vnd.warg.ledger.packed"}]}).encode(), "application/json")
        elif self.command == "GET" and re.fullmatch("/v1/ledger/records/0", self.path):
            self.say(200, self.quick.ledger)
        else:
            super().handle_any()

    do_GET = do_POST = do_HEAD = do_PUT = handle_any


class Crowd(QuickServer):
    def __init__(self, count):
        """count: records, each but the operator's first of a log of its own."""
        self.lock = threading.Lock()
        self.mistakes = []
        self.count = count
        self.listener = Listener(("127.0.0.1", 0), type("Wire", (CrowdedWire,), {"quick": self}), self.mistakes)
        self.address = self.listener.server_address
        self.url = "http://127.0.0.1:%d/" % self.address[1]
        self.forget()
        self.gather()
        self.thread = threading.Thread(target=self.listener.serve_forever, args=(0.05,))
        self.thread.start()

    def gather(self):
        operator = self.registry.published[0]
        first = bytes.fromhex(operator.log_id.partition(":")[2] + operator.id.partition(":")[2])
        self.ledger = first + os.urandom(64 * (self.count - 1))
        leaves = [forge.sha256(b"\0WARG-LOG-LEAF-V0", forge.string(operator.log_id), forge.string(operator.id))]
        text = self.ledger.hex()
        for at in range(128, len(text), 128):
            leaves.append(hashlib.sha256(b"\0WARG-LOG-LEAF-V0" + b"\x47sha256:" + text[at:at + 64].encode() +
                                         b"\x47sha256:" + text[at + 64:at + 128].encode()).digest())
        self.registry.log = CrowdedLog(leaves)
        self.registry.checkpoints[1] = forge.sign_checkpoint({
            "logLength": self.count, "logRoot": self.registry.log.root(self.count),
            "mapRoot": forge.Map({OPERATOR_LOG: operator.id}).root(), "timestamp": int(time.time())})
