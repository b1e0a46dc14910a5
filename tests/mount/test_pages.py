# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""README.md and the EXAMPLES of the manual, run word for word, in their order, by an ordinary user without a desktop.

What begins with `$ ` is a command, and the lines below it are its output, where they are there. Each page has a home
and a registry of its own. The tables say all that is not as in the text; what is in them and not in a text any more
fails.
"""
import contextlib
import glob
import os
import pwd
import re
import shutil
import signal
import subprocess

import pytest

import forge
import programs
from mounts import LET_GO_OF_OTHERS
from registry import wasm
from waiting import until

ROOT = os.path.join(programs.HERE, "../..")
USER = pwd.getpwnam("nobody") if os.getuid() == 0 else pwd.getpwuid(os.getuid())
STRANGER = forge.STRANGER.public

# What stands for what. {own}: the page's registry; {other}: an address that is free; {home}: the user's home.
SUBSTITUTES = {
    "127.0.0.1:8090": "{own}",
    "127.0.0.1:8091": "{other}",
    "https://warg.example/": "http://{own}/",
    "team.example:8443": "localhost:{secure}",
    "DNS:team.example": "DNS:localhost",
    "--listen :8443": "--listen localhost:{secure}",
    "wa.example": "http://{own}",
    "/srv/": "{home}/srv/",
    "ecdsa-p256:A1Of...": STRANGER,
}

# Pages that start the registry themselves, at {own}; all others find one there.
STARTS_ITS_OWN = {"README.md", "man/wargfs-serve.1"}

# What a reader of the page has done before, beside configuring the registry and making a key.
BEFORE = {
    "man/wargfs-logout.1": ["echo token | wargfs login --registry wa.example"],
    "man/wargfs-status.1": ["mkdir ~/reg", "wargfs mount ~/reg"],
    "man/wargfs-verify.1": ["wargfs fetch example:hello", "mkdir mnt", "wargfs mount mnt"],
}
WITHOUT_A_KEY = {"README.md", "man/wargfs-config.1", "man/wargfs-key.1", "man/wargfs.1"}

# What the page's registry has: package, version, and whether it is yanked.
HELLO = (("test:hello", "0.1.0", False), ("test:hello", "0.2.0", False), ("test:world", "1.0.0", False))
RELEASES = {
    "man/wargfs-ls.1": (("test:hello", "0.1.0", False), ("test:hello", "0.2.0", True), ("test:world", "1.0.0", False)),
    "man/wargfs-verify.1": (("example:hello", "1.0.0", False),),
    "man/wargfs-mount.1": (),
    "man/wargfs-publish.1": (),
}

# What is typed where a command asks.
TYPED = {"wargfs login --registry wa.example": "token\n"}

# Files in the working directory, beside hello.wasm; of those that are another content, its number.
FILES = {"hello.wasm": 1, "old.wasm": 2, "new.wasm": 3, "0.2.0.wasm": 4, "0.2.1.wasm": 5, "component.wasm": 1}

# Containers often have a /dev/fuse for root alone: the user then has a mount namespace, with one for everybody.
FOR_EVERYBODY = LET_GO_OF_OTHERS + """
set -eu
mount -t tmpfs none "$1"
mknod -m 666 "$1/fuse" c 10 229
mount --bind "$1/fuse" /dev/fuse
echo there
exec cat
"""

# Programs that are not ours and need not be here: each only sees that it is given WebAssembly.
OTHERS = {"wasm-tools": r"""#!/bin/sh
while [ $# -gt 1 ]; do shift; done
[ "$1" = print ] || exec <"$1"
[ "$(head -c 4 | od -An -tx1)" = " 00 61 73 6d" ]
"""}

# What is not run here, by its first line, and why.
NOT_RUN = {
    "make demo     # set up, begin a registry, mount it, publish, read, compare, unmount, and say what that showed":
        "tests/demo",
    "/* cc hello.c $(pkg-config --cflags --libs warg) */": "tests/mount/test_library.py",
    "# mount -t wargfs -o allow_other http://127.0.0.1:8090 /srv/reg": "root: tests/mount/test_helper.py",
    "https://reg.example /srv/reg wargfs ro,allow_other,_netdev,nofail 0 0":
        "a line of fstab(5): tests/mount/test_helper.py",
    "https://reg.example /srv/reg wargfs \\": "a line of fstab(5)",
    "https://reg.example /srv/reg wargfs writable,uid=1000,gid=1000 0 0": "a line of fstab(5)",
    "[Unit]": "a unit of systemd: test_unit",
}
used = set()


# ---- The texts ----

def read_text(path):
    with open(os.path.join(ROOT, path), encoding="utf-8") as file:
        return file.read()


def blocks_of_readme(text):
    return [block.splitlines() for block in re.findall(r"^```\w*\n(.*?)^```$", text, re.M | re.S)]


def plain(line):
    """A line of mdoc as it is shown."""
    for escape, meant in ((r"\(dq", '"'), (r"\&", ""), (r"\ ", " "), (r"\e", "\\")):
        line = line.replace(escape, meant)
    return line


def blocks_of_page(text):
    examples = re.search(r"^\.Sh EXAMPLES\n(.*?)^\.Sh ", text, re.M | re.S)
    blocks, literal = [], False
    for line in examples[1].splitlines() if examples else ():
        if line.startswith(".Bd -literal"):
            literal = True
            blocks.append([])
        elif line == ".Ed":
            literal = False
        elif literal:
            blocks[-1].append(plain(line))
        elif line.startswith(".Dl "):
            command = plain(line[len(".Dl "):])
            if command.startswith(("$", "#")):
                blocks.append([])
            blocks[-1].append(command)
    return blocks


def commands_of(blocks):
    """[(command, lines of its output)], without the blocks that are not run."""
    commands = []
    for block in blocks:
        if not any(line.startswith("$ ") for line in block):
            is_drawing = block[0] == "~/reg"
            assert is_drawing or block[0] in NOT_RUN, f"neither a command, nor in NOT_RUN: {block[0]}"
            used.add(block[0])
            continue
        for line in block:
            if commands and commands[-1][0].endswith("\\"):
                commands[-1][0] += "\n" + line
            elif line.startswith("$ "):
                commands.append([line[2:], []])
            else:
                commands[-1][1].append(line)
    return commands


def pages():
    """All that has commands."""
    found = {"README.md": blocks_of_readme(read_text("README.md"))}
    for path in sorted(glob.glob("man/*.[18]", root_dir=ROOT)):
        found[path] = blocks_of_page(read_text(path))
    return {path: commands_of(blocks) for path, blocks in found.items()}


PAGES = pages()


# ---- The world around them ----

class Registry:
    """A server for one page, with what is to be there."""

    def __init__(self, folder, releases):
        self.home = programs.Home(os.path.join(folder, "server"))
        more = {package.split(":")[0] for package, *_ in releases} - {"test"}
        self.server = programs.OwnServer(self.home, *(word for name in more for word in ("--namespace", name)))
        self.own = self.server.url.split("/")[2]
        self.home.wargfs("config", "--registry", self.server.url, "--keyring-backend", "flat-file")
        self.home.wargfs("key", "new")
        for number, (package, version, is_yanked) in enumerate(releases, 1):
            with open(os.path.join(self.home.work, "x.wasm"), "wb") as file:
                file.write(wasm(300, number))
            self.home.wargfs("publish", "release", "-n", package, "-v", version, "x.wasm")
            if is_yanked:
                self.home.wargfs("publish", "yank", "--yes", "-n", package, "-v", version)


class Reader:
    """An ordinary user with a shell, a home, and nothing else."""

    def __init__(self, folder, own):
        self.path = os.path.join(folder, "reader")
        programs_folder = os.path.join(folder, "bin")
        for path in (self.path, os.path.join(self.path, "work"), os.path.join(self.path, "run"), programs_folder):
            os.mkdir(path)
            os.chown(path, USER.pw_uid, USER.pw_gid)
        os.chmod(os.path.join(self.path, "run"), 0o700)
        shutil.copy(programs.WARGFS, programs_folder)
        for name, text in OTHERS.items():
            with open(os.path.join(programs_folder, name), "w") as file:
                file.write(text)
            os.chmod(file.name, 0o755)
        for name, number in FILES.items():
            self.write(name, wasm(300, number))
        self.write("key", forge.PUBLISHER.text.encode() + b"\n")
        self.write("token", b"token\n")
        self.values = {"own": own, "other": programs.free_address(), "home": self.path,
                       "secure": programs.free_address().rpartition(":")[2]}
        self.environment = {"HOME": self.path, "USER": USER.pw_name, "TERM": "xterm", "LANG": "C.UTF-8",
                            "PATH": programs_folder + ":/usr/local/bin:/usr/bin:/bin",
                            "XDG_RUNTIME_DIR": os.path.join(self.path, "run"),
                            **{name: value for name, value in os.environ.items() if name.endswith("SAN_OPTIONS")}}
        self.behind = []
        self.become = []
        self.holder = None
        if os.getuid() == 0:
            self.become = ["setpriv", f"--reuid={USER.pw_uid}", f"--regid={USER.pw_gid}", "--clear-groups", "--"]
            if os.stat("/dev/fuse").st_mode & 0o006 != 0o006:
                self.become = [*self.enter_namespace(os.path.join(folder, "dev")), *self.become]

    def enter_namespace(self, path):
        os.mkdir(path)
        self.holder = subprocess.Popen(["unshare", "--mount", "sh", "-c", FOR_EVERYBODY, "sh", path],
                                       stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert self.holder.stdout.readline() == b"there\n"
        return ["nsenter", f"--mount=/proc/{self.holder.pid}/ns/mnt", "--"]

    def write(self, name, content):
        path = os.path.join(self.path, "work", name)
        with open(path, "wb") as file:
            file.write(content)
        os.chown(path, USER.pw_uid, USER.pw_gid)

    def substitute(self, text):
        for written, meant in SUBSTITUTES.items():
            if written in text:
                used.add(written)
                text = text.replace(written, meant.format(**self.values))
        return text

    def run(self, command):
        """What it prints, when its exit status was 0. What `&` leaves behind goes on until the end."""
        words = [*self.become, "bash", "-c", "cd ~/work\n" + self.substitute(command)]
        if command in TYPED:
            used.add(command)
        with open(os.path.join(self.path, "typed"), "w+") as typed, open(self.path + ".out", "w+b") as output, \
                open(self.path + ".err", "w+b") as errors:
            typed.write(TYPED.get(command, ""))
            typed.seek(0)
            process = subprocess.Popen(words, env=self.environment, stdin=typed, stdout=output, stderr=errors,
                                       start_new_session=True)
            if command.split("#")[0].rstrip().endswith("&"):
                self.behind.append(process.pid)
            status = process.wait(60)
            said = [self.look(file) for file in (output, errors)]
            if process.pid in self.behind:
                until(lambda: "listens at" in self.look(output), lambda: f"{command}: {self.look(errors)}")
            assert status == 0, f"$ {command}\nended with {status}:\n{said[0]}{said[1]}"
            return said[0]

    @staticmethod
    def look(file):
        file.seek(0)
        return file.read().decode()

    def mounted(self):
        pid = self.holder.pid if self.holder else "self"
        with open(f"/proc/{pid}/mountinfo", errors="surrogateescape") as file:
            return [line.split(" ")[4] for line in file if line.split(" ")[4].startswith(self.path)]

    def end(self):
        for path in self.mounted():
            self.run(f"fusermount3 -u -z '{path}'")
        for group in self.behind:
            os.killpg(group, signal.SIGTERM)
            until(lambda group=group: has_ended(group), "what was started in the background ends")
        if self.holder:
            self.holder.stdin.close()
            self.holder.wait()
            self.holder.stdout.close()


def has_ended(group):
    """Whether no process of a group runs any more; ended ones may wait for somebody to reap them."""
    for path in glob.glob("/proc/[0-9]*/stat"):
        with contextlib.suppress(OSError), open(path) as file:
            state, _, own = file.read().rpartition(")")[2].split()[:3]
            if int(own) == group and state != "Z":
                return False
    return True


def matches(command, shown, printed):
    """Whether a command prints what the text shows: `...` stands for anything, a time for any time. At a terminal ls
    prints in columns.
    """
    if command.startswith("ls "):
        return " ".join(shown).split() == printed.split()
    pattern = "\n".join(re.escape(line.rstrip()) for line in shown)
    pattern = re.sub(r"\d{4}\\-\d\d\\-\d\dT\d\d:\d\d:\d\dZ", r"\\d{4}-\\d\\d-\\d\\dT\\d\\d:\\d\\d:\\d\\dZ", pattern)
    pattern = re.sub(r"(sha256:)?\w*\\\.\\\.\\\.", ".*", pattern)
    return re.fullmatch(pattern, "\n".join(line.rstrip() for line in printed.splitlines()))


@pytest.fixture
def read_page(folder, everything):
    """Reads a page in its world: read_page(path)."""
    for path in everything, folder:
        os.chmod(path, 0o755)
    left = []

    def read(path):
        if path in STARTS_ITS_OWN:
            own = programs.free_address()
        else:
            registry = Registry(folder, RELEASES.get(path, HELLO))
            left.append(registry.server)
            own = registry.own
        reader = Reader(folder, own)
        left.append(reader)
        if path not in WITHOUT_A_KEY:
            reader.run("wargfs config --registry http://127.0.0.1:8090 --keyring-backend flat-file")
            reader.run("wargfs key new")
        reader.environment["OPERATOR_KEY"] = forge.OPERATOR.id
        for command in BEFORE.get(path, ()):
            reader.run(command)
        for command, shown in PAGES[path]:
            printed = reader.run(command)
            assert not shown or matches(command, shown, printed), \
                f"$ {command}\nis shown to print\n{shown}\nnot\n{printed}"
        return reader

    yield read
    for one in reversed(left):
        one.end()


# ---- The tests ----

def test_readme(read_page):
    """From nothing to a release that is read, checked and unmounted; and the drawing shows what is there."""
    drawing = next(block for block in blocks_of_readme(read_text("README.md")) if block[0] == "~/reg")
    reader = read_page("README.md")
    assert not reader.mounted()
    reader.run("wargfs mount http://127.0.0.1:8090 ~/reg")
    above = []
    for line in drawing[1:]:
        indent, name = re.match(r"([│├└─\s]*)(\S+)", line).groups()
        above[len(indent) // 4 - 1:] = [name]
        reader.run(f"test -e ~/reg/{'/'.join(above)}")
    listed = reader.run("cd ~/reg; find . -mindepth 1 -printf '%f\n'").split()
    drawn = [re.match(r"[│├└─\s]*(\S+)", line)[1] for line in drawing[1:]]
    assert sorted(listed) == sorted(name for name in drawn if not name.startswith("."))


@pytest.mark.parametrize("path", sorted(path for path in PAGES if path != "README.md" and PAGES[path]))
def test_page(read_page, path):
    read_page(path)


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="systemd is not here")
def test_unit(folder):
    """The unit of wargfs-serve(1) is one, and leaves a server little to do harm with."""
    unit = next(block for block in blocks_of_page(read_text("man/wargfs-serve.1")) if block[0] == "[Unit]")
    with open(os.path.join(folder, "wargfs.service"), "w") as file:
        file.write("\n".join(unit).replace("/usr/local/bin/wargfs", programs.WARGFS) + "\n")
    for words in ("verify", "--man=no"), ("security", "--offline=true", "--threshold=20"):
        done = subprocess.run(["systemd-analyze", *words, file.name], capture_output=True, text=True)
        assert done.returncode == 0 and not re.search(r"wargfs\.service:\d", done.stderr), done.stdout + done.stderr


def test_exit_statuses():
    """Each page has the exit statuses of its command, or leads to the page that has them all."""
    every = set("01234567")
    local = {"clear": set("012"), "config": set("012"), "reset": set("012"), "logout": set("012467"),
             "login": set("01267"), "key": set("01267"), "status": set("01246"), "serve": set("0123456")}
    for path in glob.glob("man/*.1", root_dir=ROOT):
        section = re.search(r"^\.Sh EXIT STATUS\n(.*?)^\.Sh ", read_text(path), re.M | re.S)[1]
        has = {word for line in re.findall(r"^\.It (.*)", section, re.M) for word in re.findall(r"\d", line)}
        wanted = local.get(path[len("man/wargfs-"):-len(".1")], every)
        assert has == wanted or ".Xr wargfs 1" in section, (path, has ^ wanted)


def test_tables():
    """No table has an entry that no text needs."""
    texts = "".join(read_text(path) for path in PAGES) + "".join(map(str, BEFORE.values()))
    texts += plain(texts)
    assert [text for text in NOT_RUN if text not in used] == []
    assert [text for text in (*SUBSTITUTES, *TYPED, *FILES, *OTHERS) if text not in texts] == []
    for table in STARTS_ITS_OWN, BEFORE, WITHOUT_A_KEY, RELEASES:
        assert set(table) <= {path for path in PAGES if PAGES[path]}
