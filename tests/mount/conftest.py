# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Fixtures: one registry for all; for each test a liar before it, a home, a mount, and an end that leaves nothing."""
import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
import threading

import pytest

import liar as liars
import mounts
import programs
import publisher
import registry
from quick import QuickServer
from waiting import until

TEST_SECONDS = 120  # after which a test hangs


@pytest.fixture(scope="session", autouse=True)
def told_to_end():
    """SIGTERM ends the tests in good order."""
    def end(*_):
        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # timeout(1) says it twice
        pytest.exit("told to end", 1)
    signal.signal(signal.SIGTERM, end)


@pytest.fixture(scope="session")
def everything():
    """The folder that holds all that is written. At the end it is gone, with nothing mounted in it."""
    path = os.path.realpath(tempfile.mkdtemp(prefix="wargfs-tests-"))
    yield path
    with open("/proc/self/mountinfo", errors="surrogateescape") as file:
        left = [line.split(" ")[4] for line in file if line.split(" ")[4].startswith(path)]
    for mount in left:
        mounts.unmount_by_force(mount)
    shutil.rmtree(path)
    assert not left, "mounts were left behind"


@pytest.fixture(scope="session")
def server(everything):
    """The real server, with what registry.py tells of."""
    server = programs.HomeServer(programs.Home(os.path.join(everything, "server")))
    try:
        server.lengths = registry.publish(server, programs.Home(os.path.join(everything, "publisher")))
        yield server
    finally:
        server.end()


def processes_in(folder):
    """The processes that were started with a home in a folder. A daemon ends somewhat later than its mount."""
    found = []
    for process in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError), open(f"/proc/{process}/environ", "rb") as file:
            if f"HOME={folder}/".encode() in file.read():
                found.append(process)
    return found


@pytest.fixture
def folder(everything):
    """A folder of the test's own. What still runs in it at the end has to end, and until then writes there."""
    path = tempfile.mkdtemp(dir=everything)
    yield path
    until(lambda: not processes_in(path), lambda: f"processes end: {processes_in(path)}")
    shutil.rmtree(path)


@pytest.fixture
def liar(server):
    """A liar before the server that is honest as yet."""
    liar = liars.Liar(server)
    yield liar
    liar.close()
    assert not liar.mistakes, "\n".join(liar.mistakes)


@pytest.fixture
def new_home(folder):
    """Makes homes."""
    count = 0

    def make():
        nonlocal count
        count += 1
        return programs.Home(os.path.join(folder, f"home{count}"))
    return make


@pytest.fixture
def home(new_home):
    return new_home()


@pytest.fixture
def serve(new_home):
    """Starts servers: serve(*options). Each is ended at the end."""
    started = []

    def start(*more, **options):
        server = programs.OwnServer(new_home(), *more, **options)
        started.append(server)
        return server

    yield start
    for server in started:
        server.end()


@pytest.fixture
def connect():
    """Makes clients, which are closed at the end."""
    made = []

    def make(server):
        made.append(publisher.Client(server))
        return made[-1]

    yield make
    for client in made:
        client.close()


@pytest.fixture
def new_mount(request, folder, new_home):
    """Starts mounts: new_mount(url, *options, home=, wait=, words=). At the end each is unmounted, and must have
    behaved.
    """
    # What is set up first ends last: a mount that finds its registry gone says so, which is no way to behave.
    for registry in "liar", "serve":
        if registry in request.fixturenames:
            request.getfixturevalue(registry)
    started = []

    def make(url, *options, home=None, wait=True, words=()):
        path = os.path.join(folder, f"mount{len(started)}")
        mount = mounts.Mount(home or new_home(), url, path, options, words)
        started.append(mount)
        return mount.wait() if wait else mount

    hung = threading.Event()

    def kill():
        hung.set()
        for mount in started:
            mount.process.kill()

    watchdog = threading.Timer(TEST_SECONDS, kill)
    watchdog.start()
    try:
        yield make
        for mount in started:
            if not mount.over:
                mount.end()
    finally:
        watchdog.cancel()
        for mount in started:
            mount.abandon()
        assert not hung.is_set(), "a mount hung"


@pytest.fixture
def bring(new_home):
    """Starts servers that import a registry: bring(url, *options, key=). Each is ended at the end."""
    started = []

    def start(url, *more, **options):
        started.append(programs.ImportedServer(new_home(), url, *more, **options))
        return started[-1]

    yield start
    for server in started:
        server.end()


@pytest.fixture(scope="module")
def quick():
    """A registry that signs at once, and keeps count."""
    quick = QuickServer()
    yield quick
    quick.end()


@pytest.fixture
def mount(new_mount, liar):
    """A mount of the registry through the liar, with an empty cache."""
    return new_mount(liar.url, "timeout=20")


@pytest.fixture(scope="session")
def shared(everything, server):
    """A mount of the real server for tests that change nothing."""
    with mounts.standing(everything, "shared", server.url) as mount:
        yield mount


def pytest_configure(config):
    config.addinivalue_line("markers", "reference(why): about what only the reference's server does")


def pytest_collection_modifyitems(items):
    """With our own server, what is about the other one is left out."""
    for item in items:
        about = item.get_closest_marker("reference")
        if about and programs.HomeServer is programs.OwnServer:
            item.add_marker(pytest.mark.skip(reason=about.args[0]))


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session):
    """No program that a test started is still there, once all fixtures have ended. Failures are told all the same."""
    done = subprocess.run(["pgrep", "-a", "-P", str(os.getpid())], capture_output=True, text=True)
    if done.stdout:
        print(f"\nprocesses were left behind:\n{done.stdout}")
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
