"""stoker-snapshot by hand."""
import json
import os
import subprocess

import pytest

import host as h


def tool(*arguments):
    return subprocess.run([h.program("stoker-snapshot"), *arguments], capture_output=True, text=True,
                          stdin=subprocess.DEVNULL, timeout=h.DEADLINE * 2)


def create(out, code, *arguments):
    return tool("create", "--out", str(out), "--vmm", h.program("stoker-vmm"), "--kernel",
                os.path.join(h.IMAGES, "vmlinux"), "--initrd", h.program("stoker-initrd.cpio"), "--rootfs",
                os.path.join(h.IMAGES, "python3.img"), "--code", str(code), "--scratch",
                os.path.join(h.IMAGES, "scratch.img"), "--memory", "128", "--handler", "app.handler", "--name", "f",
                "--version", "1", *arguments)


@pytest.fixture(scope="module")
def code(tmp_path_factory):
    """Code images made from one Python file each."""
    def make(text):
        folder = tmp_path_factory.mktemp("code")
        (folder / "root").mkdir()
        (folder / "root/app.py").write_text(text)
        (folder / "root/app.py").chmod(0o644)
        (folder / "root").chmod(0o755)
        image = folder / "code.img"
        subprocess.run(["mkfs.erofs", "--quiet", "--all-root", "-x-1", image, folder / "root"], check=True,
                       stdout=subprocess.DEVNULL)
        return image
    return make


def test_create_info_verify(code, tmp_path):
    out = tmp_path / "snapshot"
    done = create(out, code("def handler(e, c):\n    return 1\n"), "--env", "SECRET=not in the manifest")
    assert done.returncode == 0, done.stderr
    assert {"manifest.json", "state", "memory", "working-set", "checksums"} <= set(os.listdir(out))
    assert os.stat(out / "memory").st_blocks * 512 < 60 << 20
    # With the memory goes the environment: it is the owner's alone.
    assert {f"{os.stat(out / name).st_mode & 0o7777:o}" for name in os.listdir(out)} == {"600"}
    assert f"{os.stat(out).st_mode & 0o7777:o}" == "700"
    pages = (out / "working-set").read_bytes()
    assert pages[:8] == b"STKWSET2"
    count = int.from_bytes(pages[8:12], "little")
    written = sum(int.from_bytes(pages[20 + 8 * i:24 + 8 * i], "little") for i in range(count))
    assert 50 < written < 4000, written         # of 38,912
    info = tool("info", str(out), "--json")
    assert info.returncode == 0
    assert json.loads(info.stdout)
    assert "SECRET" not in (out / "manifest.json").read_text()
    assert tool("info", str(out)).stdout.strip()
    assert tool("verify", str(out)).returncode == 0
    assert create(out, code("def handler(e, c): pass\n")).returncode != 0  # never over an existing one
    for name in ("memory", "state", "manifest.json"):
        path = out / name
        with open(path, "r+b") as f:
            f.seek(os.lseek(f.fileno(), path.stat().st_size // 20, os.SEEK_DATA))
            where = f.tell()
            byte = f.read(1)
            f.seek(where)
            f.write(bytes([byte[0] ^ 1]))
        assert tool("verify", str(out)).returncode == 4, name
        with open(path, "r+b") as f:
            f.seek(where)
            f.write(byte)
        assert tool("verify", str(out)).returncode == 0


def test_init_failure(code, tmp_path):
    out = tmp_path / "snapshot"
    done = create(out, code("raise ValueError('no such luck')\n"))
    assert done.returncode == 3
    error = json.loads(done.stdout)
    assert error["errorType"] and "no such luck" in error["errorMessage"]
    assert os.listdir(tmp_path) == []  # nothing half-made stays
    done = create(out, code("import time\ntime.sleep(100)\n"), "--init-timeout", "3000")
    assert done.returncode == 3
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("arguments, status", [
    ([], 2), (["dance"], 2), (["create"], 2), (["info", "/no/such/folder"], 1), (["verify", "/no/such/folder"], (1, 4))])
def test_usage(arguments, status):
    done = tool(*arguments)
    assert done.returncode in (status if isinstance(status, tuple) else (status,))
    assert done.stderr
