"""Rows of containers: our engine against an OCI runtime, and against programs of the host."""

import contextlib
import os
import resource
import shutil
import socket
import subprocess
import sys
import time

from engine import Engine
from monitors import LIMIT, BenchError, now_us
from runtimes import Runtime, pss

# Commands that one measurement of a spawn inside the guest starts.
SPAWNS = 200
# Files of the rows of metadata, a folder of a thousand each, and those that come and go.
# A machine remembers as many as three quarters of the descriptors that its monitor may have.
FILES = min(20_000, resource.getrlimit(resource.RLIMIT_NOFILE)[1] // 2)
SHORT_LIVED = 2_000
# MiB of the file that is written and read, and of a stream over TCP.
STREAM_MIB, TCP_MIB = 1024, 512
PORT = 5000

MAKE = 'i=0; while [ $i -lt {n} ]; do : > {at}/f$i; i=$((i+1)); done; rm -r {at}'
SINK = f"busybox dd bs=64k count={TCP_MIB * 16} iflag=fullblock of=/dev/null 2>/dev/null; echo"
SOURCE = f"busybox dd if=/dev/zero bs=64k count={TCP_MIB * 16} 2>/dev/null; read end"


class Containers:
    """Measures rows: each gives its figures to `collect`, as row, unit, whose and how much."""

    def __init__(self, folder, options, collect):
        self.folder = folder
        self.options = options
        self.collect = collect
        self.runtime = Runtime(folder, options.image)
        self.engine = Engine(folder, options)

    def measure(self):
        """All rows that were asked for."""
        rows = {"engine-start": self.engine_start, "start": self.start, "exec": self.exec,
                "idle": self.idle, "share": self.share, "net": self.net}
        if self.runtime.why:
            print(f"bench: baselines: {self.runtime.why}", file=sys.stderr)
        with self.engine as engine:
            engine.start()
            engine.load(self.options.image)
            for name, row in rows.items():
                if name in self.options.rows:
                    print(f"bench: {name}", file=sys.stderr)
                    row()

    def _ours(self, row, unit, figure):
        self.collect(row, unit, "bulkhead", figure)

    def _base(self, row, unit, figure):
        self.collect(row, unit, "peer", figure)

    def engine_start(self):
        """An engine that knows an image until it says that it serves."""
        for _ in range(self.options.runs):
            self.engine.stop()
            self._ours("engine-start", "us", self.engine.start())

    def start(self):
        """From the first request until the output is there. The first turn does not count."""
        for turn in range(self.options.runs + 1):
            start = now_us()
            container = self.engine.create("echo", "hi")
            with self.engine.attach(container) as stream:
                self.engine.call("POST", f"/containers/{container}/start")
                stream.recv(1)
                taken = now_us() - start
            self.engine.remove(container)
            if turn > 0:
                self._ours("start", "us", taken)
            if turn > 0 and self.runtime.name:
                self._base("start", "us", self.runtime.first_output())

    def exec(self):
        """A command from the first request until all of its output is there."""
        with contextlib.ExitStack() as stack:
            container = self.engine.run("sleep", "3600")
            stack.callback(self.engine.remove, container)
            if self.runtime.name:
                peer = stack.enter_context(self.runtime.sleeping())
            for turn in range(10 * self.options.runs + 1):
                start = now_us()
                self.engine.exec(container, "/bin/busybox", "echo", "hi")
                taken = now_us() - start
                if turn == 0:
                    continue
                self._ours("exec", "us", taken)
                self._ours("exec by spawn in guest", "us", taken)
                if self.runtime.name:
                    self._base("exec", "us", self.runtime.exec(peer))
                if turn % 10 == 0:
                    self._base("exec by spawn in guest", "us", self._spawn(container))

    def _spawn(self, container):
        """Microseconds of a process that a shell in the guest starts and waits for."""
        loop = "i=0; while [ $i -lt %d ]; do /bin/busybox echo hi; i=$((i+1)); done"
        taken = []
        for count in (0, SPAWNS):
            start = now_us()
            self.engine.exec(container, "sh", "-c", loop % count)
            taken.append(now_us() - start)
        return (taken[1] - taken[0]) / SPAWNS

    def idle(self):
        """Memory of the host that a sleeping container takes, with its machine."""
        for _ in range(self.options.runs):
            before = pss(self._processes())
            container = self.engine.run("sleep", "3600")
            # What has begun with the start is through once a command was.
            self.engine.exec(container, "true")
            self._ours("idle", "KiB", pss(self._processes()) - before)
            self.engine.remove(container)
            if self.runtime.name:
                with self.runtime.sleeping() as peer:
                    self._base("idle", "KiB", pss([self.runtime.process(peer)]))

    def _processes(self):
        """The engine, its switch and its monitors: whoever runs a program of its folder."""
        for pid in filter(str.isdigit, os.listdir("/proc")):
            with contextlib.suppress(OSError):
                if os.readlink(f"/proc/{pid}/exe").startswith(self.engine.folder):
                    yield pid

    def share(self):
        """A folder of the host, in a container and on the host, by the same commands."""
        folder = os.path.join(self.folder, "share")
        for number in range(FILES):
            at = os.path.join(folder, "files", str(number // 1000))
            os.makedirs(at, exist_ok=True)
            with open(os.path.join(at, f"f{number}"), "wb"):
                pass
        container = self.engine.run("sleep", "3600", Binds=[f"{folder}:{folder}"])
        short = os.path.join(folder, "short")
        jobs = {
            "share find": ("files/s", FILES, f"find {folder}/files | wc -l"),
            "share stat": ("files/s", FILES, f"ls -lR {folder}/files | wc -l"),
            "share create+unlink": ("files/s", SHORT_LIVED,
                                    f"mkdir {short}; " + MAKE.format(n=SHORT_LIVED, at=short)),
            "share write": ("MiB/s", STREAM_MIB,
                            f"dd if=/dev/zero of={folder}/big bs=1M count={STREAM_MIB}"),
            "share read": ("MiB/s", STREAM_MIB, f"dd if={folder}/big of=/dev/null bs=1M"),
        }
        for turn in range(self.options.runs + 1):
            for row, (unit, count, script) in jobs.items():
                start = now_us()
                self.engine.exec(container, "sh", "-c", script)
                ours = count * 1e6 / (now_us() - start)
                start = now_us()
                subprocess.run(["busybox", "sh", "-c", script], check=True, capture_output=True)
                if turn > 0:
                    self._ours(row, unit, ours)
                    self._base(row, unit, count * 1e6 / (now_us() - start))
        self.engine.remove(container)
        shutil.rmtree(folder)

    def net(self):
        """Streams over TCP: between containers, and from the host through a published port."""
        server = ["nc", "-ll", "-p", str(PORT), "-e", "/bin/busybox", "sh", "-c", SINK]
        port = free_port()
        network = self.engine.call("POST", "/networks/create", {"Name": "bench"})["Id"]
        published = {f"{PORT}/tcp": [{"HostIp": "127.0.0.1", "HostPort": str(port)}]}
        host = {"NetworkMode": "bench"}
        sink = self.engine.run(*server, PortBindings=published, **host)
        source = self.engine.run("sleep", "3600", **host)
        document = self.engine.call("GET", f"/containers/{sink}/json")
        address = document["NetworkSettings"]["Networks"]["bench"]["IPAddress"]
        loopback = free_port()
        server[3] = str(loopback)
        with subprocess.Popen(["busybox", *server]) as local:
            try:
                connected(loopback).close()
                connected(port).close()
                for _ in range(self.options.runs):
                    # So that both ends run the same program on either side.
                    self._stream("tcp between containers", lambda: self.engine.exec(
                        source, *client(address, PORT)), lambda: subprocess.run(
                        client("127.0.0.1", loopback), check=True))
                    self._stream("tcp to published port", lambda: subprocess.run(
                        client("127.0.0.1", port), check=True), lambda: subprocess.run(
                        client("127.0.0.1", loopback), check=True))
            finally:
                local.terminate()
        for container in (sink, source):
            self.engine.remove(container)
        self.engine.call("DELETE", f"/networks/{network}")

    def _stream(self, row, ours, base):
        for send, add in ((ours, self._ours), (base, self._base)):
            start = now_us()
            send()
            add(row, "MiB/s", TCP_MIB * 1e6 / (now_us() - start))


def client(host, port):
    """A command that sends a stream and waits until all of it was taken."""
    return ["/bin/busybox", "nc", host, str(port), "-e", "/bin/busybox", "sh", "-c", SOURCE]


def free_port():
    """A port of the host that nobody listens at."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def connected(port):
    """A connection to a program that is about to listen; before what is timed."""
    end = time.monotonic() + LIMIT
    while time.monotonic() < end:
        with contextlib.suppress(OSError):
            return socket.create_connection(("127.0.0.1", port), LIMIT)
        time.sleep(0.05)
    raise BenchError(f"nothing listens at port {port}")
