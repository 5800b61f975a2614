"""Disks, network and sockets of a guest: one machine does a list of jobs."""

import contextlib
import os
import socket
import subprocess
import threading
import time

import guests
from monitors import BenchError, LIMIT

GUEST_CID = 3
PORT_FROM_GUEST = 5001
PORT_TO_GUEST = 5002
CHUNK = 1 << 20
# Disk size: it fits the host's page cache, so that monitors are measured and not the host's disk.
DISK_MIB = 256

# Name -> fio's pattern, block size, and the field of its terse output (version 3).
DISK_JOBS = {
    "random read 4k": ("randread", "4k", 8),
    "read 1M": ("read", "1M", 7),
    "write 1M": ("write", "1M", 48),
}
ENGINES = {"vda": "Sync", "vdb": "Async"}


class Throughput:
    """What the machines share: disks, tap and the programs' image."""

    def __init__(self, folder, options, groups):
        self.folder = folder
        self.options = options
        self.groups = groups
        self.socket = os.path.join(folder, "vsock")
        self.cleanup = contextlib.ExitStack()
        self.network = None

    def __enter__(self):
        for disk in ENGINES:
            with open(self._path(disk), "wb") as file:
                for _ in range(DISK_MIB):
                    file.write(os.urandom(1 << 20))
        if "tcp" in self.groups:
            self.network = self.cleanup.enter_context(network())
        initrd = [self._modules(), os.path.join(self.options.tools, "tools.cpio")]
        jobs = "".join(" ".join(job) + "\n" for job in self._jobs())
        with open(self._path("io-initrd"), "wb") as file:
            for path in filter(os.path.exists, initrd):
                with open(path, "rb") as part:
                    file.write(part.read())
            file.write(guests.initrd_with_script(_script(), jobs.encode()))
        return self

    def __exit__(self, *_):
        self.cleanup.close()

    def _path(self, name):
        return os.path.join(self.folder, name)

    def _modules(self):
        """The archive that guest-images/build puts beside a kernel."""
        return os.path.join(os.path.dirname(self.options.kernel), "modules.cpio")

    def _jobs(self):
        """The lines of the guest's list."""
        seconds = str(self.options.seconds)
        if "block" in self.groups:
            for disk, engine in ENGINES.items():
                for name, (pattern, size, field) in DISK_JOBS.items():
                    row = f"{name} {engine}".replace(" ", "_")
                    yield "block", row, disk, seconds, pattern, size, str(field)
        if self.network:
            host, guest = self.network[1:]
            yield "net", guest + "/30"
            yield "tcp", "tcp_from_guest", host, seconds
            yield "tcp", "tcp_to_guest", host, seconds, "-R"
        if "vsock" in self.groups:
            yield "vsock_from_guest", "-", str(PORT_FROM_GUEST)
            yield "vsock_to_guest", "-", str(PORT_TO_GUEST)

    def _config(self, monitor):
        drives = [self._drive(disk, self._path(disk), False, ENGINES[disk]) for disk in ENGINES]
        image = os.path.join(self.options.tools, "tools.erofs")
        devices = {"drives": [*drives, self._drive("vdc", image, True, "Sync")]}
        if self.network:
            card = {"iface_id": "eth0", "host_dev_name": self.network[0]}
            devices["network-interfaces"] = [card]
        if "vsock" in self.groups:
            devices["vsock"] = {"guest_cid": GUEST_CID, "uds_path": self.socket}
        options = self.options
        return monitor.config(
            "io", options.kernel, options.memory, self._path("io-initrd"),
            options.cmdline + " console=ttyS0", devices,
        )

    @staticmethod
    def _drive(name, path, read_only, engine):
        return {
            "drive_id": name, "path_on_host": path, "is_root_device": False,
            "is_read_only": read_only, "io_engine": engine,
        }

    def run(self, monitor, transport):
        """One machine's figures: row -> (unit, figure)."""
        flags = ["--enable-pci"] if transport == "pci" else []
        jobs = len(list(self._jobs()))
        limit = LIMIT + jobs * (self.options.seconds + 10) * 2
        figures = {}
        with contextlib.ExitStack() as stack:
            if "vsock" in self.groups:
                stack.enter_context(streams(self.socket, self.options.seconds, figures))
            command = ["--no-api", "--config-file", self._config(monitor), *flags]
            process = stack.enter_context(monitor.spawn(*command))
            stack.callback(process.kill)
            watchdog = threading.Timer(limit, process.kill)
            watchdog.start()
            stack.callback(watchdog.cancel)
            figures |= _read_figures(process.stdout, monitor)
        if os.path.exists(self.socket):
            os.unlink(self.socket)
        return {f"{name} {transport}": figure for name, figure in figures.items()}


def _script():
    with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "init"), "rb") as file:
        return file.read()


def _read_figures(output, monitor):
    """What the guest prints, until it is done."""
    figures, seen = {}, []
    for line in output:
        words = line.decode(errors="replace").split()
        seen.append(line)
        if words[:2] == ["figures", "end"]:
            return figures
        if words[:1] == ["figure"]:
            name = words[1].replace("_", " ")
            if len(words) < 3:
                break
            unit = "kbit/s" if name.startswith("tcp") else "KiB/s"
            figures[name] = ("1/s" if "random" in name else unit, float(words[2]))
    said = b"".join(seen[-20:]).decode(errors="replace")
    raise BenchError(f"{monitor.name}: the guest did not finish its jobs; it said:\n{said}")


@contextlib.contextmanager
def network():
    """A tap and an iperf3 server on it: its name, the host's address and the guest's."""
    pid = os.getpid()
    tap = f"bench{pid % 100000}"
    net = f"169.254.{pid >> 6 & 127}.%d"
    host, guest = (net % ((pid & 63) * 4 + at) for at in (1, 2))
    with contextlib.ExitStack() as stack:
        ip("tuntap", "add", "dev", tap, "mode", "tap", "vnet_hdr")
        stack.callback(ip, "link", "delete", tap)
        ip("address", "add", host + "/30", "dev", tap)
        ip("link", "set", tap, "up")
        command = ["iperf3", "-s", "-B", host, "--forceflush"]
        server = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        stack.enter_context(server)
        stack.callback(server.kill)
        for line in server.stdout:
            if b"listening" in line:
                break
        else:
            raise BenchError("iperf3 does not listen")
        # What it says about each test nobody reads, and it must not wait for that.
        threading.Thread(target=server.stdout.read, daemon=True).start()
        yield tap, host, guest


def ip(*arguments):
    """Configures the host's network, which needs root."""
    done = subprocess.run(["ip", *arguments], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise BenchError(f"ip {' '.join(arguments)}: {done.stderr.strip()} (tcp needs root)")


@contextlib.contextmanager
def streams(path, seconds, figures):
    """The host's ends of the socket device's streams, behind its socket at `path`."""
    ends = {PORT_FROM_GUEST: ("from", receive), PORT_TO_GUEST: ("to", send)}
    threads = []
    for port, (direction, end) in ends.items():
        name = f"{path}_{port}"
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(name)
        listener.listen()

        def serve(listener=listener, end=end, row=f"vsock {direction} guest"):
            with contextlib.suppress(OSError):
                stream, _ = listener.accept()
                with stream:
                    figures[row] = ("KiB/s", end(stream, seconds) / 1024)

        threads.append((threading.Thread(target=serve), listener, name))
    for thread, _, _ in threads:
        thread.start()
    try:
        yield
    finally:
        for thread, listener, name in threads:
            # Ends a wait for a guest that did not come.
            with contextlib.suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)
            thread.join(LIMIT)
            listener.close()
            os.unlink(name)


def receive(stream, seconds):
    """Bytes a second that arrive, from the first one on."""
    buffer = bytearray(CHUNK)
    stream.recv_into(buffer, 1)
    start, total = time.monotonic(), 0
    while time.monotonic() < start + seconds:
        count = stream.recv_into(buffer)
        if count == 0:
            raise OSError("the guest ended early")
        total += count
    return total / (time.monotonic() - start)


def send(stream, seconds):
    """Bytes a second that are taken, until the guest has had all of them."""
    data = bytes(CHUNK)
    start, total = time.monotonic(), 0
    while time.monotonic() < start + seconds:
        stream.sendall(data)
        total += len(data)
    stream.shutdown(socket.SHUT_WR)
    with contextlib.suppress(ConnectionResetError):
        stream.recv(1)
    return total / (time.monotonic() - start)
