"""events-client.py PORT EVENTS KILLS SHARE: the client of events.sh. Sends events until each is accepted, has the host killed
when the next share of the results is there, waits for all results and judges them."""
import collections
import http.client
import json
import os
import sys
import threading
import time

PORT, EVENTS, KILLS, SHARE = int(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
RESULTS_TO = "http://127.0.0.1:9099/r"
CLIENTS = 8
QUIET_S = 180  # without any result: something is lost

lock = threading.Lock()
accepted = {}  # call id: (number, kills before it)
came = collections.defaultdict(list)  # call id: kills before each of its results
values = {}
kills = 0
refused = 0  # connections that broke, and answers other than 202


def path(name):
    return os.path.join(SHARE, name)


def send():
    """One thread: a number at a time, again until its acceptance has arrived."""
    global refused
    connection = None
    while True:
        with lock:
            number = next(numbers, None)
            before = kills
        if number is None:
            return
        while True:
            try:
                connection = connection or http.client.HTTPConnection("127.0.0.1", PORT, timeout=30)
                connection.request("POST", "/async-function/echo", str(number),
                                   {"Content-Type": "application/json", "X-Callback-Url": RESULTS_TO})
                answer = connection.getresponse()
                answer.read()
                if answer.status == 202:
                    with lock:
                        accepted[answer.headers["X-Call-Id"]] = (number, before)
                    break
            except (OSError, http.client.HTTPException):
                connection.close()
                connection = None
            with lock:
                refused += 1
            time.sleep(0.1)


def read_results(file, rest):
    lines = (rest + file.read()).split(b"\n")
    for line in lines[:-1]:
        call, _, body = line.partition(b" ")
        came[call.decode()].append(kills)
        values[call.decode()] = json.loads(body)["body"]
    return lines[-1]


def main():
    global kills
    while not os.path.exists(path("ready")):
        time.sleep(0.2)
    start = last = time.monotonic()
    threads = [threading.Thread(target=send, daemon=True) for _ in range(CLIENTS)]
    for thread in threads:
        thread.start()
    rest, count = b"", 0
    with open(path("results"), "rb") as file:
        while any(t.is_alive() for t in threads) or set(accepted) - set(came):
            with lock:
                rest = read_results(file, rest)
            now = sum(map(len, came.values()))
            last, count = (time.monotonic(), now) if now != count else (last, count)
            if time.monotonic() - last > QUIET_S:
                print(f"no result for {QUIET_S} s")
                break
            if kills < KILLS and count >= EVENTS // (KILLS + 1) * (kills + 1) and not os.path.exists(path("kill")):
                with lock:
                    kills += 1
                open(path("kill"), "w").close()
                print(f"kill {kills}: {len(accepted)} accepted, {count} results, {time.monotonic() - start:.0f} s", flush=True)
            time.sleep(0.2)
        time.sleep(2)
        rest = read_results(file, rest)
    took = time.monotonic() - start
    lost = [call for call in accepted if call not in came]
    wrong = [call for call in came if call in accepted and values[call] != str(accepted[call][0])]
    twice = [call for call, when in came.items() if len(when) > 1]
    unexplained = [call for call in twice if call in accepted and came[call][-1] == accepted[call][1]]
    unknown = [call for call in came if call not in accepted]
    print(f"{EVENTS} events accepted, {kills} kills, {sum(map(len, came.values()))} results in {took:.0f} s: {len(lost)} lost, "
          f"{len(wrong)} wrong, {len(twice)} came more than once, {len(unexplained)} of them without a kill")
    print(f"sent again: {refused} times; results of calls whose acceptance was lost in a kill: {len(unknown)}")
    return bool(lost or wrong or unexplained or kills < KILLS or len(unknown) > kills * CLIENTS)


numbers = iter(range(EVENTS))
try:
    bad = main()
finally:
    open(path("end"), "w").close()
sys.exit(bad)
