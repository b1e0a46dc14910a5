# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""wargfs verify: what is stored against the registry, what a file is, and proofs that need nothing else."""
import base64
import glob
import json
import os
import re
import shutil
import signal
import subprocess

import pytest

import forge
import programs
from liar import base64_at, changed, silent
from lies import error, flipped, record
from mounts import errno_of, read
from registry import CONTENTS, PACKAGES
from waiting import until

HELLO = CONTENTS["test:hello", "1.0.0"]
DOCUMENTS = os.path.join(programs.HERE, "../data/invalid")


@pytest.fixture
def filled(home, liar):
    """A home whose cache has three packages, and a content of each."""
    home.configure(liar.url)
    for name in ("test:hello", "test:regret", "test:steps"):
        home.wargfs("download", name, "-o", os.path.join(home.work, "out.wasm"))
    home.wargfs("download", "test:hello", "-v", "1.0.0", "-o", os.path.join(home.work, "hello.wasm"))
    return home


def edit(path, find, put):
    text = read(path)
    assert find in text
    with open(path, "wb") as file:
        file.write(text.replace(find, put))


def verify(home, *words, status=0):
    """The result as JSON."""
    return json.loads(home.wargfs("verify", "--json", *words, status=status).stdout)


def differences(told):
    return {log.get("package", "operator"): [(each["what"], each["stored"], each["proven"])
                                             for each in log["differences"]]
            for log in told["logs"] if log["differences"]}


# ---- What is stored ----

def test_good(filled, liar):
    told = verify(filled)
    assert [log.get("package") for log in told["logs"]][0] is None
    logs = {log.get("package"): log for log in told["logs"]}
    assert set(logs) == {None, "test:hello", "test:regret", "test:steps"}
    assert all(log["good"] for log in told["logs"])
    assert logs["test:hello"]["releases"] == 3 and logs["test:hello"]["contents"] == 2
    assert told["operatorKey"] == forge.OPERATOR.id
    words = filled.wargfs("verify").stdout
    assert "test:regret: good, 2 releases, 1 in the cache\n" in words
    assert words.endswith(f"4 of 4 logs good, held against {liar.url} at log length {told['logLength']}\n")


def test_what_warg_stored(home, liar):
    home.configure(liar.url)
    home.warg("download", "test:hello", "-o", "out.wasm")
    told = verify(home)
    assert all(log["good"] for log in told["logs"]) and len(told["logs"]) == 2


def test_from_the_first_record(filled, liar):
    """Nothing of what is stored is gone on from."""
    liar.forget()
    verify(filled)
    asked = [json.loads(call.request) for call in liar.calls if call.name == "logs"]
    assert asked and all(not body.get("operator") and set((body.get("packages") or {}).values()) == {None}
                         for body in asked)


def test_nothing_stored(home, liar):
    told = verify(home, "--registry", liar.url)
    assert len(told["logs"]) == 1 and told["logs"][0]["good"]
    words = home.wargfs("verify", "test:hello", "--registry", liar.url).stdout
    assert "test:hello: good, 3 releases, 0 in the cache, no state stored\n" in words


def test_content_that_is_stored_otherwise(filled, liar):
    other = b"sha256:" + b"ab" * 32
    right = forge.digest(HELLO).encode()
    edit(filled.log_file(liar.url, "test:hello"), right, other)
    told = verify(filled, status=3)
    assert differences(told) == {"test:hello": [("version 1.0.0: content", other.decode(), right.decode())]}
    assert [log["good"] for log in told["logs"] if log.get("package") != "test:hello"] == [True] * 3
    done = filled.wargfs("verify", status=3)
    assert (f"test:hello: version 1.0.0: content: stored {other.decode()}, proven {right.decode()}\n"
            in done.stdout)
    assert "3 of 4 logs good" in done.stdout
    verify(filled, "test:steps", "test:regret")
    verify(filled, "test:steps", "test:hello", status=3)


def test_yank_that_is_hidden(filled, liar):
    """What the operator's client would offer although it was yanked."""
    path = filled.log_file(liar.url, "test:regret")
    state = json.loads(read(path))
    state["state"]["releases"]["1.1.0"]["state"] = {"status": "released", "content": "sha256:" + "ab" * 32}
    with open(path, "w") as file:
        json.dump(state, file)
    assert differences(verify(filled, status=3)) == {
        "test:regret": [("version 1.1.0: state", "released", "yanked")]}


def test_older_than_the_registry(home, liar, server):
    """A state that is behind is compared with the log as it was then."""
    home.configure(liar.url)
    liar.stay_at(server.lengths[1])
    home.wargfs("download", "test:steps", "-o", os.path.join(home.work, "out.wasm"))
    liar.be_honest()
    assert "0.2.0" not in read(home.log_file(liar.url, "test:steps")).decode()
    assert all(log["good"] for log in verify(home)["logs"])
    edit(home.log_file(liar.url, "test:steps"), b'"0.1.0"', b'"0.1.1"')
    assert {each[0] for each in differences(verify(home, status=3))["test:steps"]} == {
        "version 0.1.0: state", "version 0.1.1: state"}


DAMAGES = (lambda text: text[:len(text) // 2], lambda text: b"", lambda text: b"\0" * 100,
           lambda text: text.replace(b"test:hello", b"test:hella"))


@pytest.mark.parametrize("damage", DAMAGES, ids=("half", "empty", "zeroes", "another name"))
def test_damaged_state(filled, liar, damage):
    path = filled.log_file(liar.url, "test:hello")
    text = read(path)
    with open(path, "wb") as file:
        file.write(damage(text))
    log_id = forge.package_log_id("test:hello")
    told = verify(filled, status=3)
    bad, = (log for log in told["logs"] if not log["good"])
    assert bad["logId"] == log_id and len(bad["differences"]) == 1
    done = filled.wargfs("verify", status=3)
    assert f"{log_id}: file: stored one that cannot be read" in done.stdout
    named = filled.wargfs("verify", "test:hello", status=3)
    assert "test:hello: file: stored " in named.stdout


@pytest.mark.parametrize("which, what", (("operator.log", "registry index of the head"), ("checkpoint", "checkpoint")))
def test_operator_and_checkpoint(filled, liar, which, what):
    path = os.path.join(filled.registry_folder(liar.url), which)
    changed = json.loads(read(path))
    if which == "checkpoint":
        changed["contents"]["timestamp"] += 1
    else:
        changed["headRegistryIndex"] += 1
    with open(path, "w") as file:
        json.dump(changed, file)
    told = differences(verify(filled, status=3))
    assert [each[0] for each in told.pop("operator")] == [what] and not told


@pytest.mark.parametrize("damage", (lambda content: content[:-1], lambda content: b"",
                                    lambda content: b"\1" + content[1:], lambda content: content + b"\0"),
                         ids=("shorter", "empty", "flipped", "longer"))
def test_damaged_content(filled, liar, damage):
    """It is named; reading it brings it back."""
    path = filled.content_file(HELLO)
    damaged = damage(HELLO)
    with open(path, "wb") as file:
        file.write(damaged)
    assert differences(verify(filled, status=3)) == {
        "test:hello": [("version 1.0.0: bytes in the cache", forge.digest(damaged), forge.digest(HELLO))]}
    filled.wargfs("download", "test:hello", "-v", "1.0.0", "-o", os.path.join(filled.work, "hello.wasm"))
    verify(filled)


def test_damaged_records(filled, liar):
    """They are never believed; what is damaged is named, and fetched again."""
    path, = glob.glob(os.path.join(filled.path, ".cache/wargfs/*/records",
                                   forge.package_log_id("test:hello").partition(":")[2]))
    with open(path, "r+b") as file:
        file.seek(-1, os.SEEK_END)
        file.truncate()
    (what, stored, _), = differences(verify(filled, status=3))["test:hello"]
    assert what == "records" and "cut short" in stored
    filled.wargfs("update")
    verify(filled)


def test_a_registry_that_lies(filled, liar):
    """It is the registry that does not verify, and what is stored is not blamed."""
    liar.lie("logs", record(0, lambda one: one.update(keyId=forge.STRANGER.id)))
    done = filled.wargfs("verify", "test:hello", "--json", status=3)
    assert "the registry's answer is not valid: package test:hello" in done.stderr
    assert [log["differenceCount"] for log in json.loads(done.stdout)["logs"]] == [0, 0]


def test_a_registry_that_went_back(filled, liar, server):
    liar.stay_at(server.lengths[1])
    assert "a rollback" in filled.wargfs("verify", status=3).stderr


def test_unreachable(filled):
    done = filled.wargfs("verify", "--registry", "http://127.0.0.1:9/", status=6)
    assert done.stderr and not done.stdout


# ---- Files ----

def test_file(filled, liar):
    path = os.path.join(filled.work, "hello.wasm")
    told = filled.wargfs("verify", "./hello.wasm").stdout
    assert told.startswith("./hello.wasm: test:hello 1.0.0, released 20") and f"by the logs of {liar.url}" in told
    found = verify(filled, path)["files"][0]
    assert found["digest"] == forge.digest(HELLO)
    assert [(each["package"], each["version"], each["yanked"]) for each in found["releases"]] == [
        ("test:hello", "1.0.0", False)]


def test_file_of_two_packages(filled):
    filled.wargfs("info", "test:again")
    found = verify(filled, "./hello.wasm")["files"][0]
    assert [each["package"] for each in found["releases"]] == ["test:again", "test:hello"]


def test_file_of_a_yanked_release(filled):
    with open(os.path.join(filled.work, "x.wasm"), "wb") as file:
        file.write(CONTENTS["test:regret", "1.1.0"])
    assert "test:regret 1.1.0" in filled.wargfs("verify", "x.wasm").stdout
    assert verify(filled, "x.wasm")["files"][0]["releases"][0]["yanked"]


def test_file_that_is_no_release(filled):
    for name in ("unknown", "a:b.wasm", "ns:pkg"):
        with open(os.path.join(filled.work, name), "w") as file:
            file.write("nothing")
    for path in ("unknown", "a:b.wasm", "./ns:pkg"):
        done = filled.wargfs("verify", path, status=4)
        assert "is no release of a package" in done.stderr
    # By its text this is a package, and no such file is looked at.
    assert "no such package" in filled.wargfs("verify", "ns:pkg", status=4).stderr
    done = filled.wargfs("verify", "hello.wasm", "unknown", status=4)
    assert "test:hello 1.0.0" in done.stdout
    assert "No such file" in filled.wargfs("verify", "./absent", status=1).stderr


# ---- Proofs, of a registry that was made up (tests/data/make_invalid) ----

def document(name):
    return os.path.join(DOCUMENTS, f"proof-{name}", "proof")


@pytest.fixture
def elsewhere(new_home):
    """A home with nothing in it, and that stays so."""
    home = new_home()
    yield home
    assert sorted(os.listdir(home.path)) == ["run", "work"] and not os.listdir(home.runtime)


def test_proof(elsewhere):
    content = os.path.join(elsewhere.work, "content")
    with open(content, "wb") as file:
        file.write(b"1.1.0")
    done = elsewhere.wargfs("verify", "--proof", document("honest"), "--content", content)
    assert done.stdout.startswith("test:hello 1.1.0 is proven\n")
    for word in (forge.digest(b"1.1.0"), forge.PUBLISHER.id, forge.OPERATOR.id,
                 "length 8, signed 1970-01-01 00:33:20", "released     1970-01-01 00:16:44"):
        assert word in done.stdout
    assert "nothing here says" in done.stderr
    done = elsewhere.wargfs("verify", "--proof", document("honest"), "--operator-key", forge.OPERATOR.id)
    assert f"{forge.OPERATOR.id}, as given" in done.stdout and not done.stderr
    told = verify(elsewhere, "--proof", document("honest"), "--content", content)
    assert told == {
        "package": "test:hello", "version": "1.1.0", "digest": forge.digest(b"1.1.0"), "recordId": told["recordId"],
        "releasedBy": forge.PUBLISHER.id, "releasedAt": 1004, "yanked": False,
        "registries": [],
        "logLength": 8, "timestamp": 2000, "operatorKey": forge.OPERATOR.id, "operatorKeyIs": None, "content": content}


def test_proof_of_a_yanked_release(elsewhere):
    done = elsewhere.wargfs("verify", "--proof", document("honest-yanked"))
    assert "YANKED       1970-01-01 00:16:45" in done.stdout and "the release was yanked" in done.stderr
    assert verify(elsewhere, "--proof", document("honest-yanked"))["yankedAt"] == 1005


def test_proof_that_does_not_hold(elsewhere):
    with open(os.path.join(elsewhere.work, "other"), "wb") as file:
        file.write(b"1.1.1")
    for words, why in (
            (("--proof", document("record-removed")), "prev is not"),
            (("--proof", document("checkpoint-without-commit")), "permission commit"),
            (("--proof", document("cut-short")), "no JSON"),
            (("--proof", document("honest"), "--content", "other"), "is not the content"),
            (("--proof", document("honest"), "--operator-key", forge.STRANGER.id), "the operator's first key is")):
        done = elsewhere.wargfs("verify", *words, status=3)
        assert why in done.stderr and not done.stdout
    for words in (("--proof", "absent"), ("--proof", document("honest"), "--content", "absent"),
                  ("--proof", document("format-version-2")),
                  ("--proof", document("honest"), "--config", "absent.json")):
        assert elsewhere.wargfs("verify", *words, status=1).stderr


def leaves(value, path=()):
    """The path of everything in a document, itself aside."""
    for key, member in value.items() if isinstance(value, dict) else enumerate(value):
        yield *path, key
        if isinstance(member, (dict, list)):
            yield from leaves(member, (*path, key))


def with_at(value, path, change):
    """A copy with the value at `path` replaced by `change` of it; Ellipsis: removed."""
    copy = json.loads(json.dumps(value))
    at = copy
    for key in path[:-1]:
        at = at[key]
    new = change(at[path[-1]])
    if new is Ellipsis:
        del at[path[-1]]
    else:
        at[path[-1]] = new
    return copy


def mutations(old):
    """Replacements for a value: of the same form, and of others."""
    yield from (Ellipsis, None, 0, "", [], {})
    if isinstance(old, int):
        yield from (old + 1, old - 1, 2 ** 62)
    if not isinstance(old, str):
        return
    yield from (old[:-1], old.upper(), "https://other.example/", "other.example")
    if old.startswith("sha256:"):
        yield from ("sha256:" + "0" * 64, "sha256:" + "1" * 64, old[:-1] + ("0" if old[-1] != "0" else "1"))
    elif re.fullmatch("[A-Za-z0-9+/]{4,}=*", old):
        yield from (base64.b64encode(changed).decode() for changed in (
            flipped(base64.b64decode(old)), base64.b64decode(old)[:-1], base64.b64decode(old) + b"\0"))


def record_document():
    """A document of a record instead of a release, of the same registry."""
    release = json.loads(read(document("honest")))
    content = base64.b64decode(release["packageRecords"][1]["contentBytes"])
    record = forge.digest(b"WARG-PACKAGE-LOG-RECORD-V0:" + content)
    return {"format": "warg-record-proof", "record": record,
            **{name: value for name, value in release.items() if name not in ("format", "version", "digest")}}


@pytest.mark.parametrize("which, met", (("release", False), ("record", True)))
def test_each_field_of_a_document(home, which, met):
    """Each changed field is refused, or does not change the output."""
    honest = json.loads(read(document("honest"))) if which == "release" else record_document()
    path = os.path.join(home.work, "proof")
    if met:
        folder = os.path.join(home.path, ".local/state/wargfs/registry.example")
        os.makedirs(folder)
        with open(os.path.join(folder, "trust"), "w") as file:
            file.write("wargfs trust 1\n" + json.dumps(
                {"operatorKey": forge.OPERATOR.id, "checkpoint": honest["checkpoint"],
                 "signer": forge.OPERATOR.public}))

    def outcome(value, *words, status=None):
        with open(path, "w") as file:
            json.dump(value, file)
        done = home.wargfs("verify", "--proof", path, *words, status=status)
        assert done.returncode in (0, 1, 3) and (done.returncode == 0 or not done.stdout), value
        return done.stdout if done.returncode == 0 else None

    plain, told = outcome(honest, status=0), outcome(honest, "--json", status=0)
    assert ("registry.example" in plain) == met and json.loads(told)["registries"] == ["registry.example"] * met
    accepted = set()
    for place in leaves(honest):
        old = honest
        for key in place:
            old = old[key]
        for new in mutations(old):
            value = with_at(honest, place, lambda _: new)
            if value == honest:
                continue
            found = outcome(value)
            if found is not None:
                accepted.add(place)
                assert found == plain and outcome(value, "--json", status=0) == told, (place, new)
    # The registry index of a record that is no head is neither proven nor printed.
    assert all(place[-1] == "registryIndex" for place in accepted), accepted


def test_document_of_another_registry(home):
    """The registry that a document names is not printed, as it is not proven."""
    honest = json.loads(read(document("honest")))
    path = os.path.join(home.work, "proof")
    told = set()
    for host in ("registry.example", "other.example"):
        with open(path, "w") as file:
            json.dump({**honest, "registry": {"url": f"https://{host}/", "label": host}}, file)
        told.add(tuple(home.wargfs("verify", "--proof", path, *words).stdout for words in ((), ("--json",))))
    assert len(told) == 1


def test_proof_without_an_environment(elsewhere):
    done = elsewhere.run("env", "-i", programs.WARGFS, "verify", "--proof", document("honest"))
    assert "is proven" in done.stdout


# ---- Proofs from a mount ----

def take(mount, home, name, version):
    """Copy a proof and its content to another place. Returns what they are called there."""
    folder = name.replace(":", "/")
    kept = f"{name.replace(':', '-')}-{version}"
    shutil.copyfile(mount.at(".warg/proof", folder, version + ".json"), os.path.join(home.work, kept + ".json"))
    with open(os.path.join(home.work, kept + ".wasm"), "wb") as file:
        file.write(CONTENTS[name, version])
    return kept + ".json", kept + ".wasm"


def test_proof_from_a_mount(new_mount, liar, elsewhere):
    """Everything that was released, yanked or not, verified where there is nothing, once the registry is gone."""
    mount = new_mount(liar.url)
    taken = {release: take(mount, elsewhere, *release) for release in CONTENTS if release[0] != "test:big"}
    mount.end()
    liar.close()
    try:
        for (name, version), (proof, content) in taken.items():
            done = elsewhere.wargfs("verify", "--proof", proof, "--content", content, "--operator-key",
                                    forge.OPERATOR.id)
            assert done.stdout.startswith(f"{name} {version} is proven\n")
            assert ("yanked" in done.stderr) == ((name, version) == ("test:regret", "1.1.0"))
        one, other = taken["test:hello", "1.0.0"], taken["test:hello", "0.9.0"]
        elsewhere.wargfs("verify", "--proof", one[0], "--content", other[1], status=3)
        elsewhere.wargfs("verify", "--proof", one[0], "--operator-key", forge.STRANGER.id, status=3)
        edit(os.path.join(elsewhere.work, one[0]), b'"version": "1.0.0"', b'"version": "0.9.0"')
        elsewhere.wargfs("verify", "--proof", one[0], status=3)
    finally:
        liar.open()


def test_proof_and_the_pinned_key(new_mount, liar, home, new_home):
    """Who has met the registry compares with what was pinned then, and with the highest checkpoint."""
    mount = new_mount(liar.url, home=home)
    proof, _ = take(mount, home, "test:hello", "1.0.0")
    mount.end()
    done = home.wargfs("verify", "--proof", proof)
    assert f"{forge.OPERATOR.id}, as pinned here" in done.stdout and not done.stderr
    label = os.path.basename(home.registry_folder(liar.url))
    assert f"registry     {label}, by its key\n" in done.stdout
    told = verify(home, "--proof", proof)
    assert told["operatorKeyIs"] == "pinned" and told["registries"] == [label]
    trust, = glob.glob(os.path.join(home.path, ".local/state/wargfs/*/trust"))
    kept = json.loads(read(trust).partition(b"\n")[2])
    edit(trust, forge.OPERATOR.id.encode(), forge.STRANGER.id.encode())
    assert "damaged" in home.wargfs("verify", "--proof", proof, status=1).stderr
    with open(trust, "w") as file:
        file.write(forge.seal("trust", {**kept, "operatorKey": forge.STRANGER.id}))
    done = home.wargfs("verify", "--proof", proof, status=3)
    assert "was pinned here for 127.0.0.1" in done.stderr
    contents = {**kept["checkpoint"]["contents"], "mapRoot": "sha256:" + 64 * "0"}
    with open(trust, "w") as file:
        file.write(forge.seal("trust", {**kept, "checkpoint": forge.sign_checkpoint(contents)}))
    assert "a fork" in home.wargfs("verify", "--proof", proof, status=3).stderr
    # Of another registry nothing is known here.
    assert "nothing here says" in home.wargfs("verify", "--proof", proof, "--registry", "https://other.example/").stderr


def test_proofs_in_the_tree(shared):
    assert shared.list(".warg/proof") == shared.list()
    assert shared.list(".warg/proof/test") == [name.partition(":")[2] for name in PACKAGES]
    assert shared.list(".warg/proof/test/regret") == ["1.0.0.json", "1.1.0.json"]
    assert shared.list(".warg/proof/test/bare") == []
    for path in (".warg/proof/nobody", ".warg/proof/test/nobody", ".warg/proof/test/hello/3.0.0.json",
                 ".warg/proof/test/hello/1.0.0", ".warg/proof/test/hello/latest.json"):
        assert errno_of(os.stat, shared.at(path)) == "ENOENT"
    path = ".warg/proof/test/hello/1.0.0.json"
    assert len(shared.read(path)) == shared.stat(path).st_size
    assert json.loads(shared.read(path))["digest"] == forge.digest(HELLO)
    assert errno_of(open, shared.at(path), "wb") == "EROFS"


def kept_records(mount, name):
    """The file with the records of a package, once it is there."""
    path = os.path.join(mount.home.path, ".cache/wargfs/*/records", forge.package_log_id(name).partition(":")[2])
    return until(lambda: glob.glob(path), "records are kept")[0]


def test_proofs_are_fetched_once(new_mount, liar):
    mount = new_mount(liar.url, "refresh=0")
    mount.list("test/hello")
    kept_records(mount, "test:hello")
    liar.forget()
    readers = [subprocess.Popen(("cat", mount.at(".warg/proof/test/hello/1.0.0.json")), stdout=subprocess.PIPE)
               for _ in range(8)]
    texts = {reader.communicate()[0] for reader in readers}
    assert len(texts) == 1 and json.loads(texts.pop())["package"] == "test:hello"
    assert liar.count("inclusion") == 1 and liar.count("logs") == 0


@pytest.mark.parametrize("call, lie, errno", (
    ("inclusion", changed(base64_at("log", flipped)), "EBADMSG"),
    ("inclusion", error(503), "EHOSTUNREACH"),
    ("logs", record(-1, lambda one: one.update(keyId=forge.STRANGER.id)), "EBADMSG")))
def test_proof_from_a_liar(new_mount, liar, call, lie, errno):
    """No document comes of it, the mount is none the worse, and the next try is a good one. Nothing helps from here."""
    mount = new_mount(liar.url, "refresh=0").expect("^wargfs: ")
    path = ".warg/proof/test/hello/1.0.0.json"
    mount.list(os.path.dirname(path))
    os.unlink(kept_records(mount, "test:hello"))
    liar.lie(call, lie)
    assert errno_of(mount.read, path) == errno
    assert mount.read("test/hello/latest.wasm") == CONTENTS["test:hello", "1.1.0+build.7"]
    liar.be_honest()
    assert json.loads(mount.read(path))["version"] == "1.0.0"


def test_proof_while_the_registry_hangs(new_mount, liar):
    """A reader can be interrupted, has a deadline, and holds up nobody else."""
    mount = new_mount(liar.url, "refresh=0,timeout=3").expect("^wargfs: ")
    path = ".warg/proof/test/hello/1.0.0.json"
    mount.list(os.path.dirname(path))
    mount.read("test/hello/1.0.0.wasm")
    liar.lie("inclusion", silent)
    waits = subprocess.Popen(("cat", mount.at(path)), stderr=subprocess.PIPE)
    until(lambda: liar.count("inclusion"), "it is asked for")
    assert mount.read("test/hello/1.0.0.wasm") == HELLO
    assert mount.list("test/hello")
    waits.send_signal(signal.SIGINT)
    assert waits.wait(30) == -signal.SIGINT
    waits.communicate()
    assert errno_of(mount.read, path) == "ETIMEDOUT"
    liar.be_honest()
    assert json.loads(mount.read(path))["version"] == "1.0.0"


def test_proof_of_what_came_later(new_mount, liar, server, elsewhere):
    """A new release has a proof without a remount, and the proof of an old one is of the newest checkpoint."""
    liar.stay_at(server.lengths[1])
    mount = new_mount(liar.url, "refresh=1")
    old, new = (f".warg/proof/test/steps/{version}.json" for version in ("0.1.0", "0.3.0"))
    assert json.loads(mount.read(old))["checkpoint"]["contents"]["logLength"] == server.lengths[1]
    assert errno_of(mount.read, new) == "ENOENT"
    liar.past = None
    until(lambda: errno_of(mount.read, new) is None, "the new release")
    assert json.loads(mount.read(old))["checkpoint"]["contents"]["logLength"] == server.lengths[-1]
    proof, content = take(mount, elsewhere, "test:steps", "0.3.0")
    elsewhere.wargfs("verify", "--proof", proof, "--content", content)
