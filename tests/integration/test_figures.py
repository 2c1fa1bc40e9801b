"""Promised sizes, and stoker-bench on a real host."""
import concurrent.futures
import json
import os
import subprocess

import pytest

import host as h

pytestmark = pytest.mark.figures


def smaps(pid):
    """KiB of a VM: private in all, private outside guest memory, PSS and resident of guest memory, huge pages of it."""
    totals = {"private": 0, "monitor": 0, "guest_pss": 0, "guest_rss": 0, "guest_huge": 0, "pss": 0}
    guest, ram_end = False, None
    with open(f"/proc/{pid}/smaps") as f:
        for line in f:
            words = line.split()
            if "-" in words[0] and not words[0].endswith(":"):
                start, end = words[0].split("-")
                guest = words[-1].endswith("/memory")
                if guest or start == ram_end:
                    guest |= len(words) == 5  # memory that was free in the snapshot has no file
                    ram_end = end
            elif words[0] in ("Private_Clean:", "Private_Dirty:"):
                totals["private"] += int(words[1])
                if not guest:
                    totals["monitor"] += int(words[1])
            elif words[0] == "Pss:":
                totals["pss"] += int(words[1])
                totals["guest_pss"] += int(words[1]) if guest else 0
            elif words[0] == "AnonHugePages:":
                totals["guest_huge"] += int(words[1]) if guest else 0
            elif words[0] == "Rss:" and guest:
                totals["guest_rss"] += int(words[1])
    return totals


@pytest.mark.skipif(h.SLOW != 1, reason="sanitized programs are larger")
@pytest.mark.parametrize("name, limit_mib", [("primes", 6), ("hello", 12)])
def test_memory_of_an_idle_vm(own_host, name, limit_mib):
    host = own_host(name, pool_floor=3)
    host.wait_warm(name, 3)
    for figures in map(smaps, host.vmms()):
        assert figures["monitor"] <= 2048, figures
        assert figures["private"] <= limit_mib * 1024, figures


@pytest.mark.skipif(h.SLOW != 1, reason="sanitized programs are larger")
def test_clones_share_what_they_read(own_host):
    """50 clones: a page of the snapshot that all of them have only read is in memory once."""
    host = own_host("primes", pool_floor=50, pool_ceiling=60, memory_budget=4000)
    host.wait_warm("primes", 50)
    figures = [smaps(pid) for pid in host.vmms()]
    assert len(figures) >= 50
    mean = {key: sum(f[key] for f in figures) / len(figures) for key in figures[0]}
    print(f"50 clones, mean KiB: {mean}")
    shared = mean["guest_rss"] - (mean["private"] - mean["monitor"])
    assert shared > 0
    # what is shared costs a clone next to nothing
    assert mean["guest_pss"] - (mean["private"] - mean["monitor"]) < shared * 0.1


@pytest.mark.skipif(h.SLOW != 1, reason="sanitized programs are larger")
def test_memory_that_calls_take(own_host):
    """Once it is known that they do, it comes in huge pages. It is the guest's: the monitor stays as small as it is."""
    host = own_host("probe", pool_floor=1)
    host.invoke_until_learned("probe", {"do": "hold", "mib": 24, "seconds": 0}, 24)
    with concurrent.futures.ThreadPoolExecutor() as pool:
        call = pool.submit(host.invoke, "probe", {"do": "hold", "mib": 24, "seconds": 5}, start="cold-restore")
        found = h.wait_for(lambda: [f for f in map(smaps, host.vmms()) if f["private"] > 26 * 1024], "a VM with 24 MiB")
        assert call.result().json() == 24
    print(found)
    assert found[0]["guest_huge"] > 8 * 1024
    assert found[0]["monitor"] <= 2048


def test_bench(host, tmp_path):
    def bench(*arguments):
        return subprocess.run([h.program("stoker-bench"), "--url", f"http://127.0.0.1:{host.port}", *arguments],
                              capture_output=True, text=True, timeout=h.DEADLINE * 2)
    a, b = tmp_path / "a.json", tmp_path / "b.json"
    done = bench("--scenario", "cold-boot,cold-restore,warm", "-n", "3", "--think", "500", "--memory", "--json",
                 str(a), "hello")
    assert done.returncode == 0, done.stdout + done.stderr
    print(done.stdout)
    result = json.loads(a.read_text())
    medians = {name: s["latency"]["p50_ms"] for name, s in result["scenarios"].items()}
    assert medians["cold-boot"] > medians["cold-restore"] > medians["warm"]
    for scenario in result["scenarios"].values():
        assert (scenario["ok"], scenario["failed"]) == (3, 0)
        assert {"start", "function", "total"} <= set(scenario["stages"])
    assert result["memory"]["vms"] >= 1

    done = bench("--rate", "2", "-n", "6", "--json", str(b), "hello")
    assert done.returncode == 0, done.stdout + done.stderr
    done = bench("--compare", str(a), str(a))
    assert done.returncode == 0
    assert "B/A 1.000" in done.stdout and "no difference shown" in done.stdout
    assert bench("--compare", str(a), str(b)).returncode != 0  # no scenario in common
    assert bench("-n", "1", "no-such-function").returncode == 3


def test_bench_proves_that_no_vm_serves_twice(host, tmp_path):
    def bench(*arguments):
        return subprocess.run([h.program("stoker-bench"), "--url", f"http://127.0.0.1:{host.port}", "--prove-fresh",
                               "--warmup", "0", *arguments], capture_output=True, text=True, timeout=h.DEADLINE * 2)
    result, page = tmp_path / "result.json", tmp_path / "page.html"
    done = bench("--arrivals", "burst:3@4", "-n", "6", "--event", '{"do": "unique"}', "--json", str(result), "--html",
                 str(page), "probe")
    assert done.returncode == 0, done.stdout + done.stderr
    figures = json.loads(result.read_text())
    assert figures["boot_ids"] == {"different": 6, "repeated": 0}
    scenario = figures["scenarios"]["any"]
    assert scenario["lag"]["count"] == 6
    assert sum(c["count"] for c in scenario["classes"].values()) == 6
    assert set(scenario["classes"]) <= {"warm", "shell", "cold-restore"}
    assert page.read_text().count("<svg") == 3
    # a function that always answers the same is found out
    same = '{"do": "echo", "value": {"boot_id": "5a4e1f0c-0000-4b6c-9d6e-2f1f9a3b7c11"}}'
    done = bench("-n", "2", "--event", same, "probe")
    assert done.returncode == 3
    assert "boot_id seen before" in done.stdout and "1 repeated" in done.stdout
