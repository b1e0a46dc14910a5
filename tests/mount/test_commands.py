# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""The commands beside the reference's: the same words, the same files; and exit statuses."""
import hashlib
import json
import os
import re

import pytest

import programs
from liar import raw, says
from mounts import read
from registry import CONTENTS, wasm

COMMANDS = ("mount", "status", "config", "ls", "info", "update", "download", "fetch", "verify",
            "publish", "clear", "reset")


@pytest.fixture
def configured(home, liar):
    """A home whose home registry is behind the liar."""
    return home.configure(liar.url)


def test_help(home):
    told = home.wargfs("--help").stdout
    assert home.wargfs("help").stdout == told
    for command in COMMANDS:
        assert re.search(rf"^  {command} ", told, re.M)
        its = home.wargfs(command, "--help").stdout
        assert its.startswith(f"Usage: wargfs {command} ")
        assert home.wargfs(command, "-h").stdout == its == home.wargfs("help", command).stdout


def test_version(home):
    told = home.wargfs("--version").stdout
    assert re.fullmatch(r"wargfs \d+\.\d+\.\d+\n", told)
    assert home.wargfs("-V").stdout == told
    assert home.wargfs("info", "-V").stdout == told


MISUSES = (
    (), ("frobnicate",), ("info", "--frobnicate"), ("download",), ("download", "test:hello", "test:other"),
    ("download", "Test:Hello", "--registry", "http://127.0.0.1/"), ("download", "test:hello"), ("info", "hello"),
    ("mount",), ("mount", "-o", "frobnicate", "http://127.0.0.1/", "."), ("mount", "-o", "timeout=x", "."),
    ("config", "--ignore-federation-hints", "maybe"), ("config", "--keyring-backend", "paper"),
    ("config", "--operator-key", "sha256:" + "ab" * 32),
    ("update", "--registry", "http://registry.example/"), ("fetch",), ("fetch", "test:hello", "hello"),
    ("ls", "test", "test"), ("ls", "Test"), ("ls", "test:"), ("ls", ""), ("ls", ".warg"), ("clear", "x"),
    ("clear", "--registry", "http://127.0.0.1/"), ("key",), ("key", "frobnicate"), ("key", "new", "x"),
    ("key", "new", "--registry", "http://registry.example/"), ("login",), ("login", "x", "y"), ("logout",),
    ("login", "--keyring-backend", "paper"),
    ("verify", "--content", "x"), ("verify", "--proof", "x", "y"),
    ("verify", "--operator-key", "sha256:" + "ab" * 32), ("verify", "--proof", "x", "--operator-key", "abc"),
    ("verify", "test:hello", "x.wasm", "--registry", "http://127.0.0.1/"), ("verify", "Test:Hello"),
)


@pytest.mark.parametrize("words", MISUSES, ids=" ".join)
def test_misuse(home, words):
    done = home.wargfs(*words, status=2)
    assert done.stderr and not done.stdout


def test_full_disk(home):
    with open("/dev/full", "w") as full:
        done = home.wargfs("--help", status=1, capture_output=False, stdout=full, stderr=-1)
    assert "No space left" in done.stderr


# ---- config ----

CONFIGS = (
    (),
    ("--keyring-backend", "flat-file"),
    ("--registries-dir", "r", "--content-dir", "some/where/c", "--namespace-path", "names"),
    ("--ignore-federation-hints", "true", "--disable-auto-accept-federation-hints", "true",
     "--disable-auto-package-init", "true"),
    ("--ignore-federation-hints", "false"),
)


def meaning(home):
    """What a config.json says, with paths as they are read (interop.md section C 9) and without the home's own."""
    config = home.read_config()
    for key in ("registriesDir", "contentDir", "namespaceMapPath"):
        if key in config:
            path = os.path.join(os.path.dirname(home.config), config[key])
            config[key] = os.path.relpath(os.path.normpath(path), home.path)
    return config


@pytest.mark.parametrize("words", CONFIGS, ids=" ".join)
def test_config(new_home, liar, words):
    """The same words write the same configuration, and each program goes on from the other's."""
    its, ours = new_home(), new_home()
    its.warg("config", "--registry", liar.url, *words)
    ours.wargfs("config", "--registry", liar.url, *words)
    assert meaning(ours) == meaning(its)
    before = meaning(ours)
    ours.warg("download", "test:tiny", "-o", "its.wasm")
    its.wargfs("download", "test:tiny", "-o", "ours.wasm")
    assert meaning(ours) == before
    ours.wargfs("config", "--disable-auto-package-init", "true")
    assert meaning(ours) == {**before, "disableAutoPackageInit": True}


def test_config_shows(home, liar):
    """Without a change to make it shows what holds and where that comes from, and writes nothing."""
    shown = home.wargfs("config").stdout
    assert f"file                             {home.config} (not there)\n" in shown
    assert "keyringBackend                   secret-service (default)\n" in shown
    assert not os.path.exists(home.config)
    key = "sha256:" + "ab" * 32
    home.wargfs("config", "--registry", liar.url, "--content-dir", "c", "--operator-key", key)
    home.wargfs("key", "new", "--keyring-backend", "flat-file")
    with open(home.config) as file:
        before = file.read(), os.stat(home.config).st_mtime_ns
    shown = home.wargfs("config").stdout
    assert re.search(rf"^homeUrl +{re.escape(liar.url)}$", shown, re.M)
    assert re.search(rf"^contentDir +{home.work}/c$", shown, re.M)
    assert re.search(rf"^registriesDir +{home.cache}/registries \(default\)$", shown, re.M)
    assert re.search(r"^keys +default$", shown, re.M)
    assert re.search(r"^keyringBackend +flat-file$", shown, re.M)
    assert re.search(rf"^operator key demanded +127\.0\.0\.1-\d+ {key}$", shown, re.M)
    answer = json.loads(home.wargfs("config", "--json").stdout)
    assert answer["file"] == home.config and answer["found"] is True
    assert set(answer["settings"]) == set(home.read_config()) | {"registriesDir", "namespaceMapPath"}
    assert answer["settings"]["homeUrl"] == {"value": liar.url, "source": "file"}
    assert answer["settings"]["keys"] == {"value": ["default"], "source": "file"}
    assert answer["settings"]["keyringAuth"] == {"value": False, "source": "file"}
    assert answer["settings"]["namespaceMapPath"]["source"] == "default"
    assert list(answer["operatorKeys"].values()) == [key]
    with open(home.config) as file:
        assert (file.read(), os.stat(home.config).st_mtime_ns) == before
    with open(home.config, "w") as file:
        file.write("{")
    assert home.config in home.wargfs("config", status=1).stderr


def test_config_same_home(home, liar):
    """Another spelling of the same URL is no other home registry."""
    home.wargfs("config", "--registry", liar.url)
    assert not home.wargfs("config", "--registry", liar.url.rstrip("/")).stderr
    config = home.read_config()
    with open(home.config, "w") as file:
        json.dump({**config, "homeUrl": liar.url.rstrip("/")}, file)
    assert not home.wargfs("config", "--registry", liar.url).stderr
    assert not home.wargfs("config", "--overwrite", "--registry", liar.url).stderr
    assert "was " + liar.url in home.wargfs("config", "--registry", "https://registry.example").stderr


UNPROVEN = (
    ("ls",), ("update",), ("info", "test:tiny"), ("info", "-n"), ("verify",), ("download", "test:tiny"),
    ("publish", "list"), ("publish", "release", "-n", "test:new", "-v", "1.0.0", "x.wasm"), ("reset", "--yes"),
    ("logout",), ("mount", "."), ("mount", "-o", "offline", "."),
)


def folders_of(home, url):
    """What there is of a registry, beside what all share."""
    label = os.path.basename(home.registry_folder(url))
    places = os.path.join(home.cache, "registries"), os.path.join(home.path, ".cache/wargfs"), \
        os.path.join(home.path, ".local/state/wargfs")
    return [path for path in (os.path.join(place, label) for place in places) if os.path.exists(path)]


def test_unproven(home, liar):
    """Nothing is kept of a registry that never proved anything, nor is it listed; of one that did everything is."""
    with open(os.path.join(home.work, "x.wasm"), "wb") as file:
        file.write(wasm(100, 1))
    nobody = f"http://{programs.free_address()}/"
    liar.lie("checkpoint", says(body=b"{}"))
    for url in nobody, liar.url:
        for words in UNPROVEN:
            registry = url if words[0] == "mount" else "--registry"
            words = [words[0], *words[1:-1], url, words[-1]] if registry == url else [*words, registry, url]
            home.wargfs(*words, status=None)
            assert not folders_of(home, url), words
    liar.be_honest()
    home.wargfs("ls", "--registry", liar.url)
    before = folders_of(home, liar.url)
    trust = os.path.join(before[2], "trust")
    with open(trust) as file:
        trusted = file.read()
    liar.close()
    try:
        for words in UNPROVEN:
            if words[0] not in ("reset", "mount"):
                home.wargfs(*words, "--registry", liar.url, status=None)
    finally:
        liar.open()
    assert folders_of(home, liar.url) == before
    with open(trust) as file:
        assert file.read() == trusted
    for label in "reg.example", "other.example":
        os.makedirs(os.path.join(home.cache, "registries", label, "package-logs/sha256"))
    assert home.wargfs("info").stdout.split() == [liar.url]


def test_config_elsewhere(home, liar):
    """A file in the working directory wins, --config over all."""
    home.wargfs("config", "--registry", liar.url, "warg-config.json")
    assert not os.path.exists(home.config)
    home.wargfs("download", "test:tiny", "-o", "out.wasm")
    os.rename(os.path.join(home.work, "warg-config.json"), os.path.join(home.path, "other.json"))
    home.wargfs("download", "test:tiny", "-o", "out.wasm", status=2)
    home.wargfs("download", "test:tiny", "-o", "out.wasm", "--config", os.path.join(home.path, "other.json"))


@pytest.mark.parametrize("text", (b"", b"{", b"[]", b'{"homeUrl":7}', b'{"homeUrl":"http://127.0.0.1/","homeUrl":"x"}',
                                  b"\xff"), ids=repr)
def test_bad_config(home, text):
    os.makedirs(os.path.dirname(home.config))
    with open(home.config, "wb") as file:
        file.write(text)
    done = home.wargfs("update", status=1)
    assert home.config in done.stderr


# ---- download ----

# What is asked for, and what comes; None: nothing. The reference knows no other words than these.
DOWNLOADS = (
    (("test:hello",), "1.1.0+build.7"),
    (("test:hello", "-v", "1.0.0"), "1.0.0"),
    (("test:hello", "-v", "0.9"), "0.9.0"),
    (("test:hello", "-v", "1"), "1.1.0+build.7"),
    (("test:hello", "--version", "1, <1.1"), "1.0.0"),
    (("test:steps", "-v", "0.2.0"), "0.2.0"),
    (("test:regret",), "1.0.0"),
    (("test:regret", "-v", "1.1.0"), None),
    (("test:hello", "-v", "7"), None),
    (("test:bare",), None),
    (("test:nobody",), None),
)

OUR_DOWNLOADS = (
    (("test:hello", "-v", "^1.0"), "1.1.0+build.7"),
    (("test:hello", "-v", "~1.0"), "1.0.0"),
    (("test:hello", "-v", "<1"), "0.9.0"),
    (("test:hello", "-v", "*"), "1.1.0+build.7"),
    (("test:hello", "-v", ">=0.9, <1.1"), "1.0.0"),
)


@pytest.mark.parametrize("words, version", DOWNLOADS, ids=lambda value: value if isinstance(value, str) else None)
def test_download(configured, words, version):
    """Both programs take the same words and write the same bytes, or none."""
    for program, name in ((programs.WARG, "its.wasm"), (programs.WARGFS, "ours.wasm")):
        done = configured.run(program, "download", *words, "-o", name, status=0 if version else 4)
        path = os.path.join(configured.work, name)
        if version:
            assert read(path) == CONTENTS[words[0], version]
            assert version in done.stdout
        else:
            assert words[0] in done.stderr
            assert not os.path.exists(path)


@pytest.mark.parametrize("words, version", OUR_DOWNLOADS, ids=lambda value: value if isinstance(value, str) else None)
def test_our_download(configured, words, version):
    configured.wargfs("download", *words, "-o", "ours.wasm")
    assert read(os.path.join(configured.work, "ours.wasm")) == CONTENTS[words[0], version]


def test_download_output(configured):
    content = CONTENTS["test:tiny", "1.0.0"]
    os.mkdir(os.path.join(configured.work, "folder"))
    configured.wargfs("download", "test:tiny", "-o", "folder")
    assert read(os.path.join(configured.work, "folder/tiny.wasm")) == content
    assert configured.wargfs("download", "test:tiny", "-o", "-", text=False).stdout == content
    told = json.loads(configured.wargfs("download", "test:tiny", "-o", "x.wasm", "--json").stdout)
    assert told["version"] == "1.0.0" and told["size"] == len(content)
    assert told["cached"] == configured.content_file(content) and read(told["cached"]) == content
    configured.wargfs("download", "test:tiny", "-o", "missing/x.wasm", status=1)


def test_download_forged(configured, liar):
    liar.lie("bytes", raw(lambda body: body + b"\0"))
    done = configured.wargfs("download", "test:tiny", "-o", "x.wasm", status=3)
    assert f"content sha256:{hashlib.sha256(CONTENTS['test:tiny', '1.0.0']).hexdigest()}" in done.stderr
    assert not os.path.exists(os.path.join(configured.work, "x.wasm"))
    liar.be_honest()
    configured.wargfs("download", "test:tiny", "-o", "x.wasm")


# ---- update and info ----


def test_update(new_home, liar, server):
    """The stored logs go on to the newest checkpoint, as the reference's update has them."""
    its, ours = (new_home().configure(liar.url) for _ in range(2))
    names = "test:steps", "test:regret", "test:hello"
    liar.stay_at(server.lengths[1])
    for name in names:
        its.warg("download", name, "-o", "x.wasm")
        ours.wargfs("download", name, "-o", "x.wasm")
    liar.past = None
    its.warg("update")
    liar.forget()
    told = ours.wargfs("update").stdout
    assert "test:steps" in told and "2 new" in told
    # However many packages: the well-known file, and four.
    assert liar.round_trips() <= 5
    for name in names[:2]:
        assert read(ours.log_file(liar.url, name)).decode() == read(its.log_file(liar.url, name)).decode()
    # A log without news is not written again, though the reference notes the later checkpoint in it.
    ours_hello, its_hello = (json.loads(read(home.log_file(liar.url, "test:hello"))) for home in (ours, its))
    assert {**ours_hello, "checkpoint": None} == {**its_hello, "checkpoint": None}
    told = json.loads(ours.wargfs("update", "--json").stdout)
    assert told["logLength"] == server.lengths[-1]
    assert {one["package"] for one in told["packages"]} == set(names)


def test_info(configured, liar):
    """The same packages, versions and digests as the reference tells of."""
    for name in ("test:regret", "test:hello"):
        configured.wargfs("download", name, "-o", "x.wasm")

    def facts(text):
        return re.findall(r"test:\w+|^ *[\w.+-]+ \(sha256:[0-9a-f]{64}\)", text, re.M)

    assert facts(configured.wargfs("info").stdout) == facts(configured.warg("info").stdout)
    assert facts(configured.wargfs("info", "test:hello").stdout) == facts(configured.warg("info", "test:hello").stdout)
    told = json.loads(configured.wargfs("info", "--json").stdout)
    assert [one["package"] for registry in told for one in registry["packages"]] == ["test:hello", "test:regret"]
    liar.close()
    assert facts(configured.wargfs("info", "test:hello").stdout)
    liar.open()
    assert facts(configured.wargfs("info", "test:steps").stdout)
    configured.wargfs("info", "test:nobody", status=4)
    assert configured.wargfs("info", "--namespaces").stdout == ""
