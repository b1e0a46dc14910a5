# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""The liar itself: honest it changes nothing, and every lie is one."""
import http.client
import json

import pytest

import forge
import lies
from liar import Answer, Call
from registry import CONTENTS

STEPS = forge.package_log_id("test:steps")
REGRET = forge.package_log_id("test:regret")
PAGE = forge.digest(CONTENTS["test:page", "1.0.0"])


@pytest.fixture(scope="module")
def answers(server):
    """The honest answer to each call, about test:steps and test:page."""
    length = server.lengths[-1]

    def ask(method, path, request=None):
        connection = http.client.HTTPConnection(*server.address, timeout=30)
        body = json.dumps(request).encode() if request else None
        connection.request(method, "/" + path, body, {"content-type": "application/json"})
        answer = connection.getresponse()
        body = answer.read()
        connection.close()
        assert answer.status == 200, body
        return body

    def fetch_logs(log_id, token=None):
        return ask("POST", "v1/fetch/logs", {"logLength": length, "packages": {log_id: token}})

    logs = fetch_logs(STEPS)
    first = json.loads(logs)["packages"][STEPS][0]["fetchToken"]
    leaf = json.loads(logs)["packages"][STEPS][-1]["registryIndex"]
    return {
        "checkpoint": ask("GET", "v1/fetch/checkpoint"),
        "logs": logs,
        "logs of more": fetch_logs(STEPS, first),
        "logs of another": fetch_logs(REGRET),
        "ledger": ask("GET", "v1/ledger"),
        "records": ask("GET", "v1/ledger/records/0"),
        "names": ask("POST", "v1/fetch/names", {"packages": [STEPS, REGRET]}),
        "inclusion": ask("POST", "v1/proof/inclusion", {"logLength": length, "leafs": [leaf]}),
        "consistency": ask("POST", "v1/proof/consistency", {"from": server.lengths[1], "to": length}),
        "sources": ask("GET", "v1/content/" + PAGE),
        "bytes": CONTENTS["test:page", "1.0.0"],
    }


TABLES = (lies.AT_MOUNT, lies.AT_PACKAGE, lies.AT_CONTENT, lies.AT_LISTING, lies.GROWTH, lies.GROWTH_OF_LISTING,
          lies.GROWTH_OF_PACKAGE)


@pytest.mark.parametrize("table", range(len(TABLES)))
def test_every_lie_is_one(answers, table):
    for call, name, mutation, _, _ in TABLES[table]:
        honest = answers["logs of more" if call == "logs" and TABLES[table] == lies.GROWTH_OF_PACKAGE else call]
        answer = Answer(Call(call, "", b'{"logLength":1}', 0), 200, {"content-type": "application/json"}, honest,
                        ask=lambda *_: json.loads(answers["logs of another"]))
        mutation(answer)
        assert (answer.status, answer.body) != (200, honest) or answer.send, f"{call}: {name}"


def test_names_are_unique():
    for rows in TABLES:
        assert len(set(lies.ids(rows))) == len(rows)


def test_honest(home, liar):
    """The reference's client finds nothing wrong with it."""
    home.configure(liar.url).warg("download", "test:hello", "-o", "x.wasm")
    assert [call.name for call in liar.calls if call.name != "well-known"] == [
        "checkpoint", "logs", "inclusion", "sources", "bytes"]
