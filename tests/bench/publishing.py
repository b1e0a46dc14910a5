# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""What publishing costs, beside the reference's client on the same server.

Both clients wait for the server's next checkpoint, which comes every five seconds: a publish that begins right behind
one takes as long as that, whoever publishes. What is to be seen is that ours adds nothing to it.
"""
import os
import subprocess

from setting import NAMESPACE, write_component

MIB = 1 << 20
ROUNDS = 10
TOGETHER = 100       # packages that are published at once
ONE_BY_ONE = 4       # as many of them by the reference, for it takes five seconds for each
BATCH = 100          # releases in one transaction


class Publishing:
    def __init__(self, setting, seconds, alternated):
        self.setting, self.seconds, self.alternated = setting, seconds, alternated
        self.ours = setting.home("ours-who-publishes").configure(setting.server.url)
        self.peers = setting.home("peers-who-publish").configure(setting.server.url)

    def make(self, size, seed):
        path = os.path.join(self.setting.folder, f"publish-{seed}.wasm")
        write_component(path, size, seed)
        return path

    def length(self):
        return self.setting.server.checkpoint()["contents"]["logLength"]

    def writable(self):
        return self.setting.mounted(self.ours, None, "rw", "timeout=60")

    def one_release(self):
        """@return seconds that `cp` takes, and the reference"""
        with self.writable() as mount:
            os.makedirs(mount.at(NAMESPACE, "copied"))

            def by_cp(i):
                source = self.make(MIB, f"ours-{i}")
                to = mount.at(NAMESPACE, "copied", f"0.{i}.0.wasm")
                return self.seconds(lambda: subprocess.run(["cp", source, to], check=True))

            def by_warg(i):
                source = self.make(MIB, f"peers-{i}")
                return self.seconds(lambda: self.peers.warg("publish", "release", "-n", f"{NAMESPACE}:released", "-v",
                                                            f"0.{i}.0", source))
            self.peers.warg("publish", "init", f"{NAMESPACE}:released")
            return self.alternated(ROUNDS, by_cp, by_warg)

    def batch(self):
        """@return how many records a transaction of BATCH releases makes"""
        before = self.length()
        with self.writable() as mount:
            folder = mount.at(".publish", NAMESPACE, "batch")
            os.makedirs(folder)
            sources = [self.make(4096, f"batch-{i}") for i in range(BATCH)]
            for i, source in enumerate(sources):
                subprocess.run(["cp", source, os.path.join(folder, f"0.{i}.0.wasm")], check=True)
            subprocess.run(["mv", folder, mount.at(NAMESPACE)], check=True)
            assert len(mount.list(NAMESPACE, "batch")) == BATCH + 1
        return self.length() - before

    def together(self):
        """@return seconds that TOGETHER packages take by `cp -r`, and by the reference one by one"""
        with self.writable() as mount:
            folders = []
            for i in range(TOGETHER):
                folders.append(os.path.join(self.setting.folder, f"tree-p{i}"))
                os.mkdir(folders[-1])
                os.rename(self.make(4096, f"tree-p{i}"), os.path.join(folders[-1], "1.0.0.wasm"))

            def by_cp():
                running = [subprocess.Popen(["cp", "-r", folder, mount.at(NAMESPACE)]) for folder in folders]
                assert not any([process.wait() for process in running])
            ours = self.seconds(by_cp)

        def by_warg():
            for i in range(ONE_BY_ONE):
                name = f"{NAMESPACE}:single-p{i}"
                self.peers.warg("publish", "start", name)
                self.peers.warg("publish", "init", name)
                self.peers.warg("publish", "release", "-n", name, "-v", "1.0.0", os.path.join(folders[i], "1.0.0.wasm"))
                self.peers.warg("publish", "submit")
        return ours, self.seconds(by_warg) * TOGETHER / ONE_BY_ONE

    def great(self):
        """@return bytes of memory that the daemon had at most, while 1 GiB was published"""
        source = self.make(1 << 30, "great-publish")
        with self.writable() as mount:
            os.makedirs(mount.at(NAMESPACE, "great-publish"))
            subprocess.run(["cp", source, mount.at(NAMESPACE, "great-publish", "1.0.0.wasm")], check=True)
            with open(f"/proc/{mount.process.pid}/status", encoding="utf-8") as file:
                most = next(int(line.split()[1]) << 10 for line in file if line.startswith("VmHWM:"))
        os.unlink(source)
        return most
