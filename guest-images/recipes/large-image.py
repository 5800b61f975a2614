"""Makes large.tar, an archive for `docker load` of two layers that are given and two of its own, and
large.list, what a container of it sees below /large: see `lines`.

usage: large-image.py BUSYBOX-LAYER SPARSE-LAYER
"""

import gzip
import hashlib
import io
import json
import random
import shutil
import stat
import sys
import tarfile

FOLDERS, FILES, BIG_FILES, BIG = 20, 1000, 8, 32 << 20
# Of gzip: this is a test's image, which is read once.
LEVEL = 1
TYPES = {
    tarfile.REGTYPE: stat.S_IFREG, tarfile.DIRTYPE: stat.S_IFDIR, tarfile.SYMTYPE: stat.S_IFLNK,
    tarfile.CHRTYPE: stat.S_IFCHR, tarfile.BLKTYPE: stat.S_IFBLK, tarfile.FIFOTYPE: stat.S_IFIFO,
}


class Layer:
    """An archive that is written, and `seen`: path -> line without the count of links."""

    def __init__(self, path, seen):
        self.seen = seen
        self.tar = tarfile.open(path, "w", format=tarfile.PAX_FORMAT, errors="surrogateescape")

    def add(self, path, kind=tarfile.REGTYPE, content=b"", **fields):
        """Adds a file."""
        info = tarfile.TarInfo("large/" + path)
        info.type, info.size, info.mode = kind, len(content), 0o644
        for name, value in fields.items():
            setattr(info, name, value)
        self.tar.addfile(info, io.BytesIO(content))
        if "/.wh." not in "/" + path:
            self.seen[path] = [info, hashlib.md5(content).hexdigest(), None]

    def link(self, path, to):
        """Adds another name of a file."""
        info = tarfile.TarInfo("large/" + path)
        info.type, info.linkname = tarfile.LNKTYPE, "large/" + to
        self.tar.addfile(info)
        self.seen[path] = [*self.seen[to][:2], to]

    def folder(self, path, **fields):
        """Adds a folder."""
        self.add(path, tarfile.DIRTYPE, **({"mode": 0o755} | fields))


def lines(path, entry, links):
    """Path|kind and mode in hex|user|group|seconds|size|links|device; of a folder without size and links, which
    are the file system's. Then what md5sum says of a file, or where a link leads."""
    info, digest, _ = entry
    path = f"/large/{path}".removesuffix("/")
    is_link = info.type == tarfile.SYMTYPE
    size = len(info.linkname) if is_link else info.size
    counted = "|" if info.type == tarfile.DIRTYPE else f"{size}|{links}"
    is_device = info.type in (tarfile.CHRTYPE, tarfile.BLKTYPE)
    device = f"{info.devmajor:x}:{info.devminor:x}" if is_device else "0:0"
    mode = TYPES[info.type] | (0o777 if is_link else info.mode)
    yield f"{path}|{mode:x}|{info.uid}|{info.gid}|{int(info.mtime)}|{counted}|{device}"
    if is_link:
        yield f"{path} -> {info.linkname}"
    elif info.type == tarfile.REGTYPE:
        yield f"{digest}  {path}"


def every_kind(layer):
    """A file of each kind, with each kind of name, owner, mode and time."""
    layer.add("empty", mtime=1)
    for size in (1, 4095, 4096, 4097, 70_000):
        layer.add(f"of {size} bytes", content=b"x" * size)
    layer.add("special bits", mode=0o7755, content=b"set-uid")
    layer.folder("sticky", mode=0o1777, uid=7, gid=8)
    layer.add("owner", uid=4_294_967_294, gid=65_536, mtime=1 << 32)
    layer.add("n" * 255, content=b"long name")
    layer.add("quotes' \" and * \\", content=b"q")
    layer.add(b"not \xff\xfe UTF-8".decode("utf-8", "surrogateescape"), content=b"bytes")
    layer.add("attributes", content=b"x", pax_headers={"SCHILY.xattr.user.test": "value"})
    deep = "deep"
    layer.folder(deep)
    for depth in range(30):
        deep += f"/{'d' * 60}{depth}"
        layer.folder(deep, mode=0o700)
    layer.add(deep + "/file", content=b"deep")
    for name, to in (("short", "empty"), ("dangling", "/nowhere"), ("long", "l" * 1000),
                     ("up", "../large/empty")):
        layer.add(f"link {name}", tarfile.SYMTYPE, linkname=to)
    layer.add("pipe", tarfile.FIFOTYPE, mode=0o600)
    layer.add("character", tarfile.CHRTYPE, devmajor=1, devminor=3, mode=0o666)
    layer.add("block", tarfile.BLKTYPE, devmajor=259, devminor=70_000, gid=6)
    for at in range(5):
        layer.link(f"hard {at}", "of 4097 bytes")


def lower(path, seen):
    """Many files, big files and each kind of file."""
    chance = random.Random(1)
    layer = Layer(path, seen)
    layer.folder("", mtime=5)
    every_kind(layer)
    for name in ("folder to file", "folder to link"):
        layer.folder(name)
        layer.add(f"{name}/inner", content=b"gone")
    layer.add("file to folder", content=b"gone")
    for at in range(FOLDERS):
        layer.folder(f"many {at}", mtime=at)
        for number in range(FILES):
            content = chance.randbytes(chance.randrange(5000))
            layer.add(f"many {at}/{number}", content=content, mtime=number, uid=at)
    for at in range(BIG_FILES):
        layer.add(f"big {at}", content=chance.randbytes(BIG - at))
    layer.tar.close()


def upper(path, seen):
    """Removes and replaces what is below."""
    def forget(gone):
        for known in [known for known in seen if known == gone or known.startswith(gone + "/")]:
            del seen[known]

    layer = Layer(path, seen)
    layer.folder("", mtime=6)
    for at in range(0, FILES, 10):
        forget(f"many 3/{at}")
    layer.folder("many 3", mtime=30)
    for at in range(0, FILES, 10):
        layer.add(f"many 3/.wh.{at}")
    forget("many 4")
    layer.folder("many 4", mtime=40)
    layer.add("many 4/.wh..wh..opq")
    layer.add("many 4/new", content=b"new")
    forget("many 5")
    layer.add(".wh.many 5")
    forget("folder to file")
    layer.add("folder to file", content=b"a file")
    forget("folder to link")
    layer.add("folder to link", tarfile.SYMTYPE, linkname="sticky")
    forget("file to folder")
    layer.folder("file to folder")
    layer.add("file to folder/inner", content=b"inner")
    layer.folder("many 6", mtime=60)
    layer.add("many 6/0", content=b"replaced", mode=0o4711)
    layer.tar.close()


def sparse(path, seen):
    """The file with holes, which GNU tar has stored."""
    with tarfile.open(path) as tar:
        for info in tar:
            digest = hashlib.md5(tar.extractfile(info).read()).hexdigest()
            info.type = tarfile.REGTYPE
            seen[info.name.removeprefix("large/")] = [info, digest, None]


def packed(path):
    """Packs a layer; its diff id."""
    with open(path, "rb") as plain, gzip.GzipFile(path + ".gz", "wb", LEVEL, mtime=0) as out:
        shutil.copyfileobj(plain, out, 1 << 20)
    with open(path, "rb") as plain:
        return "sha256:" + hashlib.file_digest(plain, "sha256").hexdigest()


def archive(layers):
    """Writes large.tar."""
    config = json.dumps({
        "architecture": "amd64", "os": "linux", "created": "1970-01-01T00:00:00Z",
        "config": {"Env": ["PATH=/bin"]},
        "rootfs": {"type": "layers", "diff_ids": [packed(layer) for layer in layers]},
        "history": [{"created": "1970-01-01T00:00:00Z", "created_by": layer} for layer in layers],
    }).encode()
    name = hashlib.sha256(config).hexdigest() + ".json"
    manifest = json.dumps([{"Config": name, "RepoTags": ["large:latest"], "Layers": layers}]).encode()
    with tarfile.open("large.tar", "w") as tar:
        for member, content in (("manifest.json", manifest), (name, config)):
            info = tarfile.TarInfo(member)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
        for layer in layers:
            tar.add(layer + ".gz", layer)


def main():
    """Makes both files."""
    busybox, holes = sys.argv[1:]
    seen = {}
    lower("lower.tar", seen)
    sparse(holes, seen)
    upper("upper.tar", seen)
    archive([busybox, "lower.tar", holes, "upper.tar"])
    names = {}
    for path, entry in seen.items():
        names.setdefault(entry[2] or path, []).append(path)
    said = [line for path, entry in seen.items()
            for line in lines(path, entry, len(names[entry[2] or path]))]
    with open("large.list", "w", encoding="utf-8", errors="surrogateescape") as out:
        out.writelines(line + "\n" for line in said)


main()
