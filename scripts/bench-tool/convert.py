"""The row of a layer's conversion."""

import os
import shutil
import subprocess
import tarfile

import programs
from monitors import BenchError


def packed_layer(archive, folder):
    """The layer of an archive of guest-images/build, which is packed with gzip."""
    path = os.path.join(folder, "layer.tar.gz")
    with tarfile.open(archive) as image, open(path, "wb") as out:
        shutil.copyfileobj(image.extractfile("layer.tar"), out)
    return path


def convert(layer, folder, runs):
    """MiB/s of the layer's archive: converted, and only hashed and unpacked, in turns."""
    command = [programs.layer_import(), layer, os.path.join(folder, "layer.erofs"), str(runs + 1)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode != 0:
        raise BenchError(f"{' '.join(command)} failed")
    figures = {"bulkhead": [], "peer": []}
    # The first turn does not count.
    for line in done.stdout.splitlines()[1:]:
        mib, alone, whole = (float(word) for word in line.split())
        figures["bulkhead"].append(mib / whole)
        figures["peer"].append(mib / alone)
    return figures
