# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Keys and tokens: two programs, one keyring; and a registry that wants a token."""
import ctypes
import json
import os
import pty
import re
import select
import signal
import socket
import stat
import subprocess
import termios

import pytest

import forge
import programs
from desktops import Desktop
from mounts import errno_of, read
from registry import CONTENTS, wasm
from waiting import until

PASSWORD = "the password of this keyring"
TOKEN = "a.token-of/these+tests="
ASKED = ("checkpoint", "logs", "names", "ledger", "records", "inclusion", "consistency", "sources")


def kernel_keeps_keys(home):
    """Whether the kernel keeps keys for this process, which has a session of its own then: containers often may not."""
    if ctypes.CDLL("libkeyutils.so.1").keyctl_join_session_keyring(None) < 0:
        return False
    script = "keyctl get_persistent @s && keyctl unlink $(keyctl add user wargfs-test x @s) @s"
    return home.run("sh", "-c", script, status=None).returncode == 0


@pytest.fixture
def desktop(home):
    desktop = Desktop(home)
    yield desktop
    desktop.end()


@pytest.fixture(params=("flat-file", "secret-service", "linux-keyutils"))
def keyring(request, home, liar):
    """A home with a keyring, its home registry behind the liar."""
    home.wargfs("config", "--registry", liar.url, "--keyring-backend", request.param)
    if request.param == "secret-service":
        request.getfixturevalue("desktop").start_keyring(PASSWORD)
    if request.param == "linux-keyutils" and not kernel_keeps_keys(home):
        pytest.skip("the kernel keeps no keys for this process: test_keyring.c has what can be had")
    yield home
    # The kernel's are those of all that the user runs: of ours nothing stays, whatever became of the test.
    for name in home.read_config().get("keys", []):
        home.wargfs("key", "delete", "--yes", "--registry", name, status=None)
    home.wargfs("logout", status=None)


@pytest.fixture
def own(home):
    """--registry, and one that nobody else has a key for."""
    return "--registry", f"https://{os.path.basename(os.path.dirname(home.path))}-{os.getpid()}.example"


@pytest.fixture
def files(home, liar):
    """A home that keeps its keys in files."""
    home.wargfs("config", "--registry", liar.url, "--keyring-backend", "flat-file")
    return home


@pytest.fixture(scope="module")
def publishing(everything):
    """A registry that is published to."""
    server = programs.HomeServer(programs.Home(os.path.join(everything, "keys-server")))
    try:
        server.wait_for_length(1)
        yield server
    finally:
        server.end()


def kept(home):
    """The names of the files that it keeps."""
    folder = os.path.join(os.path.dirname(home.config), "keyring")
    return sorted(os.listdir(folder)) if os.path.exists(folder) else []


@pytest.fixture
def at_terminal():
    """Starts programs at terminals; none is there at the end."""
    started = []

    def start(home, *command):
        started.append(Terminal(home, *command))
        return started[-1]

    yield start
    for terminal in started:
        terminal.process.kill()
        terminal.process.wait()


class Terminal:
    """A program at a terminal: what is shown, and what is typed."""

    def __init__(self, home, *command):
        self.ours, its = pty.openpty()
        self.shown = ""
        self.process = home.start(*command, stdin=its, stdout=its, stderr=its)
        self.its = its

    def read_piece(self):
        """What is shown next; "" at the end."""
        until(lambda: select.select([self.ours], [], [], 0.1)[0], lambda: f"anything more is shown:\n{self.shown}")
        try:
            piece = os.read(self.ours, 4096).decode()
        except OSError:  # nobody is at the other end
            piece = ""
        self.shown += piece
        return piece

    def read_until(self, pattern):
        while not re.search(pattern, self.shown):
            assert self.read_piece(), f"the end, and no {pattern}:\n{self.shown}"

    def echoes(self):
        return bool(termios.tcgetattr(self.its)[3] & termios.ECHO)

    def type(self, pattern, text):
        """Once it asks for it."""
        self.read_until(pattern)
        os.write(self.ours, text.encode() + b"\r")

    def type_secret(self, pattern, text):
        """Once it shows no more what is typed: some throw away what came before that."""
        self.read_until(pattern)
        until(lambda: not self.echoes(), "nothing is shown any more")
        os.write(self.ours, text.encode() + b"\r")

    def end(self, status=0):
        os.close(self.its)
        while self.read_piece():
            pass
        os.close(self.ours)
        assert self.process.wait(60) == status, self.shown
        return self.shown


# ---- Keys ----

def test_key_shared(keyring, own):
    """What one makes the other finds, replaces and deletes."""
    # Without a key for the registry it is the default one, which only the kernel's keyring may have: the user's own.
    default = keyring.wargfs("key", "info", *own, status=None)
    assert default.returncode in (1, programs.LOGIN) or \
        keyring.read_config().get("keyringBackend") == "linux-keyutils", default

    def check_default(program):
        assert program("key", "info", *own, status=programs.LOGIN if default.returncode else 0).stdout == default.stdout

    check_default(keyring.warg)
    ours = keyring.wargfs("key", "new", *own).stdout
    assert re.fullmatch(r"Key ID: sha256:[0-9a-f]{64}\nPublic Key: ecdsa-p256:[A-Za-z0-9+/]{44}\n", ours)
    assert keyring.warg("key", "info", *own).stdout == ours == keyring.wargfs("key", "info", *own).stdout
    its = keyring.warg("key", "new", *own).stdout
    assert its != ours and keyring.wargfs("key", "info", *own).stdout == its
    told = keyring.wargfs("key", "set", "--yes", *own, stdin=None, input=forge.PUBLISHER.text + "\n").stdout
    assert keyring.warg("key", "info", *own).stdout == told != its
    assert json.loads(keyring.wargfs("key", "info", "--json", *own).stdout) == {
        "keyId": forge.PUBLISHER.id, "publicKey": forge.PUBLISHER.public}
    keyring.wargfs("key", "delete", "--yes", *own)
    assert own[1] not in keyring.read_config().get("keys", [])
    check_default(keyring.warg)
    its = keyring.warg("key", "new", *own).stdout
    assert keyring.wargfs("key", "info", *own).stdout == its
    keyring.warg_at_terminal("key", "delete", *own)
    check_default(keyring.wargfs)
    if not default.stdout:
        keyring.wargfs("key", "delete", "--yes", *own, status=7)


def test_key_of_home(files, liar):
    """The key of the home registry is found under either name, and all of it is replaced and deleted."""
    ours = files.wargfs("key", "new").stdout
    assert files.read_config()["keys"] == ["default"]
    assert files.warg("key", "info").stdout == ours
    its = files.warg("key", "new", "--registry", liar.url).stdout
    assert files.wargfs("key", "info").stdout == its == files.wargfs("key", "info", "--registry", liar.url).stdout
    new = files.wargfs("key", "new", "--yes").stdout
    for program in files.warg, files.wargfs:
        for words in (), ("--registry", liar.url):
            assert program("key", "info", *words).stdout == new
    files.wargfs("key", "delete", "--yes")
    assert kept(files) == ["service=warg-signing-key&user=default"]
    assert files.warg("key", "info").stdout == ours == files.wargfs("key", "info").stdout


@pytest.mark.parametrize("backend", ("flat-file", "secret-service"))
def test_key_signs(backend, home, publishing, request):
    """What is signed by a key that the one program made, the other goes on with."""
    if backend == "secret-service":
        request.getfixturevalue("desktop").start_keyring(PASSWORD)
    home.wargfs("config", "--registry", publishing.url, "--keyring-backend", backend)
    made = home.wargfs("key", "new").stdout.split()[2]
    package = f"test:signed-by-{backend}"
    path = os.path.join(home.work, "content.wasm")
    for version, program in ("1.0.0", home.wargfs), ("1.1.0", home.warg), ("1.2.0", home.wargfs):
        with open(path, "wb") as file:
            file.write(wasm(500, int(version[2])))
        program("publish", "release", "-n", package, "-v", version, path)
    home.warg("update")
    with open(home.log_file(publishing.url, package)) as file:
        stored = json.load(file)["state"]
    assert {version: release["by"] for version, release in stored["releases"].items()} == {
        "1.0.0": made, "1.1.0": made, "1.2.0": made}
    home.wargfs("key", "delete", "--yes")
    done = home.wargfs("publish", "release", "-n", package, "-v", "1.3.0", path, status=7)
    assert "key new" in done.stderr


def test_key_modes(files):
    files.wargfs("key", "new")
    folder = os.path.join(os.path.dirname(files.config), "keyring")
    assert stat.S_IMODE(os.stat(folder).st_mode) == 0o700
    assert {stat.S_IMODE(os.stat(os.path.join(folder, name)).st_mode) for name in os.listdir(folder)} == {0o600}


def test_exposed(files, liar):
    """A key that others may read is used, and told of."""
    files.wargfs("key", "new")
    folder = os.path.join(os.path.dirname(files.config), "keyring")
    key = os.path.join(folder, kept(files)[0])
    for folder_mode, mode, told in ((0o700, 0o644, False), (0o755, 0o600, False), (0o755, 0o644, True),
                                    (0o710, 0o640, True), (0o710, 0o604, False)):
        os.chmod(folder, folder_mode)
        os.chmod(key, mode)
        said = files.wargfs("ls", "--registry", liar.url).stderr
        assert (f"{key}: others on this machine may read" in said) == told, (folder_mode, mode, said)
        said = files.wargfs("ls", "--registry", liar.url, "--json").stderr.splitlines()
        assert [json.loads(line)["note"]["subject"] for line in said] == [key] * told


def test_key_is_not_lost(files):
    """Without a word nothing is replaced or deleted that cannot be had back."""
    before = files.wargfs("key", "new").stdout
    for words in ("new",), ("delete",):
        done = files.wargfs("key", *words, status=1)
        assert "no terminal" in done.stderr and not done.stdout
    files.wargfs("key", "set", stdin=None, input=forge.PUBLISHER.text, status=1)
    assert files.wargfs("key", "info").stdout == before
    files.wargfs("key", "set", "--yes", stdin=None, input=forge.PUBLISHER.text)
    files.wargfs("key", "set", stdin=None, input=forge.PUBLISHER.text)  # the same: nothing is lost


@pytest.mark.parametrize("text", ("", "\n", "hello\n", "ecdsa-p256:hello\n", "ecdsa-p256:" + "A" * 43 + "=\n",
                                  "x" * 9000))
def test_bad_key(files, text):
    done = files.wargfs("key", "set", stdin=None, input=text, status=1)
    assert not kept(files) and not files.read_config().get("keys")
    assert len(text) < 4 or text.strip() not in done.stderr


def test_key_at_terminal(files, at_terminal):
    """It is asked for, and not shown; the terminal is as it was, whatever ends it."""
    terminal = at_terminal(files, programs.WARGFS, "key", "set")
    terminal.type_secret("private key.*: ", forge.PUBLISHER.text)
    terminal.read_until("Public Key")
    assert terminal.echoes()
    assert forge.PUBLISHER.text not in terminal.end()
    terminal = at_terminal(files, programs.WARGFS, "key", "set")
    terminal.read_until("private key.*: ")
    until(lambda: not terminal.echoes(), "nothing is shown")
    terminal.process.send_signal(2)
    until(lambda: terminal.process.poll() is not None, "it ends")
    assert terminal.echoes()
    terminal.end(-2)
    terminal = at_terminal(files, programs.WARGFS, "key", "delete")
    terminal.type(r"\[y/N\] ", "y")
    terminal.end()
    assert not kept(files)


def test_key_elsewhere(home, liar):
    """What a command changes is written where it was read, and found there again."""
    home.wargfs("config", "--registry", liar.url, "--keyring-backend", "flat-file", "warg-config.json")
    local = os.path.join(home.work, "warg-config.json")
    made = home.wargfs("key", "new").stdout
    assert not os.path.exists(home.config)
    with open(local) as file:
        assert json.load(file)["keys"] == ["default"]
    assert home.warg("key", "info").stdout == made == home.wargfs("key", "info", "--config", local).stdout
    assert kept(home) == ["service=warg-signing-key&user=default"]


# ---- The desktop's keyring ----

def test_no_desktop(home, publishing, new_mount):
    """Where there is none, what to do is said, and that is enough, also for a mount that stands already."""
    home.environment["DBUS_SESSION_BUS_ADDRESS"] = "unix:path=" + os.path.join(home.path, "bus")
    mount = new_mount(publishing.url, "rw", "timeout=20", home=home).expect("no key", "the desktop's keyring cannot")
    folder, source = os.path.join(mount.path, "test/later"), os.path.join(home.work, "source.wasm")
    os.mkdir(folder)
    with open(source, "wb") as file:
        file.write(wasm(300, 32))
    copy = "cp", source, os.path.join(folder, "1.0.0.wasm")
    home.run(*copy, status=1)
    done = home.wargfs("key", "new", status=7)
    assert not os.path.exists(home.config)
    assert done.stderr.startswith("wargfs key new: the desktop's keyring cannot be used in this session: ")
    said = re.search(r"; to keep the signing key in a file: wargfs (key new --keyring-backend flat-file)$", done.stderr,
                     re.M)
    home.wargfs(*said[1].split())
    assert home.read_config()["keyringBackend"] == "flat-file" and "homeUrl" not in home.read_config()
    home.run(*copy)
    assert read(os.path.join(folder, "1.0.0.wasm")) == wasm(300, 32)


def test_no_desktop_at_terminal(home, at_terminal):
    """Without a message bus the usual answer is a file; an option answers beforehand."""
    home.environment.pop("DBUS_SESSION_BUS_ADDRESS", None)
    terminal = at_terminal(home, programs.WARGFS, "key", "new")
    terminal.type(r"desktop's keyring.*\[y/N\] ", "")
    assert "Public Key: " in terminal.end()
    assert home.read_config() == {**home.read_config(), "keyringBackend": "flat-file", "keys": ["default"]}
    os.unlink(home.config)
    assert "[" not in at_terminal(home, programs.WARGFS, "key", "new", "--keyring-backend", "mock").end()
    assert home.read_config()["keyringBackend"] == "mock"


def test_locked(home, liar, desktop):
    """A locked keyring that nobody can open is no reason to hang."""
    home.wargfs("config", "--registry", liar.url)
    desktop.start_keyring(PASSWORD)
    made = home.wargfs("key", "new").stdout
    desktop.end_keyring()
    desktop.start_keyring()
    assert "locked" in home.wargfs("key", "info", status=7).stderr
    home.wargfs("key", "new", "--yes", status=7)
    home.wargfs("key", "delete", "--yes", status=7)
    desktop.end_keyring()
    desktop.start_keyring(PASSWORD)
    assert home.wargfs("key", "info").stdout == made


def test_twice(home, liar, desktop):
    """Two items that match are one too many for the reference: it is said, and the next key leaves one."""
    home.wargfs("config", "--registry", liar.url)
    desktop.start_keyring(PASSWORD)
    home.wargfs("key", "new")
    other = ("secret-tool", "store", "--label=other", "service", "warg-signing-key", "username", "default", "target",
             "default", "another", "attribute")
    home.run(*other, stdin=None, input=forge.PUBLISHER.text)
    assert "more than once" in home.wargfs("key", "info", status=1).stderr
    home.warg("key", "info", status=1)
    made = home.wargfs("key", "new", "--yes").stdout
    assert home.warg("key", "info").stdout == made == home.wargfs("key", "info").stdout
    home.run(*other, stdin=None, input=forge.PUBLISHER.text)
    home.wargfs("key", "delete", "--yes")
    assert not home.run("secret-tool", "search", "--all", "service", "warg-signing-key").stdout


def test_desktop_signs_copies(home, desktop, publishing, new_mount):
    """A mount has what is copied to it signed by the desktop's key; without the desktop nothing, and it goes on."""
    home.wargfs("config", "--registry", publishing.url)
    desktop.start_keyring(PASSWORD)
    home.wargfs("key", "new")
    mount = new_mount(publishing.url, "rw", "timeout=20", home=home)
    mount.expect("the desktop's keyring cannot")
    folder = os.path.join(mount.path, "test/copied")
    os.mkdir(folder)
    source = os.path.join(home.work, "source.wasm")
    with open(source, "wb") as file:
        file.write(wasm(3000, 31))
    home.run("cp", source, os.path.join(folder, "1.0.0.wasm"))
    assert read(os.path.join(folder, "1.0.0.wasm")) == wasm(3000, 31)
    desktop.end()
    assert "Required key not available" in home.run("cp", source, os.path.join(folder, "1.1.0.wasm"), status=1).stderr
    assert "1.1.0.wasm" not in os.listdir(folder)
    assert read(os.path.join(folder, "1.0.0.wasm")) == wasm(3000, 31)


# ---- Tokens ----

def demand(liar, token=TOKEN):
    """Have nothing answered without the token."""
    def mutation(answer):
        if answer.call.headers.get("authorization") != f"Bearer {token}":
            answer.status, answer.json = 401, {"status": 401, "message": "who are you?"}
    for call in ASKED:
        liar.lie(call, mutation)


def test_token_shared(keyring, own, liar, at_terminal):
    """One logs in, the other is logged in, and logs out. Who has a key gets none."""
    keyring.wargfs("key", "new", *own)
    done = keyring.wargfs("login", stdin=None, input=TOKEN + "\n")
    assert TOKEN not in done.stdout + done.stderr
    assert keyring.read_config()["keyringAuth"] is True
    demand(liar)
    keyring.warg("download", "test:tiny", "-o", "its.wasm")
    keyring.wargfs("download", "test:tiny", "-o", "ours.wasm")
    keyring.warg("logout")
    keyring.wargfs("logout", status=4)
    keyring.wargfs("ls", status=7)

    terminal = at_terminal(keyring, programs.WARG, "login")
    terminal.type_secret("token.*", TOKEN)
    terminal.end()
    keyring.wargfs("ls")
    assert json.loads(keyring.wargfs("logout", "--json").stdout) == {"registry": liar.url}
    assert keyring.read_config()["keyringAuth"] is False
    keyring.warg("logout", status=1)
    assert keyring.read_config()["keys"] == [own[1]]


def test_token_sent(files, liar, new_mount):
    """To the registry, from commands and mounts; not to whoever says which one that is, nor to where contents lie."""
    demand(liar)
    assert "'wargfs login'" in files.wargfs("ls", status=7).stderr
    files.wargfs("login", stdin=None, input=TOKEN)
    liar.forget()
    files.wargfs("ls")
    files.wargfs("download", "test:hello", "-o", "x.wasm")
    mount = new_mount(liar.url, home=files)
    path = os.path.join(mount.path, "test/page/1.0.0.wasm")
    assert read(path) == CONTENTS["test:page", "1.0.0"]
    for call in liar.calls:
        assert ("authorization" in call.headers) == (call.name in ASKED), call.name
    assert liar.count("bytes") and liar.count("sources")
    # It is the mount's until its end.
    files.wargfs("logout")
    assert read(os.path.join(mount.path, "test/tiny/1.0.0.wasm")) == CONTENTS["test:tiny", "1.0.0"]
    assert TOKEN not in mount.log


def test_login_under_a_mount(home, liar, new_mount):
    """A running mount uses each token that 'wargfs login' stores, the first one and later ones."""
    home.wargfs("config", "--registry", liar.url, "--keyring-backend", "flat-file")
    mount = new_mount(liar.url, "refresh=0", home=home).expect("^wargfs: .*a login is needed")
    for number, path in enumerate(("test/page/1.0.0.wasm", "test/tiny/1.0.0.wasm")):
        demand(liar, f"token{number}")
        assert errno_of(mount.read, path) == "EACCES"
        assert "'wargfs login'" in mount.last_error("test")
        home.wargfs("login", stdin=None, input=f"token{number}")
        assert len(mount.read(path)) > 0
    assert "token1" not in mount.log


def test_ends_while_it_asks(home, liar, new_mount, folder):
    """A mount does not wait for a person whom the desktop asks for a password."""
    home.wargfs("config", "--registry", liar.url)
    home.environment["DBUS_SESSION_BUS_ADDRESS"] = "unix:path=" + os.path.join(folder, "bus")
    with socket.socket(socket.AF_UNIX) as bus:
        bus.bind(os.path.join(folder, "bus"))
        bus.listen()
        bus.settimeout(30)
        mount = new_mount(liar.url, "rw", home=home).expect("^wargfs: ")
        with subprocess.Popen(["mkdir", mount.at("test/asked")]) as making:
            assert making.wait(30) == 0
        with subprocess.Popen(["cp", mount.at("test/tiny/1.0.0.wasm"), mount.at("test/asked/1.0.0.wasm")],
                              stderr=subprocess.DEVNULL) as copying:
            asked, _ = bus.accept()
            mount.process.send_signal(signal.SIGTERM)
            assert mount.wait_for_end() == 0
            assert copying.wait(30) != 0
        asked.close()


def test_bus_ends(home, liar, desktop, new_mount):
    """A mount that has its token from the desktop outlives the desktop."""
    home.wargfs("config", "--registry", liar.url)
    desktop.start_keyring(PASSWORD)
    home.wargfs("login", stdin=None, input=TOKEN)
    demand(liar)
    mount = new_mount(liar.url, home=home)
    desktop.end()
    assert read(os.path.join(mount.path, "test/page/1.0.0.wasm")) == CONTENTS["test:page", "1.0.0"]
    assert mount.process.poll() is None
    assert errno_of(os.stat, os.path.join(mount.path, "test/nobody")) == "ENOENT"


@pytest.mark.parametrize("text", ("", "\n", "two words\n", "caf\u00e9\n", "x" * 9000))
def test_bad_token(files, text):
    files.wargfs("login", stdin=None, input=text, status=1)
    assert not kept(files) and files.read_config()["keyringAuth"] is False


def test_login_chooses(home, liar):
    """The first registry becomes the home registry, with a key; another one asks; what is settled stays."""
    done = home.wargfs("login", "--registry", liar.url, "--keyring-backend", "flat-file", stdin=None, input=TOKEN)
    assert "Public Key: " in done.stdout
    config = home.read_config()
    assert (config["homeUrl"], config["keyringBackend"], config["keys"]) == (liar.url, "flat-file", ["default"])
    assert home.warg("key", "info").stdout.splitlines()[1] in done.stdout

    other = liar.url.replace("127.0.0.1", "localhost")
    done = home.wargfs("login", other, "--disable-auto-package-init", stdin=None, input=TOKEN)
    assert "no terminal" in done.stderr and "Public Key" not in done.stdout
    config = home.read_config()
    assert config["homeUrl"] == liar.url and config["disableAutoPackageInit"] is True
    home.wargfs("login", other, "--yes", stdin=None, input=TOKEN)
    assert home.read_config()["homeUrl"] == other
    home.wargfs("logout", "--registry", liar.url)
    assert home.read_config()["keyringAuth"] is True
    home.wargfs("logout")
    assert home.read_config()["keyringAuth"] is False
    assert kept(home) == ["service=warg-signing-key&user=default"]
    home.wargfs("login", other, "--registry", other, stdin=None, input=TOKEN, status=2)


def test_login_takes_the_key(files, liar):
    """A key that only the configuration has forgotten is not replaced."""
    made = files.wargfs("key", "new").stdout
    os.unlink(files.config)
    words = "login", "--registry", liar.url, "--keyring-backend", "flat-file"
    liar.close()
    files.wargfs(*words, stdin=None, input=TOKEN, status=6)
    assert not os.path.exists(files.config) and kept(files) == ["service=warg-signing-key&user=default"]
    liar.open()
    assert "Public Key" not in files.wargfs(*words, stdin=None, input=TOKEN).stdout
    assert files.wargfs("key", "info").stdout == made == files.warg("key", "info").stdout


def test_login_at_terminal(home, liar, at_terminal):
    """Where it is to be kept is asked once; the token is not shown."""
    home.environment["DBUS_SESSION_BUS_ADDRESS"] = "unix:path=" + os.path.join(home.path, "bus")
    terminal = at_terminal(home, programs.WARGFS, "login", "--registry", liar.url)
    terminal.type(r"\[Y/n\] ", "n")
    terminal.type_secret("The token for .*: ", TOKEN)
    assert TOKEN not in terminal.end()
    assert home.read_config().get("keyringBackend") == "flat-file" and len(kept(home)) == 2
    terminal = at_terminal(home, programs.WARGFS, "login")
    terminal.type_secret("The token for .*: ", TOKEN)
    assert "Y/n" not in terminal.end()


def test_not_on_command_lines(files):
    """Neither program that waits for a secret has it anywhere that others can see."""
    program = files.start(programs.WARGFS, "key", "set", "--yes", stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
    program.stdin.write(forge.PUBLISHER.text[:20].encode())
    program.stdin.flush()
    for name in "cmdline", "environ":
        with open(f"/proc/{program.pid}/{name}", "rb") as file:
            assert forge.PUBLISHER.text[12:20].encode() not in file.read()
    program.stdin.write(forge.PUBLISHER.text[20:].encode())
    program.stdin.close()
    assert program.wait(60) == 0
