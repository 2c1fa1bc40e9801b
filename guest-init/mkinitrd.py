#!/usr/bin/python3
"""Writes the initial RAM disk: a "newc" cpio archive with /init and /dev/console.

usage: mkinitrd.py INIT OUT.cpio      (no root needed; equal input gives equal output)
"""
import stat
import sys


def entry(number, name, mode, data=b"", rdev=(0, 0)):
    name = name.encode() + b"\0"
    fields = (number, mode, 0, 0, 1, 0, len(data), 0, 0, rdev[0], rdev[1], len(name), 0)
    head = b"070701" + b"".join(b"%08X" % f for f in fields) + name
    return head + bytes(-len(head) % 4) + data + bytes(-len(data) % 4)


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    with open(sys.argv[1], "rb") as f:
        init = f.read()
    members = [
        ("dev", stat.S_IFDIR | 0o755, b"", (0, 0)),
        ("dev/console", stat.S_IFCHR | 0o600, b"", (5, 1)),
        ("newroot", stat.S_IFDIR | 0o755, b"", (0, 0)),
        ("init", stat.S_IFREG | 0o755, init, (0, 0)),
        ("TRAILER!!!", 0, b"", (0, 0)),
    ]
    with open(sys.argv[2], "wb") as f:
        for i, (name, mode, data, rdev) in enumerate(members):
            f.write(entry(i + 1, name, mode, data, rdev))
        f.write(bytes(-f.tell() % 512))


main()
