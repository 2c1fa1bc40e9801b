"""Test function: does what the event asks for, {"do": NAME, ...}; see ACTIONS below."""
import base64
import os
import random
import signal
import sys
import threading
import time
import uuid

counter = 0


def read(path):
    with open(path) as f:
        return f.read().strip()


def echo(event, context):
    return event.get("value")


def count(event, context):
    """State of memory and of /tmp: both 1 in a pristine machine."""
    global counter
    counter += 1
    with open("/tmp/probe-count", "a+") as f:
        f.write("x")
        f.seek(0)
        return {"memory": counter, "disk": len(f.read())}


def unique(event, context):
    return {"urandom": os.urandom(16).hex(), "uuid4": str(uuid.uuid4()), "random": random.random(),
            "boot_id": read("/proc/sys/kernel/random/boot_id"), "hostname": os.uname().nodename,
            "time": time.time(), "monotonic": time.monotonic()}


def environment(event, context):
    return {"env": dict(os.environ), "cwd": os.getcwd(), "uid": os.getuid(), "gid": os.getgid(),
            "groups": os.getgroups(), "path": sys.path,
            "context": {name: getattr(context, name) for name in
                        ("aws_request_id", "function_name", "function_version", "memory_limit_in_mb",
                         "invoked_function_arn", "log_stream_name")},
            "remaining_ms": context.get_remaining_time_in_millis()}


def machine(event, context):
    """Facts about the guest as the function sees it."""
    def denied(path):
        try:
            open(path, "rb").close()
            return False
        except OSError:
            return True
    status = dict(line.split(":", 1) for line in read("/proc/self/status").splitlines())
    meminfo = dict(line.split(":", 1) for line in read("/proc/meminfo").splitlines())
    return {"denied": {p: denied(p) for p in ("/dev/vda", "/dev/vdc", "/dev/mem", "/proc/1/mem")},
            "no_new_privs": status["NoNewPrivs"].strip(), "cap_eff": status["CapEff"].strip(),
            "processes": [read(f"/proc/{pid}/comm") for pid in os.listdir("/proc") if pid.isdigit()],
            "mounts": read("/proc/mounts").splitlines(), "uptime": read("/proc/uptime"),
            "meminfo": {k: v.strip() for k, v in meminfo.items()}}


def sleep(event, context):
    time.sleep(event.get("seconds", 1))
    return {"slept": event.get("seconds", 1)}


def loop(event, context):
    while True:
        pass


def exit_(event, context):
    sys.stdout.flush()
    os._exit(event.get("status", 1))


def sysexit(event, context):
    sys.exit(event.get("status", 1))


def kill(event, context):
    os.kill(os.getpid(), getattr(signal, event.get("signal", "SIGSEGV")))
    time.sleep(60)


def raise_(event, context):
    raise ValueError(event.get("message", "probe was asked to fail"))


def oom(event, context):
    held = []
    while True:
        held.append(bytearray(os.urandom(1)) * (1 << 20))


def hold(event, context):
    held = [bytearray(b"x") * (1 << 20) for _ in range(event["mib"])]
    time.sleep(event["seconds"])
    return len(held)


def big(event, context):
    """An answer of exactly "size" bytes of JSON."""
    return "x" * (event.get("size", 1 << 20) - 2)


def size(event, context):
    """How much arrived."""
    return {"length": len(event.get("value", ""))}


def binary(event, context):
    """All byte values, as a function URL's binary answer."""
    return {"statusCode": 200, "headers": {"content-type": "application/octet-stream"},
            "isBase64Encoded": True, "body": base64.b64encode(bytes(range(256))).decode()}


def log(event, context):
    line = event.get("line", "a line from probe")
    for _ in range(event.get("lines", 1)):
        print(line)
    print(event.get("err", "a line on stderr"), file=sys.stderr)
    return {"lines": event.get("lines", 1)}


def fill(event, context):
    """Writes "mib" MiB to /tmp; says how far it came."""
    done, error = 0, None
    try:
        with open("/tmp/probe-fill", "wb") as f:
            for _ in range(event.get("mib", 16)):
                f.write(os.urandom(1 << 20))
                f.flush()
                done += 1
    except OSError as e:
        error = e.errno
    return {"mib": done, "errno": error}


def unserialisable(event, context):
    return {"value": object()}


def read_for_ever():
    while True:
        for folder, _, names in os.walk("/usr"):
            for name in names:
                try:
                    with open(os.path.join(folder, name), "rb") as f:
                        while f.read(65536):
                            pass
                except OSError:
                    pass


def leave(event, context):
    """Answers while "what" goes on."""
    def write_for_ever():
        while True:
            with open("/tmp/probe-left", "a") as f:
                f.write("x" * 5000)
            print("still here")
            time.sleep(0.002)
    what = event["what"]
    if what == "threads":
        for _ in range(4):
            threading.Thread(target=write_for_ever, daemon=True).start()
    elif what == "timer":
        signal.signal(signal.SIGALRM, lambda *_: None)
        signal.setitimer(signal.ITIMER_REAL, 0.01, 0.01)
    elif what == "reads":
        threading.Thread(target=read_for_ever, daemon=True).start()
    elif what == "children":
        if os.fork() == 0:
            write_for_ever()
    time.sleep(0.02)
    return {"left": what}


def traces(event, context):
    """What leave() would have left."""
    def is_child(pid):
        try:
            return int(read(f"/proc/{pid}/stat").rpartition(")")[2].split()[1]) == os.getpid()
        except OSError:
            return False
    return {"threads": threading.active_count(),
            "children": sum(is_child(pid) for pid in os.listdir("/proc") if pid.isdigit()), "file": os.path.exists("/tmp/probe-left"),
            "alarm": signal.getitimer(signal.ITIMER_REAL)[0]}


def stream(event, context):
    """Answers in pieces; "fail" ends it with an exception."""
    for piece in event["pieces"]:
        yield piece
    if event.get("fail"):
        raise ValueError(event["fail"])


ACTIONS = {
    "stream": stream,
    "leave": leave, "traces": traces,
    "echo": echo, "count": count, "unique": unique, "environment": environment, "machine": machine,
    "sleep": sleep, "loop": loop, "exit": exit_, "sysexit": sysexit, "signal": kill, "raise": raise_,
    "oom": oom, "hold": hold, "big": big, "size": size, "binary": binary, "log": log, "fill": fill,
    "unserialisable": unserialisable,
}


def handler(event, context):
    if "requestContext" in event:  # called by URL: the body, or the query, says what to do
        import json
        body = event.get("body") or ""
        if event.get("isBase64Encoded"):
            body = base64.b64decode(body).decode()
        event = json.loads(body) if body else dict(event.get("queryStringParameters") or {})
    return ACTIONS[event.get("do", "echo")](event, context)
