"""After kill -9, damage on disk and a full disk the host is there again with all its functions."""
import json
import os
import shutil
import signal
import subprocess
import tempfile
import time

import pytest

import host as h

HELLO = os.path.join(h.EXAMPLES, "hello")


def version_code(text):
    return h.zip_bytes({"app.py": f"def handler(e, c):\n    return {text!r}\n".encode()})


@pytest.mark.smoke
def test_stokerd_killed(own_host):
    host = own_host("hello", "primes", pool_floor=2)
    host.wait_warm("hello", 2)
    orphans = host.vmms()
    host.kill()
    h.wait_for(lambda: not [p for p in orphans if os.path.exists(f"/proc/{p}/exe")], "VMs to end with their host", 10)
    start = time.monotonic()
    host.start()
    assert host.invoke("hello", {}).json() == {"greeting": "Hello, world!"}
    assert time.monotonic() - start < 20 * h.SLOW
    assert host.invoke("primes", {"n": 10}).json() == {"n": 10, "primes": 4}


def test_another_runtime_image(own_host):
    """A snapshot is not restored over an image that it was not made with: it is made again."""
    images = tempfile.mkdtemp(prefix="images.", dir=h.STATE)
    try:
        for name in os.listdir(h.IMAGES):
            os.symlink(os.path.realpath(os.path.join(h.IMAGES, name)), os.path.join(images, name))
        os.unlink(os.path.join(images, "python3.img"))
        shutil.copy(os.path.join(h.IMAGES, "python3.img"), images)      # with another time
        host = own_host("hello", "primes", pool_floor=0, images=images)
        assert host.invoke("hello", {}).json() == {"greeting": "Hello, world!"}
        assert "hello version 1: the snapshot was made with another" in host.log()
        assert host.invoke("primes", {"n": 10}).json() == {"n": 10, "primes": 4}
        assert "primes version 1:" not in host.log()
        host.stop()
        before = len(host.log())
        host.start()
        assert host.invoke("hello", {}).json() == {"greeting": "Hello, world!"}
        assert "made with another" not in host.log()[before:]
    finally:
        shutil.rmtree(images)


def crc64(data):
    """CRC-64/XZ, as common/base/crc64.h."""
    crc = (1 << 64) - 1
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0xC96C5795D7870F42 if crc & 1 else 0)
    return crc ^ (1 << 64) - 1


def test_another_processor(own_host):
    """A state folder that comes from another machine: what its guests use may not be there. Snapshots are made again."""
    host = own_host("hello", pool_floor=0, queue_timeout=int(h.DEADLINE * 1000))
    host.stop()
    folder = os.path.join(host.version_dir("hello"), "snapshot")
    with open(os.path.join(folder, "manifest.json")) as f:
        manifest = json.load(f)
    here, manifest["host"]["cpu"] = manifest["host"]["cpu"], "Another One"
    data = json.dumps(manifest).encode()
    with open(os.path.join(folder, "manifest.json"), "wb") as f:
        f.write(data)
    with open(os.path.join(folder, "checksums")) as f:
        lines = f.read().splitlines(keepends=True)
    with open(os.path.join(folder, "checksums"), "w") as f:
        f.writelines([f"crc64 {crc64(data):016x} {len(data)} manifest.json\n"] + lines[1:])
    host.start()
    assert host.invoke("hello", {}, timeout=h.DEADLINE * 2).json() == {"greeting": "Hello, world!"}
    assert f"the snapshot was made on another processor (Another One, this is {here})" in host.log()
    with open(os.path.join(folder, "manifest.json")) as f:
        assert json.load(f)["host"]["cpu"] == here


def test_killed_while_deploying(own_host):
    host = own_host("echo", pool_floor=0)
    deploy = subprocess.Popen([h.program("stoker"), "--host", f"http://127.0.0.1:{host.port}", "deploy", "g", HELLO,
                               "--runtime", "python3", "--handler", "app.handler"],
                              stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    tool = h.wait_for(lambda: h.processes("stoker-snapshot", host.pid), "the snapshot to be under way")[0]
    monitor = h.wait_for(lambda: h.processes("stoker-vmm", tool), "its VM")[0]
    host.kill()
    deploy.wait(30)
    h.wait_for(lambda: not any(os.path.exists(f"/proc/{pid}/exe") for pid in (tool, monitor)),
               "what the deploy had started to end", 20)
    host.start()
    assert host.invoke("echo", {"a": 1}).json() == {"a": 1}
    left = [name for name in os.listdir(os.path.join(host.state, "tmp"))]
    assert left == [], left
    names = {f["name"] for f in host.request("GET", "/v1/functions").json()["functions"]}
    assert names == {"echo"}


def flip(path, where):
    shutil.copy(path, path + ".copy")  # the file may be a link: see copy_state
    os.rename(path + ".copy", path)
    size = os.path.getsize(path)
    with open(path, "r+b") as f:
        if where == "data":  # a byte that is there, not a hole
            offset = os.lseek(f.fileno(), size // 2, os.SEEK_DATA)
        else:
            offset = int(size * where)
        f.seek(offset)
        byte = f.read(1)
        f.seek(offset)
        f.write(bytes([byte[0] ^ 0x10]))


@pytest.mark.parametrize("name, where", [("memory", "data"), ("state", 0.0), ("state", 0.5), ("manifest.json", 0.3)])
def test_flipped_byte(own_host, name, where):
    host = own_host("hello", pool_floor=0, queue_timeout=int(h.DEADLINE * 1000))
    host.stop()
    path = os.path.join(host.version_dir("hello"), "snapshot", name)
    flip(path, where)
    before = os.stat(path).st_ino
    host.start()
    answer = host.invoke("hello", {"name": "again"}, timeout=h.DEADLINE * 2)
    assert answer.json() == {"greeting": "Hello, again!"}
    h.wait_for(lambda: os.path.exists(path) and os.stat(path).st_ino != before, "a snapshot made anew")
    assert host.invoke("hello", {}, start="cold-restore").status == 200
    assert "snapshot" in host.log()


def test_missing_snapshot(own_host):
    host = own_host("hello", pool_floor=0, queue_timeout=int(h.DEADLINE * 1000))
    host.stop()
    folder = os.path.join(host.version_dir("hello"), "snapshot")
    for name in os.listdir(folder):
        os.unlink(os.path.join(folder, name))
    os.rmdir(folder)
    host.start()
    assert host.invoke("hello", {}, timeout=h.DEADLINE * 2).status == 200
    h.wait_for(lambda: os.path.exists(os.path.join(folder, "manifest.json")), "a snapshot made anew")


@pytest.mark.skipif(os.geteuid() != 0, reason="mounts a small file system: needs root")
def test_full_disk_while_deploying(own_host, tmp_path):
    """The old version goes on, the error says why, and nothing of the failed deploy stays."""
    disk = tmp_path / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=80m", "small", disk], check=True)
    try:
        host = h.Host(str(disk / "state"), pool_floor=0)
        host.log_path = str(tmp_path / "log")
        host.start()
        try:
            assert host.put("f", version_code("old"), runtime="python3", handler="app.handler").status == 201
            # fill the disk up to a little less than a snapshot needs
            free = os.statvfs(disk).f_bavail * os.statvfs(disk).f_frsize
            with open(disk / "filler", "wb") as f:
                os.posix_fallocate(f.fileno(), 0, max(0, free - (2 << 20)))
            answer = host.put("f", version_code("new"), runtime="python3", handler="app.handler")
            assert answer.status in (500, 503, 507), answer
            assert "space" in answer.body.decode().lower()
            assert host.invoke("f", {}).json() == "old"
            os.unlink(disk / "filler")
            h.wait_for(lambda: os.listdir(disk / "state" / "tmp") == [], "the failed deploy's files to go")
            assert host.put("f", version_code("new"), runtime="python3", handler="app.handler").status == 200
            assert host.invoke("f", {}).json() == "new"
        finally:
            host.stop(expect=None)
    finally:
        subprocess.run(["umount", "-l", disk], check=True)


def test_clean_stop(own_host):
    """SIGTERM: the call under way is answered, then nothing is left."""
    import threading
    host = own_host("probe")
    host.wait_warm("probe")
    answers = []
    call = threading.Thread(target=lambda: answers.append(host.invoke("probe", {"do": "sleep", "seconds": 1.5})))
    call.start()
    h.wait_for(lambda: host.pool("probe")["busy"] == 1, "the call to be under way")
    vmms = host.vmms()
    process = host.process
    process.send_signal(signal.SIGTERM)
    call.join(h.DEADLINE)
    assert answers and answers[0].json() == {"slept": 1.5}
    assert process.wait(30 * h.SLOW) == 0
    h.wait_for(lambda: not [p for p in vmms if os.path.exists(f"/proc/{p}/exe")], "all VMs to end", 10)
