"""Kernels and programs for guests, and where guests can run."""

import os
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
CACHE = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
IMAGES = os.path.join(os.environ.get("BULKHEAD_CACHE") or f"{CACHE}/bulkhead", "images")


def kernel():
    """Our own kernel if it was made once, which takes long; else Debian's."""
    own = os.path.join(IMAGES, "bulkhead-6.12")
    return os.path.join(build("bulkhead-6.12" if os.path.exists(own) else "debian-6.1"), "vmlinux")


def agent_initrd(path):
    """The initial RAM disk with the agent for a kernel of guest-images/build."""
    name = os.path.basename(os.path.dirname(os.path.abspath(path)))
    return os.path.join(build("initramfs-" + name), "initramfs")


def busybox():
    """An archive of the image busybox."""
    return os.path.join(build("busybox-image"), "busybox.tar")


def postgres():
    """An archive of the image postgres."""
    return os.path.join(build("postgres-image"), "postgres.tar")


def build(name):
    """The folder with an image of guest-images/build."""
    program = os.path.join(ROOT, "guest-images", "build")
    done = subprocess.run([program, name], stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode != 0:
        sys.exit(f"bench: {program} {name} failed")
    return done.stdout.strip()


def why_lab():
    """Why guests need the lab; empty where they do not."""
    return _output(_in_lab("--why", "guests")).strip()


def bench_in_lab(arguments):
    """What this program prints, run in the lab."""
    tool = os.path.dirname(os.path.abspath(__file__))
    return _output(_in_lab("guests", sys.executable, "-B", tool, *arguments))


def _in_lab(*arguments):
    return [os.path.join(ROOT, "scripts", "in-lab"), *arguments]


def _output(command):
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode != 0:
        sys.exit(f"bench: {' '.join(command)} failed")
    return done.stdout
