"""Guests: kernels of a few bytes of machine code, and initial RAM disks."""

import struct

# What guests print when their first instructions ran.
MARKER = b"\x02"

# Each begins in 64-bit mode, with interrupts off.
_RESET = bytes.fromhex("b0fe e664")  # mov al, 0xfe; out 0x64, al: reset by the keyboard controller
_PRINT = bytes.fromhex("66baf803 b002 ee")  # mov dx, 0x3f8; mov al, MARKER; out dx, al
_SLEEP = bytes.fromhex("f4 ebfd")  # 1: hlt; jmp 1b

_ENTRY = 0x10_0000
_FILE_OFFSET = 0x1000


def _kernel(code):
    """An ELF file for the 64-bit entry, with one segment: `code`."""
    header = b"\x7fELF\x02\x01\x01".ljust(16, b"\0")
    header += struct.pack("<HHIQQQIHHHHHH", 2, 62, 1, _ENTRY, 64, 0, 0, 64, 56, 1, 0, 0, 0)
    size = len(code)
    segment = struct.pack("<IIQQQQQQ", 1, 5, _FILE_OFFSET, _ENTRY, _ENTRY, size, size, 0x1000)
    return (header + segment).ljust(_FILE_OFFSET, b"\0") + code


def resets():
    """Ends at once."""
    return _kernel(_RESET + _SLEEP)


def prints_and_resets():
    """Prints MARKER on the first serial port and ends."""
    return _kernel(_PRINT + _RESET + _SLEEP)


def prints_and_sleeps():
    """Prints MARKER on the first serial port and sleeps for ever."""
    return _kernel(_PRINT + _SLEEP)


def _init_that_restarts():
    """A Linux program that calls reboot(2) with RB_AUTOBOOT."""
    code = bytes.fromhex("b8a9000000 bfaddee1fe be69191228 ba67452301 0f05 ebfe")
    base = 0x40_0000
    header = b"\x7fELF\x02\x01\x01".ljust(16, b"\0")
    header += struct.pack("<HHIQQQIHHHHHH", 2, 62, 1, base + 120, 64, 0, 0, 64, 56, 1, 0, 0, 0)
    size = 120 + len(code)
    return header + struct.pack("<IIQQQQQQ", 1, 5, 0, base, base, size, size, 0x1000) + code


def _archive_entry(inode, name, mode, data):
    name = name.encode() + b"\0"
    fields = [inode, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(name), 0]
    head = b"070701" + b"".join(b"%08x" % field for field in fields) + name
    return head + b"\0" * (-len(head) % 4) + data + b"\0" * (-len(data) % 4)


def _archive(*files):
    """An archive in cpio's "newc" format of files given by name, mode and content."""
    entries = [_archive_entry(inode, *file) for inode, file in enumerate(files, 1)]
    archive = b"".join(entries) + _archive_entry(0, "TRAILER!!!", 0, b"")
    # Where another follows, the kernel looks for it at a multiple of four.
    return archive + b"\0" * (-len(archive) % 4)


def initrd_that_restarts():
    """An initial RAM disk whose init restarts the machine as its first act."""
    return _archive(("init", 0o100755, _init_that_restarts()))


def initrd_with_script(script, jobs):
    """An initial RAM disk, to follow one with programs: its init is `script`, which reads /jobs."""
    return _archive(("init", 0o100755, script), ("jobs", 0o100644, jobs))
