# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""What is in the registry that is mounted: published by the reference's own client, one checkpoint after another."""
import os
import random



def wasm(size, seed):
    """The smallest of valid modules, with a custom section that makes it `size` bytes long."""
    padding = size - 18
    length = padding + 4
    leb5 = bytes(length >> shift & 127 | (128 if shift < 28 else 0) for shift in range(0, 35, 7))
    return b"\0asm\1\0\0\0" + b"\0" + leb5 + b"\3pad" + random.Random(seed).randbytes(padding)


BIG = 32 << 20

CONTENTS = {
    ("test:hello", "0.9.0"): wasm(300, 1),
    ("test:hello", "1.0.0"): wasm(1000, 2),
    ("test:hello", "1.1.0+build.7"): wasm(70001, 3),
    ("test:big", "1.0.0"): wasm(BIG, 4),
    ("test:other", "0.1.0"): wasm(1000, 5),
    ("test:steps", "0.1.0"): wasm(500, 6),
    ("test:steps", "0.2.0"): wasm(501, 7),
    ("test:steps", "0.3.0"): wasm(502, 8),
    ("test:regret", "1.0.0"): wasm(400, 9),
    ("test:regret", "1.1.0"): wasm(401, 10),
    ("test:again", "1.0.0"): wasm(1000, 2),  # the same bytes as test:hello 1.0.0
    ("test:page", "1.0.0"): wasm(4096, 11),
    ("test:tiny", "1.0.0"): b"\0asm\1\0\0\0",
}

PACKAGES = sorted({name for name, _ in CONTENTS} | {"test:bare"})

# Each round is under a checkpoint before the next begins. A package's part of a round is one record.
ROUNDS = (
    {
        "test:steps": ("init", "0.1.0"),
        "test:hello": ("init", "0.9.0", "1.0.0", "1.1.0+build.7"),
        "test:regret": ("init", "1.0.0", "1.1.0"),
        "test:bare": ("init",),
        "test:tiny": ("init", "1.0.0"),
    },
    {
        "test:steps": ("0.2.0",),
        "test:other": ("init", "0.1.0"),
        "test:page": ("init", "1.0.0"),
        "test:again": ("init", "1.0.0"),
    },
    {
        "test:steps": ("0.3.0",),
        "test:regret": ("yank 1.1.0",),
        "test:big": ("init", "1.0.0"),
    },
)


def publish_record(home, name, entries, contents=CONTENTS):
    """One record with these entries, submitted and not waited for."""
    home.warg("publish", "start", name)
    for entry in entries:
        words = entry.split()
        if entry == "init":
            home.warg("publish", "init", name)
        elif words[0] == "yank":
            home.warg_at_terminal("publish", "yank", "-n", name, "-v", words[1])
        else:
            path = os.path.join(home.work, "content.wasm")
            with open(path, "wb") as file:
                file.write(contents[name, entry])
            home.warg("publish", "release", "-n", name, "-v", entry, path)
    home.warg("publish", "submit", "--no-wait")


def publish(server, home):
    """Publish everything. Returns the checkpoint's length before each round, and at the end."""
    home.configure(server.url)
    server.wait_for_length(1)
    lengths = [1]
    for records in ROUNDS:
        for name, entries in records.items():
            publish_record(home, name, entries)
        lengths.append(lengths[-1] + len(records))
        server.wait_for_length(lengths[-1])
    return lengths


def path_of(name, version):
    """The path of a release in a mount."""
    return name.replace(":", "/") + f"/{version}.wasm"
