# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""A network of the tests' own: two namespaces and a wire between them that drops and delays what it is told to.

What is cut here is not refused: packets vanish, as on a network that is gone. Nothing of it is seen outside, and all of
it ends with the objects that stand for it.
"""
import ctypes
import fcntl
import heapq
import os
import random
import selectors
import socket
import struct
import subprocess
import threading
import time

CLONE_NEWNET = 0x40000000
TUNSETIFF = 0x400454CA
IFF_TUN, IFF_NO_PI = 0x0001, 0x1000

libc = ctypes.CDLL(None, use_errno=True)


def checked(result):
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


class Namespace:
    """A network namespace. `with` puts the thread into it, and with it the sockets and programs that it begins."""

    def __init__(self):
        self.outside = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        try:
            checked(libc.unshare(CLONE_NEWNET))
        except OSError:
            os.close(self.outside)
            raise
        self.inside = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        self.__exit__()

    def __enter__(self):
        checked(libc.setns(self.inside, CLONE_NEWNET))
        return self

    def __exit__(self, *_):
        checked(libc.setns(self.outside, CLONE_NEWNET))

    def close(self):
        os.close(self.inside)
        os.close(self.outside)

    def run(self, *commands):
        with self:
            for command in commands:
                subprocess.run(command.split(), check=True, stdin=subprocess.DEVNULL)

    def plug(self):
        """A device, `wire`, whose packets are read from and written to the descriptor that is returned."""
        with self:
            end = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
            fcntl.ioctl(end, TUNSETIFF, struct.pack("16sH22x", b"wire", IFF_TUN | IFF_NO_PI))
            with open("/proc/sys/net/ipv4/conf/wire/route_localnet", "w") as file:
                file.write("1")
        return end


class Wire:
    """From `near`, 127.0.0.1 is the one of `far`: a registry there may be spoken to without TLS, and can be cut off."""

    def __init__(self, seed=0):
        self.near, self.far = Namespace(), Namespace()
        near, far = self.near.plug(), self.far.plug()
        self.near.run("ip link set wire up", "ip address add 127.0.0.2/32 dev wire",
                      "ip route add 127.0.0.1/32 dev wire src 127.0.0.2")
        self.far.run("ip link set lo up", "ip address del 127.0.0.1/8 dev lo", "ip address add 127.0.0.1/32 dev lo",
                     "ip link set wire up", "ip route add 127.0.0.2/32 dev wire")
        self.others = {near: far, far: near}
        self.random = random.Random(seed)
        self.heal()
        self.dropped = 0
        self.late = []  # a heap of (when, number, end, packet)
        self.ended, self.end = socket.socketpair()
        self.thread = threading.Thread(target=self.carry, daemon=True)
        self.thread.start()

    def cut(self):
        """From now on nothing comes through, in either direction."""
        self.loss = 1

    def heal(self):
        self.loss = self.delay = 0

    def disturb(self, loss=0, delay=0):
        """Lose this part of the packets, and have the others take this many seconds."""
        self.loss, self.delay = loss, delay

    def carry(self):
        with selectors.DefaultSelector() as ready:
            for end in (*self.others, self.ended):
                ready.register(end, selectors.EVENT_READ)
            number = 0
            while True:
                wait = max(0, self.late[0][0] - time.monotonic()) if self.late else None
                for key, _ in ready.select(wait):
                    if key.fileobj is self.ended:
                        return
                    for packet in packets(key.fd):
                        if self.random.random() < self.loss:
                            self.dropped += 1
                            continue
                        number += 1
                        heapq.heappush(self.late, (time.monotonic() + self.delay, number, self.others[key.fd], packet))
                while self.late and self.late[0][0] <= time.monotonic():
                    _, _, end, packet = heapq.heappop(self.late)
                    put(end, packet)

    def close(self):
        self.end.send(b"\0")
        self.thread.join()
        for each in (*self.others, self.ended.detach(), self.end.detach()):
            os.close(each)
        self.near.close()
        self.far.close()


def packets(end, most=64):
    for _ in range(most):
        try:
            yield os.read(end, 65536)
        except BlockingIOError:
            return


def put(end, packet):
    """A device that takes no more drops it, as any other."""
    try:
        os.write(end, packet)
    except OSError:
        pass
