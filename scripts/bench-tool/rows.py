"""What is measured. A row gives one figure each time it is called with a monitor."""

import json
import os

import guests
from monitors import BenchError, now_us, wait_for_marker

CONSOLE = "console=ttyS0"


class Bench:
    """The files of the guests, and the rows."""

    def __init__(self, folder, options):
        self.folder = folder
        self.options = options
        self.resets = self._write("resets", guests.resets())
        self.prints = self._write("prints", guests.prints_and_resets())
        self.sleeps = self._write("sleeps", guests.prints_and_sleeps())
        self.initrd = options.initrd or self._write("initrd", guests.initrd_that_restarts())

    def _write(self, name, data):
        path = os.path.join(self.folder, name)
        with open(path, "wb") as file:
            file.write(data)
        return path

    def exec_to_exit(self, monitor):
        """From exec to the exit of a guest that resets at once."""
        return monitor.run("--config-file", monitor.config("resets", self.resets))

    def exec_to_guest(self, monitor):
        """From exec until the first instructions' output is read."""
        config = monitor.config("prints", self.prints, cmdline=CONSOLE)
        start = now_us()
        with monitor.spawn("--no-api", "--config-file", config) as process:
            try:
                wait_for_marker(process, monitor.name)
                return now_us() - start
            finally:
                process.kill()

    def memory(self, monitor):
        """KiB of a sleeping machine that are not its guest's."""
        size = 128
        config = monitor.config("sleeps", self.sleeps, memory=size, cmdline=CONSOLE)
        with monitor.spawn("--no-api", "--config-file", config) as process:
            try:
                wait_for_marker(process, monitor.name)
                return pss_beside_guest(process.pid, size << 10)
            finally:
                process.kill()

    def boot(self, monitor):
        """From exec to init; with an init of our own until the machine it restarts has ended."""
        ready = self.options.ready
        if not ready:
            return monitor.run("--config-file", self._boot_config(monitor))
        start = now_us()
        with monitor.spawn("--no-api", "--config-file", self._boot_config(monitor)) as process:
            try:
                wait_for_marker(process, monitor.name, ready.encode())
                return now_us() - start
            finally:
                process.kill()

    def _boot_config(self, monitor):
        options = self.options
        return monitor.config(
            "boot", options.kernel, options.memory, self.initrd, options.cmdline
        )

    def exits(self, monitor):
        """Exits to user space of one boot, by reason."""
        path = os.path.join(self.folder, "metrics")
        with open(path, "w", encoding="utf-8"):
            pass
        config = self._boot_config(monitor)
        monitor.run("--config-file", config, "--metrics-path", path)
        reasons = ("io_in", "io_out", "mmio_read", "mmio_write")
        with open(path, encoding="utf-8") as file:
            lines = [json.loads(line)["vcpu"] for line in file]
        return {name: sum(line["exit_" + name] for line in lines) for name in reasons}

    def latencies(self, monitor, count):
        """Times of `count` GET / and `count` PUT /machine-config on one connection."""
        path = os.path.join(self.folder, "api.sock")
        process = monitor.spawn("--api-sock", path)
        with process:
            try:
                with monitor.connect(path) as client:
                    body = b'{"vcpu_count":1,"mem_size_mib":128}'
                    get = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"
                    put = b"PUT /machine-config HTTP/1.1\r\nHost: localhost\r\n"
                    put += b"Content-Type: application/json\r\n"
                    put += b"Content-Length: %d\r\n\r\n%s" % (len(body), body)
                    gets = [request(client, get, b"200") for _ in range(count)]
                    puts = [request(client, put, b"204") for _ in range(count)]
                    return gets, puts
            finally:
                process.kill()
                process.wait()
                if os.path.exists(path):
                    os.unlink(path)


def request(client, text, status):
    """The time of one request and its answer."""
    start = now_us()
    client.sendall(text)
    answer = b""
    while not complete(answer):
        data = client.recv(65536)
        if not data:
            raise BenchError("the API closed the connection")
        answer += data
    taken = now_us() - start
    if answer.split(b" ", 2)[1] != status:
        raise BenchError(f"the API answered {answer!r}")
    return taken


def complete(answer):
    """Whether all of an HTTP answer is there."""
    head, end, body = answer.partition(b"\r\n\r\n")
    if not end:
        return False
    for line in head.split(b"\r\n")[1:]:
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            return len(body) >= int(value)
    return True


def pss_beside_guest(pid, guest_kib):
    """KiB of proportional set size outside of the guest's memory.

    Guest memory is found by its size: it ends where the largest mapping ends.
    """
    mappings = []
    with open(f"/proc/{pid}/smaps", encoding="utf-8") as file:
        for line in file:
            first = line.split(" ", 1)[0]
            if not first.endswith(":"):
                start, end = (int(part, 16) for part in first.split("-"))
                mappings.append([start, end, 0])
            elif first == "Pss:":
                mappings[-1][2] = int(line.split()[1])
    guest_end = max(mappings, key=lambda mapping: mapping[1] - mapping[0])[1]
    guest_start = guest_end - (guest_kib << 10)
    outside = [pss for start, end, pss in mappings if end <= guest_start or start >= guest_end]
    if len(outside) == len(mappings):
        raise BenchError("guest memory is not among the mappings")
    return float(sum(outside))
