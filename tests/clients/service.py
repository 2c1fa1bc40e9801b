"""The host that clients are pointed at: on this machine where KVM works, else in kvmbox, with its port forwarded. The
clients themselves run here, as a user's would."""
import base64
import hashlib
import http.client
import io
import json
import os
import signal
import socket
import subprocess
import time
import zipfile

SRC = os.environ.get("STOKER_SRC") or os.path.realpath(os.path.join(os.path.dirname(__file__), "../.."))
BUILD = os.environ.get("STOKER_BUILD") or os.path.join(SRC, "build-test")
IMAGES = os.environ.get("STOKER_IMAGES") or os.path.join(SRC, "build/images")
IMAGES_DISK = os.environ.get("STOKER_IMAGES_DISK") or IMAGES + ".disk"
FUNCTIONS = os.environ.get("STOKER_FUNCTIONS") or os.path.join(SRC, "build/functions")
OUT = os.environ.get("STOKER_OUT") or "/tmp/stoker-clients"
IN_BOX = os.environ.get("STOKER_BOX", "0") == "1"

KEY, SECRET = "AKIDEXAMPLE", "secretexample"
REGION = "us-east-1"
ROLE = "arn:aws:iam::123456789012:role/service-role/example"
TIMEOUT = "60"  # of functions that are not meant to run into it: the machine may be a slow one

APP = b'''
import json, os, sys, time
WORD = "@WORD@"

def handler(event, context):
    what = event.get("do") if isinstance(event, dict) else None
    if what == "fail":
        raise ValueError("as asked")
    if what == "exit":
        os._exit(3)
    if what == "sleep":
        time.sleep(event["seconds"])
        return "slept"
    if what == "env":
        return os.environ.get(event["name"])
    if what == "context":
        c = context.client_context
        return {"arn": context.invoked_function_arn, "version": context.function_version, "id": context.aws_request_id,
                "name": context.function_name, "memory": int(context.memory_limit_in_mb),
                "custom": c.custom if c else None}
    print("a line of " + WORD)
    return {"word": WORD, "version": context.function_version, "event": event}
'''


def zipped(files):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as z:
        for name, (data, mode) in files.items():
            info = zipfile.ZipInfo(name, (2024, 1, 1, 0, 0, 0))
            info.external_attr = (0o100000 | mode) << 16
            info.compress_type = zipfile.ZIP_DEFLATED
            z.writestr(info, data)
    return out.getvalue()


def app(word):
    """A Python function that answers with the word and its event."""
    return zipped({"app.py": (APP.replace(b"@WORD@", word.encode()), 0o644)})


def echo():
    """A program that answers with its event, whatever it is."""
    with open(os.path.join(FUNCTIONS, "echo", "bootstrap"), "rb") as f:
        return zipped({"bootstrap": (f.read(), 0o755)})


def failing():
    """A shell as runtime that fails as its event says."""
    with open(os.path.join(FUNCTIONS, "matrix/sh/bootstrap"), "rb") as f:
        return zipped({"bootstrap": (f.read(), 0o755)})


def sha256(data):
    return base64.b64encode(hashlib.sha256(data).digest()).decode()


def wait_for(condition, what, seconds=60):
    end = time.monotonic() + seconds
    while True:
        got = condition()
        if got:
            return got
        assert time.monotonic() < end, f"not within {seconds} s: {what}"
        time.sleep(0.3)


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Service:
    def __init__(self, folder):
        self.folder = folder
        self.port = int(os.environ.get("STOKER_CLIENTS_PORT") or free_port())
        self.url = f"http://127.0.0.1:{self.port}"
        self.process = None
        self.log_path = os.path.join(folder, "host.log")
        self.python = "python3.11"

    def start(self):
        if "STOKER_CLIENTS_PORT" not in os.environ:
            self._start()
        self._wait_healthy()
        self.python = self._python()
        return self

    def _keys(self):
        """A key file: every request must be signed."""
        path = os.path.join(self.folder, "keys.json")
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as f:
            json.dump({"keys": [{"accessKeyId": KEY, "secretAccessKey": SECRET}]}, f)
        return path

    def _start(self):
        stokerd = [os.path.join(BUILD, "stokerd"), "--bin", BUILD, "--init-timeout", "120000", "--keys", self._keys()]
        if IN_BOX:
            command = [os.path.join(SRC, "kvmbox/kvmbox"), "-p", f"{self.port}:8080", "--share", self.folder, "--state",
                       os.path.join(self.folder, "box"), "--disk", IMAGES_DISK + ":/var/lib/stoker-images", "--", *stokerd,
                       "--listen", "127.0.0.1:8080", "--state", "/var/lib/stoker-box/host", "--images",
                       "/var/lib/stoker-images"]
        else:
            command = [*stokerd, "--listen", f"127.0.0.1:{self.port}", "--state", os.path.join(self.folder, "state"),
                       "--images", IMAGES]
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(["setpriv", "--pdeathsig", "TERM", *command], stdin=subprocess.DEVNULL,
                                            stdout=log, stderr=log)

    def _wait_healthy(self):
        def healthy():
            assert self.process is None or self.process.poll() is None, f"the host ended: {self.log()[-3000:]}"
            try:
                return self.get("/healthz")[0] == 200
            except OSError:
                return False
        wait_for(healthy, "the host answers", 180)

    def _python(self):
        """The name that the runtime image's own version of Python has."""
        for name in sorted(os.listdir(IMAGES)) if os.path.isdir(IMAGES) else ():
            if name == "python3.version":
                with open(os.path.join(IMAGES, name)) as f:
                    return "python" + f.read().strip()
        return "python3"

    def stop(self):
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(60)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()

    def log(self):
        try:
            with open(self.log_path, errors="replace") as f:
                return f.read()
        except OSError:
            return ""

    def get(self, path, headers=None):
        """A plain request, not signed: (status, headers, body)."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            connection.request("GET", path, headers=headers or {})
            answer = connection.getresponse()
            return answer.status, answer.headers, answer.read()
        finally:
            connection.close()

    def environment(self):
        """What makes a client one of this host's users."""
        kept = {k: v for k, v in os.environ.items() if not k.startswith("AWS_") and not k.lower().endswith("_proxy")}
        return {**kept, "AWS_ACCESS_KEY_ID": KEY, "AWS_SECRET_ACCESS_KEY": SECRET, "AWS_DEFAULT_REGION": REGION,
                "AWS_REGION": REGION, "AWS_PAGER": "", "AWS_EC2_METADATA_DISABLED": "true", "AWS_MAX_ATTEMPTS": "1",
                "AWS_CONFIG_FILE": "/nonexistent", "AWS_SHARED_CREDENTIALS_FILE": "/nonexistent",
                "NO_PROXY": "127.0.0.1", "LANG": "C.UTF-8"}
