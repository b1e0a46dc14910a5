# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Mistakes, and what is said of them: a sentence with its subject and what to do, one exit status for each kind, and
the same as JSON."""
import contextlib
import json
import os
import re
import signal
import subprocess

import pytest

import programs
from liar import Liar, silent
from mounts import mounted_at, unmount_by_force
from programs import ABSENT, LOGIN, REFUSED, UNREACHABLE
from waiting import until

FAILED, MISUSE, UNVERIFIED = 1, 2, 3
EMPTY = b"\0asm\x0d\0\x01\0"  # a component

# Categories of the source, which tell nothing.
PREFIXES = ("this machine: ", "the request: ", "the registry: ", "the network: ", "the files on this machine: ",
            "the content source: ")


@pytest.fixture(scope="module")
def lab(everything, server):
    """A home with files to be wrong about; {places} of the table's words."""
    home = programs.Home(os.path.join(everything, "sentences"))
    for name, content in (("hello.wasm", EMPTY), ("empty.wasm", b""), ("text.wasm", b"hello, world\n"),
                          ("proof.json", b"[]")):
        with open(os.path.join(home.work, name), "wb") as file:
            file.write(content)
    os.makedirs(os.path.join(home.work, "free"))
    home.places = {"url": server.url, "bare": server.url.rstrip("/"),
                   "host": server.url.split("//")[1].rstrip("/"), "work": home.work,
                   "under": os.path.relpath(home.work, home.path)}
    home.wargfs("config", "--keyring-backend", "flat-file")
    home.wargfs("fetch", "--registry", server.url, "test:hello")
    return home


# Words, exit status, kind, what the sentence holds. {url} is a registry with test:hello.
AT = ("--registry", "{url}")
RELEASE = ("publish", "release", *AT, "--name", "test:hello", "--version")
TABLE = (
    # The command line.
    (("mout", "x"), MISUSE, "misuse", "there is no command 'mout'. Did you mean 'mount'?"),
    (("yank", "x"), MISUSE, "misuse", "there is no command 'yank'. Did you mean 'publish yank'?"),
    (("unmount", "x"), MISUSE, "misuse", "Did you mean 'umount'?"),
    (("publish", "realease"), MISUSE, "misuse", "there is no command 'publish realease'. Did you mean 'release'?"),
    (("frobnicate",), MISUSE, "misuse", "there is no command 'frobnicate'"),
    (("publish",), MISUSE, "misuse", "a command is missing"),
    (("--verison",), MISUSE, "misuse", "there is no option '--verison'. Did you mean '--version'?"),
    (("--registry", "{url}", "ls"), MISUSE, "misuse", "a command comes first, and its options behind it: '--registry'"),
    (("mount", "--registy", "x", "free"), MISUSE, "misuse", "no option '--registy'. Did you mean '--registry'?"),
    (("mount", "-o", "writeable", "free"), MISUSE, "misuse", "Did you mean 'writable'?"),
    (("mount", "-o", "time-out=3", "free"), MISUSE, "misuse", "Did you mean 'timeout='?"),
    (("mount", "a", "b", "c"), MISUSE, "misuse", "too many arguments: 'c'"),
    (("clear", "all"), MISUSE, "misuse", "it takes no argument: 'all'"),
    (("mount",), MISUSE, "misuse", "an argument is missing: wargfs mount [URL] MOUNTPOINT"),
    (("ls",), MISUSE, "misuse", "no registry is configured: give one with --registry URL"),
    (("download", *AT, "hello"), MISUSE, "misuse", "'hello' is not a package name: namespace:package"),
    ((*RELEASE, "1.0", "hello.wasm"), MISUSE, "misuse", "'1.0' is not a full version: write three numbers"),
    ((*RELEASE, "v1.0.0", "hello.wasm"), MISUSE, "misuse", "(and no leading v)"),
    (("config", "--keyring-backend", "flat"), MISUSE, "misuse", "there are secret-service, flat-file, linux-"),
    (("verify", "--proof", "hello.wasm"), MISUSE, "misuse", "hello.wasm is not a proof document: it is WebAssembly"),
    (("serve", "fsk", "--data", "d"), MISUSE, "misuse", "there is no command 'serve fsk'. Did you mean 'fsck'?"),
    (("serve", "--data", "d", "--tls-key", "k"), MISUSE, "misuse", "--tls-certificate and --tls-key belong together"),
    (("serve", "--data", "d", "--public-url", "x.example"), MISUSE, "misuse", "it begins with https:// or http://"),
    (("serve", "fsck", "--data", "nowhere"), ABSENT, "absent", "nowhere does not exist"),
    (("serve", "gc", "--data", "free"), ABSENT, "absent", "there is no registry in free"),
    (("ls", "--operator-key", "abc"), MISUSE, "misuse", "'sha256:' and 64 hexadecimal digits"),
    (("publish", "grant", *AT, "test:hello", "sha256:abc"), MISUSE, "misuse", "not a public key, ecdsa-p256:..., as"),
    (("publish", "wait", *AT, "test:hello", "abc"), MISUSE, "misuse", "not a record ID: 'sha256:' and 64"),
    (("serve", "--data", "d", "--listen", "nowhere"), MISUSE, "misuse", "'nowhere' is no address to listen on"),
    (("download", *AT, "test:hello@1.0.0"), MISUSE, "misuse", "a version is given with --version"),
    (("ls", "{url}"), MISUSE, "misuse", "a URL is given with --registry"),
    (("download", *AT, "test:hello", "-v", "v1.0.0"), MISUSE, "misuse", "(and no leading v), nor a requirement, such"),
    (("mount", "{url}"), MISUSE, "misuse", "a folder to mount at is missing behind the URL"),
    (("verify", "--proof", "proof.json"), UNVERIFIED, "forged", "proof.json is not a proof document: "),
    # Registries that are none, or away.
    (("ls", "--registry", "http://example.org"), MISUSE, "misuse", "Use https:// for other hosts"),
    (("ls", "--registry", "ftp://example.org"), MISUSE, "misuse", "it is neither https nor http"),
    (("ls", "--registry", "http://127.0.0.1:1"), UNREACHABLE, "unreachable",
     "http://127.0.0.1:1 cannot be connected to: connection refused"),
    (("mount", "http://127.0.0.1:1", "free"), UNREACHABLE, "unreachable",
     "connection refused; it cannot be mounted from the cache either"),
    (("ls", "--registry", "{host}"), UNREACHABLE, "unreachable",
     "https://{host} does not speak https. Did you mean {bare}?"),
    (("ls", "--registry", "https://registry.invalid"), UNREACHABLE, "unreachable", "registry.invalid"),
    (("ls", "--registry", "local:free"), ABSENT, "absent", "there is no registry in free: 'wargfs mount --local"),
    (("ls", "--registry", "local:gone"), ABSENT, "absent",
     "there is no registry in gone: 'wargfs mount --local gone MOUNTPOINT' begins one"),
    (("ls", "--registry", "{work}/free"), MISUSE, "misuse",
     "it is a path, and a registry in a folder is called local:DIR"),
    (("ls", "--registry", "local:~/{under}/free"), ABSENT, "absent", "there is no registry in {work}/free"),
    (("mount", "./free", "free"), MISUSE, "misuse", "a registry in a folder is called local:DIR"),
    # What is not there.
    (("ls", *AT, "nope"), ABSENT, "absent", "{url} has no namespace nope"),
    (("ls", *AT, "tset"), ABSENT, "absent", "{url} has no namespace tset; did you mean 'test'?"),
    (("ls", *AT, "nope:nope"), ABSENT, "absent", "{url} has no namespace nope, and so no package nope:nope"),
    (("download", *AT, "test:helo"), ABSENT, "absent", "{url} has no package test:helo; did you mean 'test:hello'?"),
    (("info", *AT, "test:nobody"), ABSENT, "absent", "{url} has no package test:nobody"),
    (("fetch", *AT, "test:nobody"), ABSENT, "absent", "{url} has no package test:nobody"),
    (("download", *AT, "test:hello", "-v", "9.9.9"), ABSENT, "absent", "has no version 9.9.9; the latest is"),
    (("publish", "submit", *AT), ABSENT, "absent", "no pending publish to submit"),
    (("status", "free"), ABSENT, "absent", "you have nothing mounted at {work}/free"),
    (("umount", "free"), ABSENT, "absent", "you have nothing mounted at free"),
    # Files here.
    (("mount", *AT, "nowhere"), FAILED, "system", "nowhere does not exist. Create it first: mkdir nowhere"),
    ((*RELEASE, "9.0.0", "empty.wasm"), FAILED, "damaged", "empty.wasm is empty: it is not a WebAssembly file"),
    ((*RELEASE, "9.0.0", "text.wasm"), FAILED, "damaged", "text.wasm is not a WebAssembly file: "),
    ((*RELEASE, "9.0.0", "free"), FAILED, "system", "free: Is a directory"),
    ((*RELEASE, "9.0.0", "missing.wasm"), FAILED, "system", "missing.wasm: No such file or directory"),
    (("umount", "nowhere"), ABSENT, "absent", "nowhere does not exist"),
    (("mount", "--local", "nowhere/reg", "free"), FAILED, "system", "nowhere/reg cannot be made: No such file"),
    # Keys.
    (("key", "info"), LOGIN, "no_key", "there is no key to sign with: 'wargfs key new' makes one"),
    ((*RELEASE, "9.0.0", "hello.wasm"), LOGIN, "no_key", "'wargfs key new' makes one"),
)


@pytest.mark.parametrize("words, status, kind, says", TABLE, ids=[" ".join(row[0]) for row in TABLE])
def test_mistakes(lab, words, status, kind, says):
    words, says = [word.format(**lab.places) for word in words], says.format(**lab.places)
    done = lab.wargfs(*words, status=status)
    said = done.stderr.split("\n")[0]
    assert said.startswith("wargfs") and says in said, done.stderr
    assert not any(prefix in done.stderr for prefix in PREFIXES), done.stderr
    told = lab.wargfs(*words, "--json", status=status)
    error = json.loads(told.stderr.splitlines()[-1])["error"]
    assert not told.stdout or json.loads(told.stdout)
    assert (error["status"], error["kind"]) == (status, kind) and error["reason"] and "subject" in error
    assert said.endswith(": " + error["message"]) and error["message"].endswith(error["reason"])
    assert "Try 'wargfs" not in told.stderr


def test_kinds_that_differ(lab):
    """Of one kind it is the kind's status, of several 1; and it is an object for each."""
    words = ("fetch", "--registry", lab.places["url"])
    done = lab.wargfs(*words, "test:nobody", "test:hello", "test:no-one", "--json", status=ABSENT)
    assert [json.loads(line)["error"]["kind"] for line in done.stderr.splitlines()] == ["absent", "absent"]


def test_secrets_stay_secret(lab):
    for words in (("key", "set", "a-secret"), ("login", "https://r.example", "a-secret"),
                  ("ls", "a", "ecdsa-p256:a-secret")):
        assert "secret" not in lab.wargfs(*words, status=MISUSE).stderr.replace("a secret is read", "")


def test_locales(lab):
    """Characters past ASCII are shown in a locale of UTF-8 alone, and those that a terminal acts on in none."""
    name = "gr\u00fc\u00dfe\u202e\u009b2J\x07.wasm"
    for locale, shown in (("C.UTF-8", "gr\u00fc\u00dfe\\xe2\\x80\\xae\\xc2\\x9b2J\\x07.wasm"),
                          ("C", r"gr\xc3\xbc\xc3\x9fe\xe2\x80\xae\xc2\x9b2J\x07.wasm")):
        done = subprocess.run([programs.WARGFS, "verify", f"./{name}", "--registry", lab.places["url"]], cwd=lab.work,
                              env=dict(lab.environment, LC_ALL=locale), capture_output=True, check=False)
        assert shown in done.stderr.decode(), (locale, done.stderr)


def test_registry_made_anew(serve, lab):
    """At the same URL, with another operator: what to do about it is said, and helps."""
    first = serve()
    url, address = first.url, "%s:%d" % first.address
    lab.wargfs("ls", "--registry", url)
    first.end()
    again = programs.Home(os.path.join(lab.path, "anew"))
    other = again.start(programs.WARGFS, "serve", "--data", "data", "--namespace", "test", "--listen", address,
                        stdout=subprocess.PIPE, text=True)
    try:
        until(lambda: "listens" in other.stdout.readline(), "it serves")
        done = lab.wargfs("ls", "--registry", url, status=UNVERIFIED)
        assert f"{url} is not the registry that it was" in done.stderr
        assert "'wargfs reset --registry URL' forgets the old one" in done.stderr
        lab.wargfs("reset", "--yes", "--registry", url)
        assert lab.wargfs("ls", "--registry", url).stdout == "test\n"
    finally:
        other.terminate()
        other.wait()


@pytest.fixture
def local(home):
    """A local registry, mounted by its daemon; unmounted at the end, whatever came of it."""
    path = os.path.join(home.work, "reg")
    os.mkdir(path)
    home.wargfs("mount", "--local", "registry", "reg")
    yield path
    unmount_by_force(path)


def test_local_registry(home, local):
    """It is called by its folder wherever it is told of: nobody typed the URL that is used inside."""
    name = f"local:{home.work}/registry"
    told = [home.wargfs("status", local).stdout, home.wargfs("info").stdout,
            home.wargfs("ls", "--registry", "local:registry", "local:nobody", status=ABSENT).stderr,
            home.wargfs("ls", "--registry", "local:registry", "--json").stdout]
    home.wargfs("umount", "reg")
    told.append(home.wargfs("info").stdout)
    for said in told:
        assert name in said and "wargfs.localhost" not in said, said


def test_umount(home, local):
    """It returns when the daemon has ended, and names what is in the way."""
    daemon = json.loads(home.wargfs("status", "--json", local).stdout)["pid"]
    with contextlib.ExitStack() as stack:
        folder = os.open(local, os.O_RDONLY)
        stack.callback(os.close, folder)
        done = home.wargfs("umount", local, "--json", status=FAILED)
        assert "is in use" in json.loads(done.stderr)["error"]["message"] and mounted_at(local)
    assert json.loads(home.wargfs("umount", "reg", "--json").stdout) == {"mountpoint": local, "pid": daemon}
    assert not mounted_at(local) and not os.path.exists(f"/proc/{daemon}/exe")
    assert home.wargfs("umount", local, status=ABSENT).stderr


def test_killed_daemon(home, local):
    """status tells that it is gone, and umount takes its mount away."""
    daemon = json.loads(home.wargfs("status", "--json", local).stdout)["pid"]
    os.kill(daemon, signal.SIGKILL)
    until(lambda: not os.path.exists(f"/proc/{daemon}/exe"), "it is gone")
    for words in (("status", local), ("status",)):
        said = home.wargfs(*words, status=FAILED).stderr
        assert f"the daemon of the mount at {local} is gone" in said and f"'wargfs umount {local}'" in said
    home.wargfs("umount", "reg")
    assert not mounted_at(local)


def test_publish_interrupted(home, serve):
    """Ctrl-C says how it stands, and the same command goes on."""
    liar = Liar(serve())
    home.configure(liar.url)
    with open(os.path.join(home.work, "hello.wasm"), "wb") as file:
        file.write(EMPTY)
    words = ("publish", "release", "--name", "test:interrupted", "--version", "1.0.0", "hello.wasm")
    liar.lie("publish", silent)
    program = home.start(programs.WARGFS, *words, stderr=subprocess.PIPE, text=True)
    until(lambda: liar.count("publish"), "the record is sent")
    program.send_signal(signal.SIGINT)
    said = program.communicate()[1]
    assert program.returncode == -signal.SIGINT
    assert "interrupted: the record sha256:" in said and "the same command goes on with it" in said, said
    record = re.search(r"the record (sha256:[0-9a-f]{64})", said)[1]
    liar.be_honest()
    liar.lie("checkpoint", silent)
    asked = liar.count("checkpoint")
    program = home.start(programs.WARGFS, "publish", "wait", "test:interrupted", record, stderr=subprocess.PIPE,
                         text=True)
    until(lambda: liar.count("checkpoint") > asked, "the registry is asked for it")
    program.send_signal(signal.SIGINT)
    said = program.communicate()[1]
    assert program.returncode == -signal.SIGINT
    assert f"interrupted: the record {record} of test:interrupted is not proven to be published yet; the same" in said
    liar.be_honest()
    assert "published version 1.0.0" in home.wargfs(*words).stdout
    liar.close()


@pytest.mark.skipif(os.getuid(), reason="only root hides /proc")
@pytest.mark.skipif(programs.is_sanitized(), reason="a sanitizer reads its options and its threads from /proc")
def test_without_proc(home, serve):
    """Without /proc releases are published and downloaded; what needs it says so."""
    url = serve().url
    home.configure(url)
    with open(os.path.join(home.work, "hello.wasm"), "wb") as file:
        file.write(EMPTY)
    os.mkdir(os.path.join(home.work, "reg"))

    def run(*words, status=0):
        return home.run("unshare", "--mount", "--propagation", "private", "sh", "-c",
                        'mount -t tmpfs none /proc && exec "$@"', "sh", programs.WARGFS, *words, status=status)
    run("publish", "release", "test:without-proc", "-v", "1.0.0", "hello.wasm")
    run("download", "test:without-proc", "-o", "got.wasm")
    with open(os.path.join(home.work, "got.wasm"), "rb") as file:
        assert file.read() == EMPTY
    home.wargfs("mount", "--local", "registry", "reg")
    home.wargfs("umount", "reg")
    assert "/proc, which has to be mounted" in run("ls", "--registry", "local:registry", status=FAILED).stderr
