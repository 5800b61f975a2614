"""Our engine as a process with folders of its own, and a client of its API."""

import contextlib
import json
import os
import shutil
import socket
import subprocess
import tempfile
import urllib.parse

from monitors import BenchError, LIMIT, now_us

# Programs that the engine starts; they are found beside it.
BESIDE = ("bulkhead-engine", "bulkhead-vmm", "bulkhead-switch")


class Engine:
    """An engine that runs within a `with`; its containers end with it."""

    def __init__(self, folder, options):
        self.folder = tempfile.mkdtemp(prefix="engine-", dir=folder)
        self.socket = os.path.join(self.folder, "run", "bulkhead.sock")
        self.log = os.path.join(self.folder, "log")
        self.process = None
        programs = os.path.dirname(os.path.abspath(options.engine))
        # Copies: memory that others share who run the same file would not be counted.
        for name in BESIDE:
            shutil.copy(os.path.join(programs, name), self.folder)
        self.arguments = [
            "--root", os.path.join(self.folder, "state"),
            "--runtime", os.path.join(self.folder, "run"),
            "--kernel", options.kernel, "--initrd", options.agent_initrd,
            "--kernel-args", options.cmdline, "--boot-timeout", "150",
        ]

    def start(self):
        """Starts it; microseconds until it says that it serves."""
        path = os.path.join(self.folder, "notify")
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)
        command = [os.path.join(self.folder, BESIDE[0]), *self.arguments]
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as ready, \
                open(self.log, "ab") as log:
            ready.bind(path)
            ready.settimeout(LIMIT)
            start = now_us()
            environment = os.environ | {"NOTIFY_SOCKET": path}
            self.process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment
            )
            if not ready.recv(256).startswith(b"READY=1"):
                raise BenchError("the engine does not serve")
            return now_us() - start

    def stop(self):
        """Ends it; its containers run on."""
        self.process.terminate()
        self.process.wait(LIMIT)
        self.process = None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process is None:
            return
        with contextlib.suppress(BenchError, OSError):
            for container in self.call("GET", "/containers/json?all=1"):
                self.remove(container["Id"])
        self.stop()

    def load(self, archive):
        """Loads images."""
        with open(archive, "rb") as file:
            self.call("POST", "/images/load?quiet=1", file.read(), "application/x-tar")

    def create(self, *command, **host):
        """Makes a container of busybox: its id."""
        document = {"Image": "busybox", "Cmd": command, "HostConfig": host}
        ports = {port: {} for port in host.get("PortBindings", {})}
        return self.call("POST", "/containers/create", document | {"ExposedPorts": ports})["Id"]

    def run(self, *command, **host):
        """Makes a container and starts it: its id."""
        container = self.create(*command, **host)
        self.call("POST", f"/containers/{container}/start")
        return container

    def remove(self, container):
        """Ends and removes a container."""
        self.call("DELETE", f"/containers/{container}?force=1&v=1")

    def attach(self, container):
        """A connection that gets the output of a container."""
        return self._hijack(f"/containers/{container}/attach?stream=1&stdout=1&stderr=1", None)

    def exec(self, container, *command):
        """What a command in a container prints, when all of it is there."""
        document = {"AttachStdout": True, "AttachStderr": True, "Cmd": command}
        made = self.call("POST", f"/containers/{container}/exec", document)
        with self._hijack(f"/exec/{made['Id']}/start", {}) as stream:
            output = b"".join(frames(stream))
        code = self.call("GET", f"/exec/{made['Id']}/json")["ExitCode"]
        if code != 0:
            raise BenchError(f"{command}: status {code}: {output.decode(errors='replace')}")
        return output

    def _hijack(self, path, document):
        client = self._connect()
        self._send(client, "POST", path, document, upgrade=True)
        status, _ = read_head(client)
        if status != 101:
            raise BenchError(f"POST {path}: {status}")
        return client

    def call(self, method, path, document=None, kind="application/json"):
        """The document that a request is answered with, the last one where progress is told."""
        with self._connect() as client:
            self._send(client, method, path, document, kind)
            status, head = read_head(client)
            body = read_body(client, head)
        if status >= 400:
            raise BenchError(f"{method} {urllib.parse.unquote(path)}: {status}: {body!r}")
        if head.get("content-type") != "application/json" or not body:
            return None
        return json.loads(body.splitlines()[-1])

    def _connect(self):
        client = socket.socket(socket.AF_UNIX)
        client.settimeout(3 * LIMIT)
        client.connect(self.socket)
        return client

    @staticmethod
    def _send(client, method, path, document, kind="application/json", upgrade=False):
        body = document if isinstance(document, bytes) else b""
        if document is not None and not isinstance(document, bytes):
            body = json.dumps(document).encode()
        # Connections are closed after an answer, so that a body ends where it ends.
        connection = "Upgrade\r\nUpgrade: tcp" if upgrade else "close"
        head = f"{method} {path} HTTP/1.1\r\nHost: docker\r\nConnection: {connection}\r\n"
        head += f"Content-Type: {kind}\r\nContent-Length: {len(body)}\r\n\r\n"
        client.sendall(head.encode() + body)


def read_head(client):
    """Status and headers of an answer, and nothing of what follows."""
    text, end = b"", b"\r\n\r\n"
    while end not in text:
        # Looked at first, and taken as far as the end.
        piece = client.recv(4096, socket.MSG_PEEK)
        if not piece:
            raise BenchError("the engine closed a connection")
        whole = (text + piece).partition(end)
        text += client.recv(len(whole[0] + whole[1]) - len(text))
    first, *lines = text.decode().strip().split("\r\n")
    headers = dict(line.split(": ", 1) for line in lines)
    return int(first.split(" ")[1]), {name.lower(): value for name, value in headers.items()}


def read_body(client, head):
    """The body of an answer, without its chunks' marks."""
    text = b""
    while data := client.recv(65536):
        text += data
    if head.get("transfer-encoding") != "chunked":
        return text
    body = b""
    while text:
        size, _, text = text.partition(b"\r\n")
        body, text = body + text[:int(size, 16)], text[int(size, 16) + 2:]
    return body


def frames(stream):
    """What is in the frames of a multiplexed stream, until it ends."""
    while head := exactly(stream, 8):
        yield exactly(stream, int.from_bytes(head[4:], "big"))


def exactly(stream, count):
    """So many bytes, or none at the end."""
    data = b""
    while len(data) < count:
        more = stream.recv(count - len(data))
        if not more:
            return b""
        data += more
    return data
