"""A stokerd of the tests' own, and what the tests need to look at it from outside."""
import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import urllib.parse

SRC = os.environ.get("STOKER_SRC") or os.path.realpath(os.path.join(os.path.dirname(__file__), "../.."))
BUILD = os.environ.get("STOKER_BUILD") or os.path.join(SRC, "build-test")
IMAGES = os.environ.get("STOKER_IMAGES") or os.path.join(SRC, "build/images")
FUNCTIONS = os.environ.get("STOKER_FUNCTIONS") or os.path.join(SRC, "build/functions")
EXAMPLES = os.environ.get("STOKER_EXAMPLES") or os.path.join(SRC, "build/examples")
STATE = os.environ.get("STOKER_STATE") or tempfile.gettempdir()
SLOW = float(os.environ.get("STOKER_SLOW", "1"))  # how many times slower than usual everything is
TSAN = "thread" in os.environ.get("STOKER_PREFIX", "")  # programs have ThreadSanitizer's memory and its thread in them
SHORT = "probe-short"  # probe with a time limit of SHORT_S
SHORT_S = 1 if SLOW == 1 else 4  # time limit of a function that tests let run into it

HELD_S = min(20, 3 * SLOW)  # for how long a call takes its place away from others that are sent at the same time

# Generous: an emulated machine under load. Every wait ends as soon as its condition holds.
DEADLINE = 90 * SLOW


def program(name):
    return os.path.join(BUILD, name)


def wait_for(condition, what, deadline=None):
    """Waits until condition() is true and returns its value."""
    end = time.monotonic() + (deadline or DEADLINE)
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"not within {deadline or DEADLINE:.0f} s: {what}")
        time.sleep(0.05)


def processes(name, parent=None):
    """Pids of the programs with this name (not zombies), of one parent or of all."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/stat") as f:
                head, _, tail = f.read().rpartition(")")
        except OSError:
            continue
        fields = tail.split()
        if head.partition("(")[2] == name[:15] and fields[0] not in "ZX" and \
                (parent is None or int(fields[1]) == parent):
            found.append(int(pid))
    return found


def stuck_processes():
    """What every thread of our programs is doing, for the report of a test that waited in vain: twice, half a second
    apart, so that what runs can be told from what waits."""
    lines = []
    for _ in range(2):
        for pid in (pid for name in ("stokerd", "stoker-vmm", "stoker-snapshot") for pid in processes(name)):
            for task in sorted(os.listdir(f"/proc/{pid}/task")):
                try:
                    folder = f"/proc/{pid}/task/{task}"
                    with open(folder + "/stat") as f:
                        fields = f.read().rpartition(")")[2].split()
                    with open(folder + "/comm") as f, open(folder + "/syscall") as g, open(folder + "/stack") as k:
                        lines.append(f"{pid}/{task} {f.read().strip()} {fields[0]} user {fields[11]} system {fields[12]}"
                                     f" syscall {g.read().strip()} in {' '.join(line.split()[1] for line in k)}")
                except OSError as problem:
                    lines.append(f"{pid}/{task}: {problem}")
        time.sleep(0.5)
    return "\n".join(lines)


def is_shell(pid):
    """A prepared stoker-vmm that has not been told yet what to restore."""
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as f:
            arguments = f.read().split(b"\0")
        with open(f"/proc/{pid}/maps") as f:
            return b"--shell" in arguments and "/snapshot/memory" not in f.read()
    except OSError:
        return False


class Answer:
    def __init__(self, response, body, seconds):
        self.status = response.status
        self.headers = response.headers
        self.body = body
        self.seconds = seconds

    def json(self):
        return json.loads(self.body)

    def error(self):
        """The code in the host's error object."""
        return self.json()["error"]["code"]

    def __repr__(self):
        return f"<{self.status} {dict(self.headers)} {self.body[:400]!r}>"


class Host:
    """One stokerd with a state folder of its own. Its programs, those of the build as a rule, may change between two lives."""

    def __init__(self, state, port=None, programs=BUILD, **options):
        self.state = state
        self.programs = programs
        self.port = port or free_port()
        self.options = options
        self.group = None  # control group that it is started in, if not this process's
        self.process = None
        self.log_path = state + ".log"

    # --- life ---
    def start(self, wait=True):
        command = [os.path.join(self.programs, "stokerd"), "--listen", f"127.0.0.1:{self.port}", "--state", self.state,
                   "--images", IMAGES, "--bin", self.programs, "--init-timeout", "120000"]
        for name, value in self.options.items():
            flag = "--" + name.replace("_", "-")
            if flag in command:
                command[command.index(flag) + 1] = str(value)
            elif value is None:
                command.append(flag)
            else:
                command += [flag, str(value)]
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                            preexec_fn=self.group and self.enter_group)
        if wait:
            self.wait_healthy()
        return self

    def enter_group(self):
        with open(self.group + "/cgroup.procs", "w") as f:
            f.write("0")

    def wait_healthy(self):
        def healthy():
            assert self.process.poll() is None, f"stokerd ended: {self.log()[-2000:]}"
            try:
                return self.request("GET", "/healthz", timeout=5).status == 200
            except OSError:
                return False
        wait_for(healthy, "stokerd answers /healthz")

    def stop(self, expect=0):
        if self.process is None:
            return
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        status = self.process.wait(60 * SLOW)
        self.process = None
        if expect is not None:
            assert status == expect, f"stokerd ended with {status}: {self.log()[-3000:]}"

    def kill(self):
        self.process.kill()
        self.process.wait(30)
        self.process = None

    @property
    def pid(self):
        return self.process.pid

    def log(self):
        with open(self.log_path, errors="replace") as f:
            return f.read()

    # --- HTTP ---
    def connect(self, timeout=None):
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout or DEADLINE)

    def request(self, method, path, body=None, headers=None, timeout=None):
        connection = self.connect(timeout)
        try:
            start = time.monotonic()
            connection.request(method, path, body=body, headers=headers or {})
            response = connection.getresponse()
            data = response.read()
            return Answer(response, data, time.monotonic() - start)
        finally:
            connection.close()

    def invoke(self, name, event, start=None, timeout=None):
        headers = {"Content-Type": "application/json"}
        if start:
            headers["X-Stoker-Start"] = start
        return self.request("POST", f"/v1/functions/{name}/invoke", json.dumps(event).encode(), headers,
                            timeout)

    def call(self, name, method="GET", path="", body=None, headers=None, timeout=None):
        """The function URL."""
        return self.request(method, f"/function/{name}{path}", body, headers, timeout)

    def raw(self, data, timeout=None, close=False):
        """Sends bytes as they are; returns everything up to the end of the connection or the time limit."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=timeout or 20 * SLOW) as s:
            try:
                s.sendall(data)
                if close:
                    s.shutdown(socket.SHUT_WR)
            except (BrokenPipeError, ConnectionResetError):
                pass  # it does not want more: there may be an answer all the same
            received = b""
            try:
                while True:
                    piece = s.recv(65536)
                    if not piece:
                        break
                    received += piece
            except (TimeoutError, ConnectionResetError):
                pass
            return received

    def metrics(self):
        """{"name{labels}": value} of /metrics."""
        values = {}
        for line in self.request("GET", "/metrics").body.decode().splitlines():
            if line and not line.startswith("#"):
                name, _, value = line.rpartition(" ")
                values[name] = float(value)
        return values

    def metrics_total(self, metric, **labels):
        """Sum of a metric's series that have these labels."""
        wanted = [f'{key}="{value}"' for key, value in labels.items()]
        return sum(value for name, value in self.metrics().items()
                   if name.partition("{")[0] == metric and all(w in name for w in wanted))

    # --- functions ---
    def cli(self, *arguments, check=True, timeout=None):
        command = [os.path.join(self.programs, "stoker"), "--host", f"http://127.0.0.1:{self.port}", *arguments]
        with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              text=True) as process:
            try:
                out, text = process.communicate(timeout=timeout or DEADLINE * 2)
            except subprocess.TimeoutExpired:
                stuck = stuck_processes()
                process.kill()
                raise AssertionError(f"{arguments} did not end: {process.communicate()}\n{stuck}\n"
                                     f"{self.log()[-3000:]}") from None
        done = subprocess.CompletedProcess(command, process.returncode, out, text)
        if check:
            assert done.returncode == 0, (arguments, done.stdout, done.stderr)
        return done

    def deploy(self, name, path, *arguments):
        """A folder with its function.json; arguments come after those from there."""
        settings = {"runtime": "provided" if os.path.exists(os.path.join(path, "bootstrap")) else "python3"}
        if os.path.exists(os.path.join(path, "function.json")):
            with open(os.path.join(path, "function.json")) as f:
                settings.update(json.load(f))
        if settings["runtime"] == "python3":
            settings.setdefault("handler", "app.handler")
        options = []
        for key, value in settings.items():
            if key == "environment":
                for variable, text in value.items():
                    options += ["--env", f"{variable}={text}"]
            else:
                options += [f"--{key}", str(value)]
        return self.cli("deploy", name, path, *options, *arguments)

    def put(self, name, data, **settings):
        """Deploys zip bytes over HTTP; settings are the query, lists repeat a key."""
        query = urllib.parse.urlencode(settings, doseq=True)
        return self.request("PUT", f"/v1/functions/{name}?{query}", data, {"Content-Type": "application/zip"},
                            timeout=DEADLINE * 2)

    def configure(self, name, **settings):
        """As UpdateFunctionConfiguration; returns when calls are answered by it."""
        path = f"/2015-03-31/functions/{name}/configuration"
        answer = self.request("PUT", path, json.dumps(settings).encode())
        assert answer.status == 200, answer
        wait_for(lambda: self.request("GET", path).json()["LastUpdateStatus"] == "Successful", f"{name} with {settings}")

    def vmms(self):
        """VMs of functions: not the shells that wait."""
        return [pid for pid in processes("stoker-vmm", self.pid) if not is_shell(pid)]

    def shells(self):
        return [pid for pid in processes("stoker-vmm", self.pid) if is_shell(pid)]

    def pool(self, name):
        """State of a function's pool: {"warm", "busy", "starting", ...}."""
        return self.request("GET", f"/v1/functions/{name}").json()["pool"]

    def warm(self, name):
        return self.pool(name)["warm"]

    def wait_warm(self, name, count=1):
        wait_for(lambda: self.warm(name) >= count, f"{count} warm VMs of {name}")

    def learned_set(self, name):
        return os.path.join(self.version_dir(name), "snapshot", "learned-set")

    def invoke_until_learned(self, name, event, answer):
        """What is learned adds a file to the version's folder, and makes calls faster."""
        def learned():
            got = self.invoke(name, event)
            # A loaded emulated machine may let a call run into a short limit.
            assert got.status == 504 or got.status == 200 and got.json() == answer, got
            return os.path.exists(self.learned_set(name))
        wait_for(learned, f"what {name} uses to be learned")

    def version_dir(self, name):
        """State folder of a function's newest version."""
        base = os.path.join(self.state, "functions", name)
        return os.path.join(base, max(os.listdir(base), key=int))


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def new_state(name):
    os.makedirs(STATE, exist_ok=True)
    return os.path.join(tempfile.mkdtemp(prefix=f"test-{name}-", dir=STATE), "state")


def copy_state(source, target):
    """What a stopped host left, for another one. Its snapshots and code never change once they are
    there: links will do. Everything else is copied."""
    for folder, _, names in os.walk(source):
        there = os.path.join(target, os.path.relpath(folder, source))
        os.makedirs(there, exist_ok=True)
        shutil.copystat(folder, there)
        for name in names:
            path = os.path.join(folder, name)
            if os.path.relpath(path, source).startswith("functions/"):
                os.link(path, os.path.join(there, name))
            elif os.path.isfile(path):
                shutil.copy2(path, os.path.join(there, name))


def remove_state(state):
    shutil.rmtree(os.path.dirname(state), ignore_errors=True)


def zip_bytes(files, symlinks=None):
    """A zip of {name: (bytes, mode) or bytes}; names are taken as they are."""
    import io
    import zipfile
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as z:
        for name, content in files.items():
            data, mode = content if isinstance(content, tuple) else (content, 0o644)
            info = zipfile.ZipInfo(name, (2024, 1, 1, 0, 0, 0))
            info.external_attr = (0o100000 | mode) << 16
            info.compress_type = zipfile.ZIP_DEFLATED
            z.writestr(info, data)
        for name, target in (symlinks or {}).items():
            info = zipfile.ZipInfo(name, (2024, 1, 1, 0, 0, 0))
            info.external_attr = 0o120777 << 16
            z.writestr(info, target)
    return out.getvalue()


PYTHON_ONE = b"def handler(event, context):\n    return 1\n"
