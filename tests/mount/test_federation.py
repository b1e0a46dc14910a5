# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Namespaces that live in another registry: two real servers, and a liar before each."""
import json
import os
import signal
import subprocess

import pytest

import liar as liars
import mounts
import programs
from liar import changed, says
from mounts import errno_of, read
from registry import CONTENTS, wasm
from waiting import until

THING = "other:thing"
THINGS = {"1.0.0": wasm(2000, 21), "1.1.0": wasm(2001, 22)}


@pytest.fixture(scope="module")
def other_server(everything):
    """A registry of its own, with one package whose releases are each under a checkpoint of its own."""
    server = programs.HomeServer(programs.Home(os.path.join(everything, "other-server")), namespace="other",
                                 operator=programs.forge.Key("the other operator"))
    try:
        home = programs.Home(os.path.join(everything, "other-publisher")).configure(server.url)
        server.wait_for_length(1)
        home.warg("publish", "init", THING, "--no-wait")
        for version, content in THINGS.items():
            path = os.path.join(home.work, "content.wasm")
            with open(path, "wb") as file:
                file.write(content)
            server.wait_for_length(max(server.checkpoints) + 1)
            home.warg("publish", "release", "-n", THING, "-v", version, path, "--no-wait")
        server.wait_for_length(max(server.checkpoints) + 1)
        yield server
    finally:
        server.end()


@pytest.fixture
def other(other_server):
    other = liars.Liar(other_server)
    other.domain = other.url.removeprefix("http://").rstrip("/")
    yield other
    other.close()
    assert not other.mistakes, "\n".join(other.mistakes)


@pytest.fixture
def configured(home, liar):
    return home.configure(liar.url)


def map_file(home):
    return os.path.join(home.cache, "namespaces")


def read_map(home):
    """What the namespace map says; None: there is none."""
    return json.loads(read(map_file(home))) if os.path.exists(map_file(home)) else None


def write_map(home, **namespaces):
    os.makedirs(home.cache, exist_ok=True)
    with open(map_file(home), "w") as file:
        json.dump(namespaces, file)


def log_file(home, domain):
    """Where the package's log is stored: under the domain, as the reference has it."""
    return os.path.join(home.cache, "registries", domain, "package-logs/sha256",
                        programs.forge.package_log_id(THING).partition(":")[2])


def download(home, *words, **options):
    return home.wargfs("download", THING, "-o", "out.wasm", *words, **options)


def expect_downloaded(home, version="1.1.0"):
    path = os.path.join(home.work, "out.wasm")
    assert read(path) == THINGS[version]
    os.unlink(path)


# ---- Whom it talks to ----


def test_direct(configured, liar, other):
    """The home registry does not speak for it, which the real server says with 501: then that one itself is asked."""
    write_map(configured, other=other.domain)
    told = json.loads(download(configured, "--json").stdout)
    expect_downloaded(configured)
    assert told["registry"] == other.domain
    assert liar.count_header("warg-registry") == 1 and other.count_header("warg-registry") == 0
    assert os.path.exists(log_file(configured, other.domain))
    assert not os.path.exists(configured.log_file(liar.url, THING))
    configured.wargfs("download", "test:tiny", "-o", "out.wasm")
    assert read(os.path.join(configured.work, "out.wasm")) == CONTENTS["test:tiny", "1.0.0"]


def test_spoken_for(configured, liar, other, other_server):
    write_map(configured, other=other.domain)
    liar.spoken_for[other.domain] = other_server
    assert f"from {other.domain}" in download(configured).stdout
    expect_downloaded(configured)
    assert not other.calls and liar.count_header("warg-registry") > 3


@pytest.mark.parametrize("lie", (
    liars.closed, says(500), says(404, "text/html", b"<html>"), says(200, "text/html", b"<html>"),
    says(200, body=b"{}"),
), ids=("closed", "500", "404", "html", "json"))
def test_says_nothing_of_use(configured, liar, other, lie):
    """Whatever the home registry answers for another one: that one is asked itself."""
    def only_for_others(answer):
        if "warg-registry" in answer.call.headers:
            lie(answer)

    write_map(configured, other=other.domain)
    liar.lie("checkpoint", only_for_others)
    download(configured)
    expect_downloaded(configured)


def test_header_passed_over(configured, liar, other, server):
    """It answers for itself: its key must not be taken for the other one's."""
    write_map(configured, other=other.domain)
    liar.spoken_for[other.domain] = server
    download(configured)
    expect_downloaded(configured)


@pytest.mark.parametrize("form", ('{"wargUrl":"@"}', '{"preferredProtocol":"warg","warg":{"url":"@"}}'))
def test_discovery(configured, other, other_server, form):
    write_map(configured, other=other.domain)
    other.lie("well-known", says(body=form.replace("@", other_server.url).encode()))
    download(configured)
    expect_downloaded(configured)
    assert {call.name for call in other.calls} == {"well-known"}


# ---- Hints ----


def test_hint(configured, liar, other):
    liar.hint = f"other={other.domain}"
    download(configured)
    expect_downloaded(configured)
    assert read_map(configured) == {"other": other.domain}
    liar.hint = None
    liar.forget()
    download(configured)
    assert b"other" not in b"".join(call.request for call in liar.calls if call.name == "logs")


def test_beside_the_reference(new_home, liar, other, other_server):
    """Both take the hint, and find each other's map and logs."""
    liar.hint = f"other={other.domain}"
    liar.spoken_for[other.domain] = other_server
    its, ours = (new_home().configure(liar.url) for _ in range(2))
    its.warg("download", THING, "-o", "out.wasm")
    download(ours)
    expect_downloaded(ours)
    assert read(map_file(its)) == read(map_file(ours))
    assert json.loads(read(log_file(its, other.domain)))["state"] == \
        json.loads(read(log_file(ours, other.domain)))["state"]
    liar.hint = None
    download(its)
    expect_downloaded(its)
    ours.warg("download", THING, "-o", "its.wasm")
    assert read(os.path.join(ours.work, "its.wasm")) == THINGS["1.1.0"]


BAD_HINTS = ("another=@", "test=@", "other=../../x", "other=http://registry.example", "other=http://@", "other=@/x",
             "other=@ x", "other", "=@", "other=x@@")


@pytest.mark.parametrize("hint", BAD_HINTS)
def test_bad_hint(configured, liar, other, hint):
    liar.hint = hint.replace("@", other.domain)
    done = download(configured, status=4)
    assert "hint" not in done.stderr
    assert read_map(configured) is None
    assert not other.calls
    assert sorted(os.listdir(os.path.join(configured.cache, "registries"))) == [
        os.path.basename(configured.registry_folder(liar.url))]


def test_hint_loop(configured, liar, other):
    """Each says that the other one has it."""
    liar.hint = f"nowhere={other.domain}"
    other.hint = "nowhere=" + liar.url.removeprefix("http://").rstrip("/")
    configured.wargfs("download", "nowhere:thing", "-o", "out.wasm", status=4)
    assert liar.count("logs") <= 3 and other.count("logs") <= 3


def test_hints_ignored(configured, liar, other):
    liar.hint = f"other={other.domain}"
    configured.wargfs("config", "--ignore-federation-hints", "true")
    assert other.domain not in download(configured, status=4).stderr
    assert read_map(configured) is None and not other.calls
    configured.wargfs("config", "--ignore-federation-hints", "false")
    download(configured)


def test_hints_asked(configured, liar, other):
    """Without a terminal the answer is no."""
    liar.hint = f"other={other.domain}"
    configured.wargfs("config", "--disable-auto-accept-federation-hints", "true")
    assert other.domain in download(configured, status=4).stderr
    assert read_map(configured) is None and not other.calls
    download(configured, "--yes")
    assert read_map(configured) == {"other": other.domain}


def test_not_interactive(configured, liar, other):
    liar.hint = f"other={other.domain}"
    config = configured.read_config()
    with open(configured.config, "w") as file:
        json.dump({**config, "disableInteractive": True}, file)
    assert other.domain in download(configured, status=4).stderr
    assert read_map(configured) is None and not other.calls


# ---- Each for itself ----


def test_other_lies(configured, liar, other):
    write_map(configured, other=other.domain)
    other.lie("checkpoint", changed(lambda body: body["contents"].update(logLength=1)))
    done = download(configured, status=3)
    assert f"registry {other.domain}, " in done.stderr
    configured.wargfs("download", "test:tiny", "-o", "out.wasm")
    other.be_honest()
    download(configured)


def test_other_away(configured, liar, other):
    write_map(configured, other=other.domain)
    other.close()
    assert other.domain in download(configured, status=6).stderr
    configured.wargfs("download", "test:tiny", "-o", "out.wasm")
    other.open()
    download(configured)


def test_other_rolls_back(configured, liar, other, other_server):
    """It is held to its word, also by one who lost the cache."""
    write_map(configured, other=other.domain)
    download(configured)
    other.stay_at(min(length for length in other_server.checkpoints if length > 2))
    done = download(configured, status=3)
    assert "rollback" in done.stderr
    configured.wargfs("reset", "--all", "--yes")
    write_map(configured, other=other.domain)
    download(configured)
    expect_downloaded(configured, "1.0.0")


def test_reset(configured, liar, other):
    """A registry is forgotten under its URL, also where it was met under its domain."""
    write_map(configured, other=other.domain)
    download(configured)
    assert os.path.exists(log_file(configured, other.domain))
    configured.wargfs("reset", "--registry", other.url, "--yes")
    assert not os.path.exists(log_file(configured, other.domain))
    assert os.path.exists(os.path.join(configured.registry_folder(liar.url), "checkpoint"))


@pytest.mark.parametrize("text", ("{", '{"other":"../../x"}', '{"other":"http://registry.example"}', '{"other":7}'))
def test_bad_map(configured, liar, other, text):
    """What the map says of a namespace that the operator defines does not matter, not even that it cannot be read."""
    os.makedirs(configured.cache, exist_ok=True)
    with open(map_file(configured), "w") as file:
        file.write(text)
    assert "namespace" in download(configured, status=1).stderr
    configured.wargfs("download", "test:tiny", "-o", "out.wasm")


# ---- The other commands ----


def test_update(configured, liar, other, other_server):
    write_map(configured, other=other.domain)
    lengths = sorted(other_server.checkpoints)
    other.stay_at(lengths[-2])
    download(configured)
    expect_downloaded(configured, "1.0.0")
    configured.wargfs("download", "test:tiny", "-o", "out.wasm")
    other.be_honest()
    told = configured.wargfs("update").stdout
    assert f"{THING}: 1 new release, the latest is 1.1.0" in told
    assert f"1 package up to date with {other.domain} at log length {lengths[-1]}" in told
    assert f"1 package up to date with {liar.url}" in told
    told = json.loads(configured.wargfs("update", "--json").stdout)
    assert {one["package"]: one.get("registry") for one in told["packages"]} == {
        THING: other.domain, "test:tiny": None}
    assert [(one["registry"], one["logLength"]) for one in told["otherRegistries"]] == [(other.domain, lengths[-1])]
    other.close()
    done = configured.wargfs("update", status=6)
    assert f"registry {other.domain}, " in done.stderr
    assert f"1 package up to date with {liar.url}" in done.stdout
    other.open()


def test_info(configured, liar, other):
    write_map(configured, other=other.domain, test="registry.example", bad="../x")
    told = configured.wargfs("info", THING).stdout
    assert "1.1.0 (sha256:" in told
    other.close()
    liar.close()
    assert configured.wargfs("info", THING).stdout == told
    assert other.domain in configured.wargfs("info").stdout
    told = configured.wargfs("info", "-n").stdout.splitlines()
    assert told == [f"other={other.domain} (in the namespace map)",
                    "test=registry.example (in the namespace map, but the registry's operator says otherwise)",
                    "bad=? (in the namespace map)"]
    told = json.loads(configured.wargfs("info", "-n", "--json").stdout)
    assert [(one["namespace"], one["registry"], one["source"], one["counts"]) for one in told] == [
        ("other", other.domain, "map", True), ("test", "registry.example", "map", False), ("bad", None, "map", False)]
    other.open()
    liar.open()


def test_ls(configured, liar, other):
    """Its namespace is listed with its domain; what is in it comes from there, proven like the home registry's."""
    write_map(configured, other=other.domain, test="registry.example", bad="../x")
    assert configured.wargfs("ls").stdout == "test\nother\n"
    assert f"other  in {other.domain}" in configured.wargfs("ls", "-l").stdout.splitlines()
    told = json.loads(configured.wargfs("ls", "--json").stdout)
    assert told["namespaces"] == [{"namespace": "test"}, {"namespace": "other", "registry": other.domain}]
    assert configured.wargfs("ls", "other").stdout == f"{THING}\n"
    assert configured.wargfs("ls", "-l", "other").stdout == f"{THING}  1.1.0  2 releases\n"
    assert configured.wargfs("ls", THING).stdout.split() == sorted(THINGS)
    other.close()
    done = configured.wargfs("ls", "other", status=6)
    assert not done.stdout and other.domain in done.stderr
    assert configured.wargfs("ls", "test").stdout
    other.open()


def test_fetch(configured, liar, other):
    """Packages of both come in one go; one registry that is away keeps nothing of the other away."""
    write_map(configured, other=other.domain)
    told = json.loads(configured.wargfs("fetch", "--all-versions", "--json", THING, "test:tiny").stdout)
    assert [(one["package"], one["version"], one.get("registry")) for one in told["contents"]] == [
        (THING, "1.0.0", other.domain), (THING, "1.1.0", other.domain), ("test:tiny", "1.0.0", None)]
    for content in (*THINGS.values(), CONTENTS["test:tiny", "1.0.0"]):
        assert read(configured.content_file(content)) == content
    configured.wargfs("clear", "--yes")
    other.close()
    done = configured.wargfs("fetch", THING, "test:tiny", status=6)
    assert done.stdout.startswith("test:tiny 1.0.0") and other.domain in done.stderr
    other.open()
    liar.close()
    done = configured.wargfs("fetch", THING, "test:tiny", status=6)
    assert not done.stdout and liar.url.rstrip("/") in done.stderr
    liar.open()


# ---- The mount ----


@pytest.fixture
def mapped(home, other):
    """A home whose map says where `other` lives."""
    write_map(home, other=other.domain)
    return home


def test_mount(mapped, new_mount, liar, other):
    mount = new_mount(liar.url, home=mapped)
    assert mount.list() == ["other", "test"]
    assert not other.calls, "nobody looked into it yet"
    assert os.path.isdir(mount.at("other")) and not other.calls
    assert mount.list("other") == ["thing"]
    assert mount.list("other/thing") == ["1.0.0.wasm", "1.1.0.wasm", "latest.wasm"]
    assert mount.read("other/thing/1.0.0.wasm") == THINGS["1.0.0"]
    assert mount.read("other/thing/latest.wasm") == THINGS["1.1.0"]
    assert mount.read(".latest/other/thing.wasm") == THINGS["1.1.0"]
    assert THING in mount.read(".warg/log/other/thing.json").decode()
    for folder in ".latest", ".warg/log", ".warg/proof":
        assert mount.list(folder) == ["other", "test"]
    proof = mount.read(".warg/proof/other/thing/1.0.0.json")
    with open(os.path.join(mapped.work, "proof.json"), "wb") as file:
        file.write(proof)
    mapped.wargfs("verify", "--proof", "proof.json", "--content", mount.at("other/thing/1.0.0.wasm"))
    assert mount.read("test/tiny/1.0.0.wasm") == CONTENTS["test:tiny", "1.0.0"]
    assert errno_of(mount.stat, "other/nothing") == "ENOENT"
    assert errno_of(mount.stat, "nowhere") == "ENOENT"
    assert errno_of(mount.stat, "other/thing/9.9.9.wasm") == "ENOENT"


def test_mount_spoken_for(mapped, new_mount, liar, other, other_server):
    liar.spoken_for[other.domain] = other_server
    mount = new_mount(liar.url, home=mapped)
    assert mount.read("other/thing/1.1.0.wasm") == THINGS["1.1.0"]
    assert not other.calls


def test_login(home, new_mount, liar, other, other_server):
    """The home registry and another one each demand a login: first the home registry speaks for it, then it itself."""
    def demand(registry, token):
        def mutation(answer):
            if answer.call.headers.get("authorization") != f"Bearer {token}":
                answer.status, answer.json = 401, {"status": 401, "message": "who are you?"}
        for call in ("checkpoint", "logs", "names", "ledger", "records", "inclusion", "consistency", "sources"):
            registry.lie(call, mutation)

    home.wargfs("config", "--registry", liar.url, "--keyring-backend", "flat-file")
    write_map(home, other=other.domain)
    liar.spoken_for[other.domain] = other_server
    demand(liar, "one")
    demand(other, "two")
    assert "'wargfs login'" in home.wargfs("download", THING, "-o", "out.wasm", status=7).stderr
    home.wargfs("login", stdin=None, input="one")
    other.forget()
    download(home)
    mount = new_mount(liar.url, home=home).expect("^wargfs: .*a login is needed")
    assert mount.read("other/thing/1.1.0.wasm") == THINGS["1.1.0"]
    mount.end()
    assert not other.calls
    liar.spoken_for.clear()
    home.wargfs("reset", "--all", "--yes")
    write_map(home, other=other.domain)
    mount = new_mount(liar.url, home=home).expect("^wargfs: .*a login is needed")
    assert errno_of(mount.read, "other/thing/1.1.0.wasm") == "EACCES"
    home.wargfs("login", "--registry", other.url, stdin=None, input="two")
    assert mount.read("other/thing/1.1.0.wasm") == THINGS["1.1.0"]
    assert {call.headers.get("authorization") for call in other.calls} == {None, "Bearer two"}
    assert "Bearer two" not in {call.headers.get("authorization") for call in liar.calls}


def test_mount_attributes(mapped, new_mount, liar, other):
    def attribute(place, name):
        try:
            return os.getxattr(mount.at(place), "user.warg." + name).decode()
        except OSError:
            return None

    mount = new_mount(liar.url, home=mapped)
    assert attribute("test", "registry") == attribute("test/tiny", "registry") == attribute("", "registry") == liar.url
    assert attribute("other", "registry") == other.domain
    # Of a registry that nobody looked into nothing is proven.
    assert attribute("other", "checkpoint") is None and not other.calls
    mount.list("other")
    mount.list("other/thing")
    assert attribute("other/thing", "registry") == attribute("other/thing/1.0.0.wasm", "registry") == other.domain
    assert attribute("other/thing", "checkpoint") != attribute("test", "checkpoint")
    assert attribute("other", "complete") == "true"


def test_mount_status(mapped, new_mount, liar, other, other_server):
    mount = new_mount(liar.url, home=mapped)
    assert json.loads(mount.read(".warg/status"))["otherRegistries"] == []
    mount.list("other")
    status = json.loads(mount.read(".warg/status"))
    assert status["registry"] == liar.url
    told = status["otherRegistries"]
    assert [(one["registry"], one["lastError"]) for one in told] == [(other.domain, None)]
    assert told[0]["checkpoint"]["logLength"] == max(other_server.checkpoints)
    assert told[0]["trust"]["operatorKey"] != status["trust"]["operatorKey"]
    assert other.domain in mount.status().stdout


def test_mount_other_away(mapped, new_mount, liar, other):
    """It makes its own namespaces fail, and no other; and comes back without a new mount."""
    other.close()
    mount = new_mount(liar.url, home=mapped)
    mount.expect(other.domain)
    assert mount.list() == ["other", "test"]
    assert errno_of(mount.list, "other") == errno_of(mount.read, "other/thing/1.0.0.wasm") == "EHOSTUNREACH"
    assert other.domain in mount.last_error("other")
    assert mount.read("test/tiny/1.0.0.wasm") == CONTENTS["test:tiny", "1.0.0"]
    other.open()
    assert mount.read("other/thing/1.0.0.wasm") == THINGS["1.0.0"]
    assert mount.list("other") == ["thing"]


def test_mount_other_lies(mapped, new_mount, liar, other):
    other.lie("checkpoint", changed(lambda body: body["contents"].update(logLength=1)))
    mount = new_mount(liar.url, home=mapped)
    mount.expect("signature")
    assert errno_of(mount.list, "other") == "EBADMSG"
    assert errno_of(mount.read, "other/thing/1.0.0.wasm") == "EBADMSG"
    assert mount.read("test/tiny/1.0.0.wasm") == CONTENTS["test:tiny", "1.0.0"]
    other.be_honest()
    assert mount.read("other/thing/1.0.0.wasm") == THINGS["1.0.0"]


def test_mount_other_silent(mapped, new_mount, liar, other):
    """Who waits for a registry that says nothing can be interrupted, and holds up nobody else."""
    other.lie("well-known", liars.silent)
    mount = new_mount(liar.url, "timeout=60", home=mapped)
    waiting = mapped.start("ls", mount.at("other"), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    until(lambda: other.count("well-known"), "the other registry is asked")
    assert mount.list() == ["other", "test"]
    assert mount.read("test/tiny/1.0.0.wasm") == CONTENTS["test:tiny", "1.0.0"]
    waiting.terminate()
    assert waiting.wait(30) == -signal.SIGTERM
    # Whoever comes before it has hung up shares the fate of the attempt that is under way.
    mount.expect(other.domain)
    other.be_honest()
    until(lambda: errno_of(mount.list, "other") is None, "it is asked again")
    assert mount.list("other") == ["thing"]


def test_mount_ends_while_it_waits(mapped, new_mount, liar, other):
    other.lie("well-known", liars.silent)
    mount = new_mount(liar.url, "timeout=60", home=mapped)
    waiting = mapped.start("ls", mount.at("other"), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    until(lambda: other.count("well-known"), "the other registry is asked")
    mount.process.send_signal(signal.SIGTERM)
    assert waiting.wait(30)
    assert mount.wait_for_end() == 0
    assert not mounts.mounted_at(mount.path) and not mount.surprises()
    mount.over = True


def test_mount_refresh(mapped, new_mount, liar, other, other_server):
    """What is new in another registry appears, when all are told to look."""
    lengths = sorted(other_server.checkpoints)
    other.stay_at(lengths[-2])
    mount = new_mount(liar.url, "refresh=0", home=mapped)
    assert mount.list("other/thing") == ["1.0.0.wasm", "latest.wasm"]
    assert errno_of(mount.stat, "other/thing/1.1.0.wasm") == "ENOENT"
    other.be_honest()
    mount.process.send_signal(signal.SIGHUP)
    until(lambda: "1.1.0.wasm" in mount.list("other/thing"), "the new release is listed")
    until(lambda: errno_of(mount.stat, "other/thing/1.1.0.wasm") is None, "the new release is found")
    until(lambda: os.readlink(mount.at("other/thing/latest.wasm")) == "1.1.0.wasm", "the link leads to it")


def test_mount_map_changes(home, new_mount, liar, other):
    """A mount asks for no hints; a command does, and then the namespace is in the mount."""
    liar.hint = f"other={other.domain}"
    mount = new_mount(liar.url, home=home)
    assert mount.list() == ["test"]
    assert errno_of(mount.stat, "other") == errno_of(mount.stat, "other/thing/1.0.0.wasm") == "ENOENT"
    assert not other.calls
    download(home, "--registry", liar.url)
    until(lambda: mount.list() == ["other", "test"], "the namespace is listed")
    until(lambda: errno_of(mount.stat, "other") is None, "the namespace is found")
    assert mount.read("other/thing/1.0.0.wasm") == THINGS["1.0.0"]
    write_map(home)
    until(lambda: mount.list() == ["test"], "it is listed no more")
    until(lambda: errno_of(mount.stat, "other") == "ENOENT", "it is found no more")


def test_mount_bad_map(home, new_mount, liar):
    """What the operator defines is there; of anything else it cannot be told whether it is."""
    os.makedirs(home.cache)
    with open(map_file(home), "w") as file:
        file.write("{")
    mount = new_mount(liar.url, home=home)
    mount.expect("namespaces")
    assert mount.list() == ["test"]
    assert mount.read("test/tiny/1.0.0.wasm") == CONTENTS["test:tiny", "1.0.0"]
    assert errno_of(mount.stat, "other") == "EBADMSG"


@pytest.mark.parametrize("options", ((), ("offline",)), ids=("away", "offline"))
def test_mount_from_the_cache(mapped, new_mount, liar, other, options):
    """What was proven of another registry before is there without it."""
    mount = new_mount(liar.url, home=mapped)
    assert mount.list() == ["other", "test"]
    assert mount.list("other") == ["thing"]
    assert mount.read("other/thing/1.0.0.wasm") == THINGS["1.0.0"]
    mount.end()
    other.close()
    other.forget()
    mount = new_mount(liar.url, *options, home=mapped)
    mount.expect(other.domain)
    assert mount.list("other") == ["thing"]
    assert mount.list("other/thing") == ["1.0.0.wasm", "1.1.0.wasm", "latest.wasm"]
    assert mount.read("other/thing/1.0.0.wasm") == THINGS["1.0.0"]
    assert errno_of(mount.read, "other/thing/1.1.0.wasm") == "EHOSTUNREACH"
    other.open()
    if not options:
        mount.process.send_signal(signal.SIGHUP)
        until(lambda: errno_of(mount.read, "other/thing/1.1.0.wasm") is None, "it is had again")
    else:
        assert not other.calls


def test_verify(configured, liar, other):
    """Each package is held against the registry that it lives in, also where the state of the home registry is bad."""
    write_map(configured, other=other.domain)
    download(configured)
    configured.wargfs("download", "test:tiny", "-o", "out.wasm")
    told = json.loads(configured.wargfs("verify", "--json").stdout)
    assert {(log.get("registry"), log.get("package")) for log in told["logs"]} == {
        (None, None), (None, "test:tiny"), (other.domain, None), (other.domain, THING)}
    assert all(log["good"] for log in told["logs"])
    assert [each["registry"] for each in told["otherRegistries"]] == [other.domain]
    assert told["operatorKey"] == programs.forge.OPERATOR.id != told["otherRegistries"][0]["operatorKey"]
    words = configured.wargfs("verify", THING).stdout
    assert f"{THING}: good, 2 releases, 1 in the cache\n2 of 2 logs good, held against {other.domain}" in words
    found = json.loads(configured.wargfs("verify", "--json", "./out.wasm").stdout)["files"][0]["releases"]
    assert [each["package"] for each in found] == ["test:tiny"]
    text = read(log_file(configured, other.domain))
    with open(log_file(configured, other.domain), "wb") as file:
        file.write(text.replace(b'"1.0.0"', b'"1.0.1"'))
    told = json.loads(configured.wargfs("verify", "--json", status=3).stdout)
    assert [log.get("package") for log in told["logs"] if not log["good"]] == [THING]
    other.lie("checkpoint", says(503))
    done = configured.wargfs("verify", status=6)
    assert "test:tiny: good" in done.stdout and "503" in done.stderr
