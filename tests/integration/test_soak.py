"""A mixed load, each call answered correctly, and nothing left of it afterwards."""
import collections
import concurrent.futures
import json
import os
import random
import socket
import time

import pytest

import host as h

COUNT = int(os.environ.get("STOKER_SOAK", "500" if h.SLOW == 1 else "100"))
CONCURRENCY = 16


def snapshot_of(host):
    """What may not grow: processes, descriptors, sockets, mounts, files of the state folder."""
    files = []
    for folder, _, names in os.walk(host.state):
        files += [os.path.relpath(os.path.join(folder, n), host.state) for n in names]
    targets = collections.Counter()
    for fd in os.listdir(f"/proc/{host.pid}/fd"):
        try:
            target = os.readlink(f"/proc/{host.pid}/fd/{fd}")
        except OSError:
            continue
        targets[target.split(":")[0] if ":[" in target else target] += 1
    with open("/proc/mounts") as f:
        mounts = len(f.readlines())
    return {"vmms": len(host.vmms()), "helpers": len(h.processes("stoker-snapshot", host.pid)),
            "fds": targets, "mounts": mounts,
            "files": sorted(f for f in files if not f.startswith("logs/") and not f.startswith("stoker.db"))}


def rss_kib(pid):
    with open(f"/proc/{pid}/status") as f:
        return int(next(line for line in f if line.startswith("VmRSS")).split()[1])


def settle(host, names, count):
    """Idle: pools filled up to what they keep, no VM more than the pools know of."""
    def idle():
        pools = [host.pool(name) for name in names]
        return all(p["busy"] == 0 and p.get("starting", 0) == 0 and p.get("dying", 0) == 0 and p["warm"] >= 1
                   for p in pools) and len(host.vmms()) == sum(p["warm"] for p in pools)
    h.wait_for(idle, f"the pools to be idle and whole; {[host.pool(n) for n in names]}")


def disconnecting(host, name, body):
    with socket.create_connection(("127.0.0.1", host.port)) as s:
        s.sendall(b"POST /v1/functions/%s/invoke HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n"
                  % (name.encode(), len(body)) + body)
        time.sleep(0.05)


@pytest.mark.soak
@pytest.mark.smoke
def test_soak(own_host):
    # Those that run into their time limit have one of their own: an emulated machine may be slow for the others.
    names = ("probe", h.SHORT, "primes")
    host = own_host(*names, pool_floor=1, pool_ceiling=6, queue=200, queue_timeout=120000)
    # To use up 128 MiB beside fifteen others takes half a minute there.
    host.configure("probe", Timeout=600)
    for name in names[:2]:
        host.invoke_until_learned(name, {"do": "count"}, {"memory": 1, "disk": 1})
    host.invoke_until_learned("primes", {"n": 10}, {"n": 10, "primes": 4})
    settle(host, names, 1)
    before = snapshot_of(host)
    rss_before = rss_kib(host.pid)

    rng = random.Random(4711)
    kinds = ["loop"] * 50 + ["exit"] * 17 + ["signal"] * 17 + ["raise"] * 16 + ["oom"] * 20 + \
        ["disconnect"] * 20 + ["count"] * 430 + ["primes"] * 430
    plan = [rng.choice(kinds) for _ in range(COUNT)]
    late = []

    def one(kind):
        if kind == "disconnect":
            disconnecting(host, "probe", b'{"do": "sleep", "seconds": 0.5}')
            return kind, None
        while True:
            if kind == "primes":
                answer = host.invoke("primes", {"n": 1000}, timeout=300 * h.SLOW)
            else:
                name = h.SHORT if kind == "loop" else "probe"
                answer = host.invoke(name, {"do": kind, "status": 2}, timeout=300 * h.SLOW)
            if answer.status != 429:
                return kind, answer
            time.sleep(int(answer.headers["Retry-After"]))

    wrong = []
    with concurrent.futures.ThreadPoolExecutor(CONCURRENCY) as pool:
        for kind, answer in pool.map(one, plan):
            if kind == "disconnect":
                continue
            body = answer.json()
            if kind == "loop":
                good = answer.status == 504 and f"timed out after {h.SHORT_S}.00" in json.dumps(body)
                took = dict(part.strip().split(";dur=") for part in answer.headers["Server-Timing"].split(","))
                late.append(float(took["function"]) - 1000 * h.SHORT_S)
            elif kind == "primes":
                good = answer.status == 200 and body == {"n": 1000, "primes": 168}
            elif kind == "count":
                good = answer.status == 200 and body == {"memory": 1, "disk": 1}
            elif kind == "raise":
                good = answer.status == 502 and body["errorType"] == "ValueError"
            elif kind == "oom":
                good = answer.status == 502 and "memory" in json.dumps(body).lower()
            else:
                good = answer.status == 502 and body["errorType"].startswith("Runtime.")
            if not good:
                wrong.append((kind, answer.status, body))
    print(f"timeouts late by (ms): {sorted(round(x) for x in late)}")
    assert not wrong, (len(wrong), wrong[:10])
    assert not late or sorted(late)[len(late) // 2] < 100 * h.SLOW, late

    settle(host, names, 1)
    h.wait_for(lambda: snapshot_of(host)["files"] == before["files"],
               f"the state folder to be as before; {set(snapshot_of(host)['files']) ^ set(before['files'])}", 20)

    def whole():
        # Pools may still shrink while this looks.
        now = snapshot_of(host)
        return now if now["vmms"] == sum(host.pool(n)["warm"] for n in names) and now["helpers"] == 0 else None
    after = h.wait_for(whole, "no process more than the pools know of", 20)
    assert after["mounts"] == before["mounts"]

    def growth():
        # Each warm VM has a few descriptors: compared with as many VMs as before. A start under way has one more.
        now = snapshot_of(host)
        return {k: (before["fds"][k], n) for k, n in now["fds"].items()
                if n - before["fds"][k] > 4 * max(0, now["vmms"] - before["vmms"])}
    h.wait_for(lambda: not growth(), f"descriptors as before; {growth()}", 20)
    if h.SLOW == 1:
        assert rss_kib(host.pid) < rss_before + 8192, (rss_before, rss_kib(host.pid))
    assert host.request("GET", "/healthz").status == 200
