"""The size of /tmp: a function has what it asks for and no more, each call finds it empty."""
import os

import pytest

import host as h

CODE = """
import errno, mmap, os

def at(i):
    return b"block %06d" % i

def write(mib, step):
    \"\"\"Every step-th MiB of a file; what came of it.\"\"\"
    block, done = bytearray(b"x" * (1 << 20)), 0
    fd = os.open("/tmp/file", os.O_RDWR | os.O_CREAT)
    try:
        os.posix_fallocate(fd, 0, mib << 20)
        for i in range(0, mib, step):
            block[:12] = at(i)
            os.pwrite(fd, block, i << 20)
            done += 1
        os.fsync(fd)
        os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
        wrong = [i for i in range(0, mib, step) if os.pread(fd, 12, i << 20) != at(i)]
        return {"blocks": done, "wrong": wrong, "errno": None}
    except OSError as e:
        return {"blocks": done, "wrong": [], "errno": e.errno}
    finally:
        os.close(fd)

def handler(event, context):
    stat = os.statvfs("/tmp")
    found = {"mib": stat.f_blocks * stat.f_frsize >> 20, "free": stat.f_bavail * stat.f_frsize >> 20,
             "files": sorted(os.listdir("/tmp"))}
    if event.get("mib"):
        found.update(write(event["mib"], event.get("step", 1)))
    return found
"""
ENOSPC = 28
LARGE = 2048
STEP = 50  # samples of what is allocated: an emulated machine takes minutes to write all of it


@pytest.fixture
def code(tmp_path):
    path = tmp_path / "code"
    path.mkdir()
    (path / "app.py").write_text(CODE)
    return str(path)


def deploy(host, name, code, storage, *arguments):
    host.deploy(name, code, "--ephemeral-storage", str(storage), "--timeout", str(int(h.DEADLINE)), *arguments)


def check_large(found):
    assert found["files"] == [], found
    assert LARGE * 0.95 < found["mib"] <= LARGE and found["free"] > LARGE * 0.95, found


def test_large_storage(own_host, code):
    host = own_host(memory_budget=1800)
    deploy(host, "store", code, LARGE)
    for start in ("cold-restore", "shell", "warm", "cold-boot"):
        host.wait_warm("store")  # there is no room for another: it is given up for a request that insists on one
        answer = host.invoke("store", {"mib": 1536, "step": STEP}, start=start, timeout=h.DEADLINE)
        assert answer.status == 200, answer
        check_large(answer.json())
        assert (answer.json()["errno"], answer.json()["wrong"]) == (None, []), answer
    assert host.invoke("store", {"mib": LARGE}, timeout=h.DEADLINE).json()["errno"] == ENOSPC
    check_large(host.invoke("store", {}).json())
    memory = os.stat(os.path.join(host.version_dir("store"), "snapshot", "memory"))
    assert memory.st_size > LARGE << 20 and memory.st_blocks * 512 < 100 << 20, memory

    host.configure("store", EphemeralStorage={"Size": 512})
    found = host.invoke("store", {"mib": 600, "step": STEP}).json()
    assert found["mib"] < 512 and found["errno"] == ENOSPC, found
    host.cli("delete", "store")
    h.wait_for(lambda: not os.path.exists(os.path.join(host.state, "functions", "store")) or
               not os.listdir(os.path.join(host.state, "functions", "store")), "the files to be gone")


def test_reset_and_rebuild(own_host, code):
    host = own_host(memory_budget=1800)
    deploy(host, "store", code, LARGE, "--reuse", "reset")
    for _ in range(5):
        h.wait_for(lambda: host.pool("store")["resetting"] == 0 and host.warm("store") >= 1, "a warm VM")
        answer = host.invoke("store", {"mib": 1536, "step": STEP}, timeout=h.DEADLINE)
        check_large(answer.json())
        assert answer.json()["errno"] is None and answer.json()["wrong"] == [], answer
    assert host.metrics_total("stoker_vm_resets_total") > 0
    host.stop()
    os.unlink(os.path.join(host.version_dir("store"), "snapshot", "memory"))
    host.start()
    check_large(host.invoke("store", {}, timeout=h.DEADLINE * 2).json())


def test_storage_of_a_host(own_host, code):
    """What would not fit into the host's memory is refused; the largest works."""
    host = own_host(memory_budget=1000)
    done = host.cli("deploy", "store", code, "--runtime", "python3", "--handler", "app.handler", "--ephemeral-storage",
                    "10240", check=False)
    assert done.returncode != 0 and "ephemeral-storage" in done.stderr, done
    host.stop()
    other = own_host(memory_budget=16000)
    deploy(other, "store", code, 10240)
    found = other.invoke("store", {"mib": 9900, "step": 2000}, timeout=h.DEADLINE).json()
    assert found["mib"] > 10240 * 0.95 and found["files"] == [] and found["errno"] is None and found["wrong"] == [], found
