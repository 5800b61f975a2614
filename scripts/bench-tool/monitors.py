"""Monitors with Firecracker's flags, as processes."""

import json
import os
import select
import shutil
import signal
import socket
import subprocess
import time

import guests

# After this a machine hangs.
LIMIT = 60.0


class BenchError(Exception):
    """A monitor did not do what is measured."""


def now_us():
    """The time in microseconds."""
    return time.perf_counter_ns() / 1000


class Monitor:
    """A monitor's program; `folder` is for what its machines need."""

    def __init__(self, name, program, flags, folder):
        self.name = name
        # A copy of its own: memory that others share who run the same file would not be counted.
        self.program = shutil.copy(program, os.path.join(folder, name))
        self.flags = flags
        self.folder = folder
        self.log = os.path.join(folder, f"{name}.log")

    def config(self, name, kernel, memory=128, initrd=None, cmdline="", devices=None):
        """Writes a configuration file of a machine with one processor."""
        source = {"kernel_image_path": kernel, "boot_args": cmdline}
        if initrd:
            source["initrd_path"] = initrd
        machine = {"vcpu_count": 1, "mem_size_mib": memory}
        document = {"boot-source": source, "drives": [], "machine-config": machine}
        path = os.path.join(self.folder, name + ".json")
        with open(path, "w", encoding="utf-8") as file:
            json.dump(document | (devices or {}), file)
        return path

    def command(self, *flags):
        """The command line. What is logged goes to a file, for both the same."""
        with open(self.log, "w", encoding="utf-8"):
            pass  # Firecracker wants it to be there.
        return [self.program, "--log-path", self.log, "--level", "Error", *self.flags, *flags]

    def spawn(self, *flags):
        """Starts it with its standard output in a pipe."""
        return subprocess.Popen(
            self.command(*flags),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )

    def run(self, *flags):
        """Runs it to its end; gives the time that took."""
        command = self.command("--no-api", *flags)
        silent = [(os.POSIX_SPAWN_OPEN, fd, "/dev/null", os.O_RDWR, 0) for fd in (0, 1, 2)]
        signal.alarm(int(LIMIT))
        start = now_us()
        pid = os.posix_spawn(command[0], command, os.environ, file_actions=silent)
        try:
            _, status = os.waitpid(pid, 0)
        except TimeoutError as error:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            raise BenchError(f"{self.name}: the machine hangs") from error
        finally:
            signal.alarm(0)
        taken = now_us() - start
        if os.waitstatus_to_exitcode(status) != 0:
            raise BenchError(f"{self.name}: {' '.join(command)} failed; see {self.log}")
        return taken

    def connect(self, path):
        """Connects to the API's socket as soon as there is one.

        Nothing that is common to the monitors tells when, so this asks again and again; it is
        before what is timed.
        """
        end = time.monotonic() + LIMIT
        client = socket.socket(socket.AF_UNIX)
        while True:
            try:
                client.connect(path)
                return client
            except (FileNotFoundError, ConnectionRefusedError):
                if time.monotonic() > end:
                    raise BenchError(f"{self.name} offers no API") from None
                time.sleep(0.001)


def wait_for_marker(process, name, marker=guests.MARKER):
    """Waits until `marker` is printed."""
    seen = b""
    end = time.monotonic() + LIMIT
    while marker not in seen:
        ready, _, _ = select.select([process.stdout], [], [], max(0, end - time.monotonic()))
        data = os.read(process.stdout.fileno(), 65536) if ready else b""
        if not data:
            raise BenchError(f"{name}: the guest did not print {marker!r}")
        seen = seen[-len(marker):] + data


def alarm(_signal, _frame):
    """Makes waiting end."""
    raise TimeoutError
