"""Writes cpio archives in the newc format, as the Linux kernel unpacks them (initramfs)."""
import os
import stat


class Archive:
    """Gathers entries into `out`, a binary file object. Parent folders are made as needed; a path is written once."""

    def __init__(self, out):
        self.out = out
        self.inode = 0
        self.seen = set()

    def _entry(self, path, mode, data=b"", mtime=0, rdev=(0, 0)):
        name = path.strip("/").encode() + b"\0"
        self.inode += 1
        fields = (self.inode, mode, 0, 0, 1, mtime, len(data), 0, 0, rdev[0], rdev[1], len(name), 0)
        head = b"070701" + b"".join(b"%08X" % value for value in fields) + name
        self.out.write(head + b"\0" * (-len(head) % 4))
        self.out.write(data)
        self.out.write(b"\0" * (-len(data) % 4))

    def folder(self, path, mode=0o755):
        path = path.strip("/")
        if not path or path in self.seen:
            return
        self.folder(os.path.dirname(path))
        self.seen.add(path)
        self._entry(path, stat.S_IFDIR | mode)

    def _claim(self, path):
        path = path.strip("/")
        self.folder(os.path.dirname(path))
        if path in self.seen:
            return False
        self.seen.add(path)
        return True

    def file(self, path, data, mode=0o644):
        if self._claim(path):
            self._entry(path, stat.S_IFREG | mode, data)

    def link(self, path, target):
        if self._claim(path):
            self._entry(path, stat.S_IFLNK | 0o777, os.fsencode(target))

    def copy(self, source, path):
        """Copies a file, symbolic link or folder tree; owners become root. Other kinds of file are left out."""
        info = os.lstat(source)
        if stat.S_ISLNK(info.st_mode):
            self.link(path, os.readlink(source))
        elif stat.S_ISDIR(info.st_mode):
            self.folder(path, stat.S_IMODE(info.st_mode))
            for name in sorted(os.listdir(source)):
                self.copy(os.path.join(source, name), os.path.join(path, name))
        elif stat.S_ISREG(info.st_mode):
            with open(source, "rb") as f:
                self.file(path, f.read(), stat.S_IMODE(info.st_mode))

    def end(self):
        self._entry("TRAILER!!!", 0)
        self.out.write(b"\0" * (-self.out.tell() % 512))
