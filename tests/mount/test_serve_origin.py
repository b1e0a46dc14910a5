# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""What a server permits to web pages of other origins."""
import http.client

import pytest

PAGE = "https://app.example"


def ask(server, method, path, **headers):
    connection = http.client.HTTPConnection(*server.address)
    connection.request(method, path, body=b"{}" if method == "POST" else None,
                       headers={name.replace("_", "-"): value for name, value in headers.items()})
    answer = connection.getresponse()
    answer.read()
    connection.close()
    return answer


@pytest.mark.parametrize("allowed, origin, shown", [
    ((), PAGE, None), ((), "null", None), (("*",), PAGE, "*"), ((PAGE,), PAGE, PAGE), ((PAGE,), PAGE + ":8443", None),
    ((PAGE,), PAGE + ".evil.example", None), ((PAGE,), "null", None),
    (("https://other.example", "http://localhost:3000"), "http://localhost:3000", "http://localhost:3000"),
])
def test_origins(serve, allowed, origin, shown):
    """Without --allow-origin no page can read an answer or publish. Programs without an origin are not affected."""
    server = serve(*(word for each in allowed for word in ("--allow-origin", each)))
    answer = ask(server, "GET", "/v1/fetch/checkpoint", Origin=origin)
    assert (answer.status, answer.headers["Access-Control-Allow-Origin"]) == (200, shown)
    assert answer.headers["Vary"] == ("Origin" if allowed else None)
    preflight = ask(server, "OPTIONS", "/v1/fetch/names", Origin=origin, Access_Control_Request_Method="POST")
    assert preflight.status == (200 if shown else 403)
    assert preflight.headers["Access-Control-Allow-Origin"] == shown
    posted = ask(server, "POST", "/v1/fetch/names", Origin=origin, Content_Type="text/plain")
    assert (posted.status == 403) == (not shown)
    plain = ask(server, "POST", "/v1/fetch/names", Content_Type="application/json")
    assert plain.status != 403 and plain.headers["Access-Control-Allow-Origin"] is None


@pytest.mark.parametrize("origin", ["app.example", "https://", "https://app.example/", "https://u@app.example", "null"])
def test_no_origin(home, origin):
    assert "--allow-origin takes" in home.wargfs("serve", "--data", "data", "--allow-origin", origin, status=2).stderr
