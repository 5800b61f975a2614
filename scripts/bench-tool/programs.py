"""Our programs, built for what is measured."""

import os
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
RELEASE = os.path.join(ROOT, "target", "release")


def monitor():
    """bulkhead-vmm."""
    return _built(["-p", "bulkhead-vmm"], "bulkhead-vmm")


def engine():
    """The engine, with the programs that it starts beside it."""
    packages = ["-p", "bulkhead-vmm", "-p", "engine", "-p", "switch"]
    return _built(packages, "bulkhead-engine")


def layer_import():
    """The program that compares a layer's conversion with hashing and unpacking it."""
    return _built(["-p", "image", "--example", "layer_import"], "examples/layer_import")


def _built(arguments, name):
    command = ["cargo", "build", "-q", "--release", "--locked", *arguments]
    if subprocess.run(command, cwd=ROOT, check=False).returncode != 0:
        sys.exit(f"bench: {' '.join(command)} failed")
    return os.path.join(RELEASE, name)
