"""The first invocations of a function tell which memory it uses; what is learned stays a hint."""
import os

import pytest

import host as h


def huge_kib(pid):
    """KiB of shared memory that a process has mapped by huge pages."""
    with open(f"/proc/{pid}/smaps") as f:
        return sum(int(line.split()[1]) for line in f if line.startswith("ShmemPmdMapped:"))


def recording(host):
    """VMs that record: their memory is a copy of the snapshot's."""
    found = []
    for pid in host.vmms():
        try:
            with open(f"/proc/{pid}/maps") as f:
                if "/memfd:memory " in f.read():
                    found.append(pid)
        except OSError:
            pass
    return found


def call_until_recording(host, event, status, other_than=None):
    """What replaces a VM is started as it is taken: so it may be the next but one that records again."""
    def there():
        h.wait_for(lambda: host.pool("probe")["warm"] == 1 and host.pool("probe")["busy"] == 0, "a VM that waits")
        found = [pid for pid in recording(host) if pid != other_than]
        if not found:
            assert host.invoke("probe", event).status == status
        return found[0] if found else None
    return h.wait_for(there, "a VM that records")


def test_learned_from_the_first_invocations(own_host):
    host = own_host("hello", "probe", pool_floor=2)
    greeting = {"greeting": "Hello, world!"}
    host.invoke_until_learned("hello", {}, greeting)
    host.invoke_until_learned("probe", {"do": "count"}, host.invoke("probe", {"do": "count"}).json())
    # What has it waits, is taken and is as fresh as any other.
    for _ in range(3):
        host.wait_warm("hello", 2)
        host.wait_warm("probe", 2)
        assert host.invoke("hello", {}, start="warm").json() == greeting
        assert host.invoke("probe", {"do": "count"}).json() == host.invoke("probe", {"do": "count"}).json()
    assert not [line for line in host.log().splitlines() if " warn" in line], host.log()

    # The code of the guest's kernel, of its init and of the runtime lies in huge pages that VMs share. Those that were
    # started before there were any have none.
    def shared():
        host.wait_warm("hello", 2)
        host.wait_warm("probe", 2)
        huge = [huge_kib(pid) for pid in host.vmms()]
        with open("/proc/meminfo") as f:
            there = next(int(line.split()[1]) for line in f if line.startswith("ShmemHugePages:"))
        if max(huge) >= 2048 and sum(huge) > there:
            return True
        host.invoke("hello", {})
        host.invoke("probe", {"do": "count"})
        return False
    h.wait_for(shared, "huge pages that VMs share")


def test_damaged_set_is_learned_again(own_host):
    host = own_host("primes")
    event, answer = {"n": 10}, {"n": 10, "primes": 4}
    host.invoke_until_learned("primes", event, answer)
    path = host.learned_set("primes")
    host.stop()
    with open(path, "r+b") as f:
        f.seek(20)
        f.write(b"\xff\xff\xff\xff")
    before = len(host.log())
    host.start()
    assert host.invoke("primes", event).json() == answer
    assert "working set: differs from its checksum; it is learned again" in host.log()[before:]
    assert "making it again" not in host.log()[before:]         # the snapshot itself is good
    with open(path, "rb") as f:
        damaged = f.read()

    def learned():
        assert host.invoke("primes", event).json() == answer
        with open(path, "rb") as f:
            return f.read() != damaged
    h.wait_for(learned, "it to be learned again")


def test_recorded_vm_that_fails(own_host):
    """A crash in a clone that records, and the death of one that waits: the next one records, nothing is left over."""
    host = own_host("probe", pool_floor=1, pool_ceiling=1)
    host.wait_warm("probe")
    assert recording(host) == []            # nothing was ever called
    crash = {"do": "exit", "value": 3}
    first = call_until_recording(host, crash, 502)
    assert host.invoke("probe", crash).status == 502
    second = call_until_recording(host, crash, 502, first)
    os.kill(second, 9)
    h.wait_for(lambda: second not in host.vmms(), "its end to be seen")
    call_until_recording(host, crash, 502, second)
    answer = host.invoke("probe", {"do": "count"})
    assert answer.status == 200, answer
    host.invoke_until_learned("probe", {"do": "count"}, answer.json())
    host.wait_warm("probe")
    fds = len(os.listdir(f"/proc/{host.pid}/fd"))
    for _ in range(5):
        host.wait_warm("probe")
        host.invoke("probe", {"do": "count"})
    host.wait_warm("probe")
    h.wait_for(lambda: len(os.listdir(f"/proc/{host.pid}/fd")) <= fds, "descriptors to be closed")
