"""What containers are compared with: an OCI runtime on this host, and programs without one."""

import contextlib
import json
import os
import shutil
import subprocess
import tarfile

from monitors import BenchError, now_us

# The first that can run here. Without a manager of control groups the first needs no systemd.
RUNTIMES = (("crun", "--cgroup-manager=disabled"), ("runc",))


class Runtime:
    """A runtime with a bundle of the image of busybox; `why` says why there is none."""

    def __init__(self, folder, archive):
        self.folder = os.path.join(folder, "bundle")
        self.count = 0
        unpack(archive, os.path.join(self.folder, "rootfs"))
        self.command, tried = None, []
        for program, *flags in RUNTIMES:
            if shutil.which(program) is None:
                tried.append(f"{program} is not installed (scripts/setup bench)")
                continue
            self.command = [program, f"--root={self.folder}/{program}", *flags]
            try:
                self.first_output()
                break
            except BenchError as error:
                tried.append(f"{program}: {error}")
                self.command = None
        self.name = self.command[0] if self.command else None
        self.why = "; ".join(tried)

    def _spec(self, *command):
        subprocess.run(self.command[:1] + ["spec"], cwd=self.folder, check=False,
                       stderr=subprocess.DEVNULL)
        path = os.path.join(self.folder, "config.json")
        with open(path, encoding="utf-8") as file:
            spec = json.load(file)
        spec["process"] |= {"terminal": False, "args": command}
        with open(path, "w", encoding="utf-8") as file:
            json.dump(spec, file)
        self.count += 1
        return f"bench-{os.getpid()}-{self.count}"

    def _call(self, *arguments):
        return subprocess.run([*self.command, *arguments], cwd=self.folder,
                              capture_output=True, stdin=subprocess.DEVNULL, check=False)

    def first_output(self):
        """Microseconds until a new container's output is there."""
        name = self._spec("/bin/busybox", "echo", "hi")
        start = now_us()
        with subprocess.Popen(
            [*self.command, "run", name], cwd=self.folder, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        ) as process:
            output = os.read(process.stdout.fileno(), 16)
            taken = now_us() - start
            said = process.communicate()[1].decode(errors="replace").strip()
        if output != b"hi\n":
            raise BenchError(said or "no output")
        return taken

    @contextlib.contextmanager
    def sleeping(self):
        """A container that sleeps: its name."""
        name = self._spec("/bin/busybox", "sleep", "3600")
        with open(os.devnull, "r+b") as null:
            done = subprocess.run([*self.command, "run", "--detach", name], cwd=self.folder,
                                  stdin=null, stdout=null, stderr=null, check=False)
        if done.returncode != 0:
            raise BenchError(f"{self.name} starts no container in the background")
        try:
            yield name
        finally:
            self._call("delete", "--force", name)

    def exec(self, name):
        """Microseconds of a command in a container."""
        start = now_us()
        done = self._call("exec", name, "/bin/busybox", "echo", "hi")
        taken = now_us() - start
        if done.stdout != b"hi\n":
            raise BenchError(f"{self.name} exec: {done.stderr.decode(errors='replace')}")
        return taken

    def process(self, name):
        """The process of a container."""
        return json.loads(self._call("state", name).stdout)["pid"]


def unpack(archive, folder):
    """The files of an image of `docker save`."""
    os.makedirs(folder)
    with tarfile.open(archive) as image:
        manifest = json.load(image.extractfile("manifest.json"))[0]
        for layer in manifest["Layers"]:
            with tarfile.open(fileobj=image.extractfile(layer)) as files:
                files.extractall(folder)


def pss(pids):
    """KiB of proportional set size of processes."""
    total = 0
    for pid in pids:
        with open(f"/proc/{pid}/smaps_rollup", encoding="utf-8") as file:
            total += next(int(line.split()[1]) for line in file if line.startswith("Pss:"))
    return total
