"""bulkhead-vmm as a process, asked over its API."""

import http.client
import json
import os
import re
import socket
import struct
import subprocess

# 64-bit mode, interrupts off: 1: hlt; jmp 1b
_SLEEP = bytes.fromhex("f4 ebfd")
_ENTRY = 0x10_0000


class ConformanceError(Exception):
    """The monitor did not behave."""


def sleeping_kernel():
    """An ELF kernel that sleeps for ever."""
    offset = 0x1000
    header = b"\x7fELF\x02\x01\x01".ljust(16, b"\0")
    header += struct.pack("<HHIQQQIHHHHHH", 2, 62, 1, _ENTRY, 64, 0, 0, 64, 56, 1, 0, 0, 0)
    size = len(_SLEEP)
    segment = struct.pack("<IIQQQQQQ", 1, 5, offset, _ENTRY, _ENTRY, size, size, 0x1000)
    return (header + segment).ljust(offset, b"\0") + _SLEEP


class Monitor:
    """Runs in `folder`, where all files are that its clients make it open."""

    def __init__(self, program, folder):
        self.socket = os.path.join(folder, "api.sock")
        self._errors = os.path.join(folder, "stderr")
        # The monitor reads its metadata when its socket is there, so writing waits for that.
        metadata = os.path.join(folder, "metadata")
        os.mkfifo(metadata)
        with open(self._errors, "wb") as errors:
            self._process = subprocess.Popen(
                [program, "--api-sock", self.socket, "--metadata", metadata, "--exit-with-parent"],
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=errors,
            )
        with open(metadata, "w", encoding="utf-8") as pipe:
            pipe.write('{"instance": {"id": 1}}')

    def request(self, method, path, value=None):
        """One request; gives status and body."""
        connection = http.client.HTTPConnection("localhost", timeout=30)
        connection.sock = socket.socket(socket.AF_UNIX)
        connection.sock.connect(self.socket)
        body = None if value is None else json.dumps(value)
        connection.request(method, path, body)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()

    def put(self, path, value):
        """A PUT that must be accepted."""
        status, body = self.request("PUT", path, value)
        if status != 204:
            raise ConformanceError(f"PUT {path} gives {status}: {body}")

    def answered(self):
        """How many requests the monitor has answered."""
        _, metrics = self.request("GET", "/bulkhead/metrics")
        counts = re.findall(r"^bulkhead_api_requests_total\{.*\} (\d+)$", metrics, re.MULTILINE)
        return sum(map(int, counts))

    def end(self):
        """Ends the process, which must still be there and never have panicked."""
        if self._process.poll() is not None:
            raise ConformanceError(f"the monitor has ended: {self._process.returncode}")
        self._process.terminate()
        self._process.wait(30)
        with open(self._errors, encoding="utf-8", errors="replace") as errors:
            text = errors.read()
        if "panicked" in text:
            raise ConformanceError(f"the monitor panicked:\n{text}")

    def kill(self):
        """Ends it whatever it does."""
        self._process.kill()
        self._process.wait()
