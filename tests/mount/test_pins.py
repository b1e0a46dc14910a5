# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Pins of a typed URL: the registry that it leads to, and the operator's key."""
import json
import os

import pytest

import forge
import programs
from liar import says
from mounts import read
from waiting import until

LOGIN = "a-token"


@pytest.fixture(scope="module")
def second(everything):
    """Another registry with another operator."""
    home = programs.Home(everything + "/second")
    server = programs.OwnServer(home, namespace="second", operator=programs.forge.Key("a second operator"))
    yield server
    server.end()


def leads_to(url):
    return says(body=json.dumps({"wargUrl": url}).encode())


def test_resolution(home, liar, server, second, new_mount):
    """Commands, mounts and logins refuse a URL that leads to another registry, until 'wargfs reset'."""
    home.wargfs("config", "--registry", liar.url, "--keyring-backend", "flat-file")
    liar.lie("well-known", leads_to(server.url))
    home.wargfs("ls")
    liar.lie("well-known", leads_to(second.url))
    os.mkdir(os.path.join(home.work, "mnt"))
    for words in (("ls",), ("login",), ("mount", liar.url, "mnt")):
        done = home.wargfs(*words, status=3, stdin=None, input=LOGIN)
        for part in (liar.url, server.url, second.url, "wargfs reset --registry"):
            assert part in done.stderr, done.stderr
        assert not done.stdout
    # Nor does the URL lead to itself now.
    liar.be_honest()
    assert server.url in home.wargfs("ls", status=3).stderr
    liar.lie("well-known", leads_to(server.url))
    assert "test" in home.wargfs("ls").stdout
    liar.lie("well-known", leads_to(second.url))
    forgotten = json.loads(home.wargfs("reset", "--registry", liar.url, "--yes", "--json").stdout)["forgotten"]
    assert len(forgotten) == 2
    assert "second" in home.wargfs("ls").stdout
    # A token for one registry is not sent to another.
    home.wargfs("reset", "--all", "--yes")
    home.wargfs("login", stdin=None, input=LOGIN)
    liar.lie("well-known", leads_to(server.url))
    assert "wargfs reset" in home.wargfs("ls", status=3).stderr


@pytest.mark.parametrize("status", (429, 500, 502, 503, 504, 511))
def test_put_off(home, liar, server, status):
    """What a gateway says of itself pins no URL, and accuses no registry that one is pinned to."""
    words = ("ls", "--registry", liar.url)
    liar.lie("well-known", says(status=status))
    assert str(status) in home.wargfs(*words, status=6).stderr
    liar.lie("well-known", leads_to(server.url))
    assert "test" in home.wargfs(*words).stdout
    liar.lie("well-known", says(status=status))
    done = home.wargfs(*words, status=6)
    assert str(status) in done.stderr and "not valid" not in done.stderr


def test_import(home, liar, server, second, bring, folder):
    """The same for a registry that is brought here: what it led to is pinned, by a mount or by an import before."""
    data = os.path.join(folder, "data")
    words = ("serve", "--data", data, "--listen", "127.0.0.1:0", "--import", liar.url)
    liar.lie("well-known", leads_to(server.url))
    home.wargfs("ls", "--registry", liar.url)
    liar.lie("well-known", leads_to(second.url))
    done = home.wargfs(*words, status=3)
    for part in (liar.url, server.url, second.url, "wargfs reset --registry"):
        assert part in done.stderr, done.stderr
    mirror = bring(liar.url)
    mirror.process.terminate()
    mirror.process.wait()
    liar.lie("well-known", leads_to(server.url))
    assert server.url in mirror.home.wargfs("ls", "--registry", liar.url, status=3).stderr
    assert server.url in mirror.home.wargfs(*words, status=3).stderr
    # What it was pinned to is gone on with while the URL cannot be asked.
    liar.lie("well-known", says(status=502))
    mirror.start()
    until(lambda: mirror.get("v1/fetch/checkpoint") == second.get("v1/fetch/checkpoint"), "it follows")
    assert not mirror.surprises()


def test_slashes(home, liar):
    """One URL more or less a slash is one registry."""
    for spelled in liar.url, liar.url + "//", liar.url.rstrip("/"):
        assert "test" in home.wargfs("ls", "--registry", spelled).stdout


def test_itself(home, liar, second):
    """A URL pinned to itself that leads elsewhere is refused, too."""
    home.wargfs("ls", "--registry", liar.url)
    liar.lie("well-known", leads_to(second.url))
    done = home.wargfs("ls", "--registry", liar.url, status=3)
    assert second.url in done.stderr and "reset" in done.stderr
    liar.be_honest()
    home.wargfs("ls", "--registry", liar.url)


def test_damaged_pin(home, liar):
    """A damaged pin blames the file on this machine, not the registry."""
    home.wargfs("ls", "--registry", liar.url)
    path = f"{home.path}/.local/state/wargfs/{home.registry_folder(liar.url).rpartition('/')[2]}/discovered"
    with open(path, "r+") as file:
        file.seek(30)
        file.write("x")
    done = home.wargfs("ls", "--registry", liar.url, status=1)
    assert path in done.stderr and "wargfs reset" in done.stderr
    home.wargfs("reset", "--registry", liar.url, "--yes")
    home.wargfs("ls", "--registry", liar.url)


# ---- The operator's key ----

KEY, WRONG = forge.OPERATOR.id, forge.STRANGER.id


def refuses(done):
    assert done.returncode == 3, done
    assert KEY in done.stderr and WRONG in done.stderr and "demanded" in done.stderr, done.stderr


def test_first_contact(home, liar, new_mount):
    """Commands and mounts print the pinned key once."""
    assert home.wargfs("ls", "--registry", liar.url).met == [
        f"wargfs: first contact with {liar.url}: its operator's key is {KEY}, and is pinned from now on\n"]
    assert not home.wargfs("ls", "--registry", liar.url).met
    assert "first contact" not in new_mount(liar.url, home=home).log
    home.wargfs("reset", "--registry", liar.url, "--yes")
    note, = (json.loads(line)["note"] for line in home.wargfs("ls", "--registry", liar.url, "--json").met)
    assert note == {"kind": "first_contact", "subject": liar.url, "message": (
        f"first contact with {liar.url}: its operator's key is {KEY}, and is pinned from now on")}
    assert f"first contact with {liar.url}: its operator's key is {KEY}" in new_mount(liar.url).log


COMMANDS = (("ls",), ("download", "test:hello", "-o", "out.wasm"), ("fetch", "test:hello"), ("update",), ("verify",),
            ("info", "test:tiny"), ("publish", "init", "test:new"),
            ("publish", "wait", "test:hello", "sha256:" + "0" * 64))


@pytest.mark.parametrize("met", (False, True), ids=("unmet", "met"))
def test_demanded(home, liar, met):
    """Each command refuses a registry without the demanded key, also a known one, and pins nothing."""
    home.wargfs("config", "--registry", liar.url, "--keyring-backend", "flat-file")
    if met:
        home.wargfs("download", "test:hello", "-o", "out.wasm")
    home.wargfs("key", "new")
    for words in COMMANDS:
        refuses(home.wargfs(*words, "--operator-key", WRONG, status=None))
    assert not liar.count("publish")
    trust = f"{home.path}/.local/state/wargfs/{os.path.basename(home.registry_folder(liar.url))}/trust"
    assert os.path.exists(trust) == met
    for words in (("ls",), ("update",), ("verify",)):
        home.wargfs(*words, "--operator-key", KEY)
    secret = "ecdsa-p256:c2VjcmV0"
    done = home.wargfs("ls", "--operator-key", secret, status=2)
    assert secret not in done.stdout + done.stderr


def test_led_astray(home, liar, server, second):
    """If the URL first led to a registry without the demanded key, that leaves no pin."""
    liar.lie("well-known", leads_to(second.url))
    done = home.wargfs("ls", "--registry", liar.url, "--operator-key", KEY, status=3)
    assert KEY in done.stderr and not done.met
    liar.lie("well-known", leads_to(server.url))
    home.wargfs("ls", "--registry", liar.url, "--operator-key", KEY)


def test_demanded_by_a_mount(home, liar, new_mount):
    for words, options in ((("--operator-key", WRONG), ()), ((), (f"operator_key={WRONG}",))):
        status, log = new_mount(liar.url, *options, home=home, words=words, wait=False).refused()
        assert status == 3 and KEY in log and WRONG in log
    mount = new_mount(liar.url, f"operator_key={KEY}", home=home, words=("--operator-key", KEY))
    assert mount.list("test")
    mount.end()
    # A cached view is refused as well.
    status, log = new_mount(liar.url, "offline", f"operator_key={WRONG}", home=home, wait=False).refused()
    assert status != 0 and WRONG in log
    status, log = new_mount(liar.url, f"operator_key={KEY}", home=home, words=("--operator-key", WRONG),
                            wait=False).refused()
    assert status == 2
    status, log = new_mount(liar.url, "operator_key=ecdsa-p256:c2VjcmV0", home=home, wait=False).refused()
    assert status == 2 and "c2VjcmV0" not in log


def test_demanded_by_settings(home, liar, second):
    """The key set by config survives the reference's writes, for the home registry and others, until removed."""
    settings = f"{home.path}/.config/wargfs/settings.json"
    home.wargfs("config", "--registry", liar.url, "--operator-key", WRONG)
    refuses(home.wargfs("ls", status=None))
    home.wargfs("ls", "--operator-key", KEY)
    home.wargfs("config", "--registry", liar.url, "--operator-key", KEY)
    home.wargfs("config", "--operator-key", f"{second.url}={WRONG}")
    assert len(json.loads(read(settings))["operatorKeys"]) == 2
    home.wargfs("ls")
    assert WRONG in home.wargfs("ls", "--registry", second.url, status=3).stderr
    home.wargfs("config", "--operator-key", f"{second.url}=none")
    home.wargfs("ls", "--registry", second.url)
    for wrong in ("sha256:0", "", f"ftp://x/={KEY}", f"{second.url}="):
        home.wargfs("config", "--operator-key", wrong, status=2)
    with open(settings, "r+") as file:
        file.write("x")
    assert "settings.json" in home.wargfs("ls", status=1).stderr


def test_demanded_of_another_registry(home, liar, second):
    """The key set for a domain is demanded of the registry there, not of the home registry."""
    domain = second.url.removeprefix("http://").rstrip("/")
    home.wargfs("config", "--registry", liar.url, "--operator-key", KEY)
    os.makedirs(home.cache)
    with open(os.path.join(home.cache, "namespaces"), "w") as file:
        json.dump({"second": domain}, file)
    done = home.wargfs("ls", "second")
    assert len(done.met) == 2
    home.wargfs("config", "--operator-key", f"{second.url}={WRONG}")
    done = home.wargfs("ls", "second", status=3)
    assert WRONG in done.stderr and domain in done.stderr
