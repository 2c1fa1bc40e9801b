"""The commands a newcomer types: ./run does what the README says and leaves nothing behind."""
import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import time

import pytest

SRC = os.environ.get("STOKER_SRC") or os.path.realpath(os.path.join(os.path.dirname(__file__), "../.."))
RUN = os.path.join(SRC, "run")
GPL = "/usr/share/common-licenses/GPL-3"


@pytest.fixture(scope="module")
def state(tmp_path_factory):
    return str(tmp_path_factory.mktemp("run") / "state")


@pytest.fixture(scope="module")
def port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def run(port, state, *command, **options):
    return subprocess.run([RUN, "--port", str(port), "--state", state, "--", *command], stdin=subprocess.DEVNULL,
                          capture_output=True, text=True, timeout=1200, **options)


def left_behind(state):
    """Processes that have the state folder on their command line, in a file they hold open or as a map."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        if int(pid) == os.getpid():
            continue
        try:
            with open(f"/proc/{pid}/cmdline", "rb") as f:
                if state.encode() in f.read():
                    found.append(pid)
            found += [pid for fd in os.listdir(f"/proc/{pid}/fd") if os.readlink(f"/proc/{pid}/fd/{fd}").startswith(state)]
        except OSError:
            continue
    return found


def nothing_left(port, state):
    end = time.monotonic() + 10
    while left_behind(state) and time.monotonic() < end:
        time.sleep(0.1)
    assert left_behind(state) == []
    with socket.socket() as s:
        assert s.connect_ex(("127.0.0.1", port)) != 0


def test_command(port, state):
    done = run(port, state, "curl", "-sS", "--data-binary", f"@{GPL}", f"http://127.0.0.1:{port}/function/wordcount")
    assert done.returncode == 0, done.stderr
    got = json.loads(done.stdout)
    lines, words, size = subprocess.run(["wc", "-lwc", GPL], capture_output=True, text=True,
                                        env={"LC_ALL": "C"}).stdout.split()[:3]
    assert (got["lines"], got["words"], got["bytes"]) == (int(lines), int(words), int(size))
    nothing_left(port, state)


def test_second_start_is_quick_and_passes_the_status(port, state):
    start = time.monotonic()
    done = run(port, state, "sh", "-c", """printf 'name,born\n"Lovelace, Ada",1815\n' |
               curl -sS -H 'Content-Type: text/csv' --data-binary @- "$0/function/csv2json"; exit 7""", f"http://127.0.0.1:{port}")
    took = time.monotonic() - start
    assert done.returncode == 7, done.stderr
    assert json.loads(done.stdout) == [{"name": "Lovelace, Ada", "born": "1815"}]
    assert took < 60, done.stderr
    nothing_left(port, state)


def test_interrupt(port, state, tmp_path):
    log = tmp_path / "log"
    with open(log, "w") as out:
        process = subprocess.Popen([RUN, "--port", str(port), "--state", state], stdin=subprocess.DEVNULL,
                                   stdout=out, stderr=out, start_new_session=True,
                                   # a background job of a script is started deaf for it, a terminal's is not
                                   preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL))
    end = time.monotonic() + 300
    while "Try:" not in log.read_text():
        assert process.poll() is None and time.monotonic() < end, log.read_text()
        time.sleep(0.2)
    assert f"http://127.0.0.1:{port}/function/hello" in log.read_text()
    os.killpg(process.pid, signal.SIGINT)  # as the terminal does on Ctrl-C
    assert process.wait(60) == 130
    nothing_left(port, state)


def children(pid):
    """The command lines of a process's children."""
    lines = []
    for child in open(f"/proc/{pid}/task/{pid}/children").read().split():
        with contextlib.suppress(OSError):
            lines.append(open(f"/proc/{child}/cmdline").read().rstrip("\0").replace("\0", " "))
    return lines


def test_command_is_interrupted(port, state, tmp_path):
    """Ctrl-C ends what runs in the foreground, ./run what is deaf to it: a shell's background job."""
    pids, status = tmp_path / "pids", tmp_path / "status"
    script = (f"trap : INT TERM; sleep 1235 & echo $$ $! >{pids}.new; mv {pids}.new {pids}; "
              f"sleep 1234; echo $? >{status}; wait")
    process = subprocess.Popen([RUN, "--port", str(port), "--state", state, "--", "sh", "-c", script],
                               stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                               start_new_session=True,
                               preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL))
    end = time.monotonic() + 300
    while not pids.exists():
        assert process.poll() is None and time.monotonic() < end
        time.sleep(0.2)
    shell, background = pids.read_text().split()
    while "sleep 1234" not in children(shell):  # a signal that comes between fork and exec is the shell's, and is lost
        assert time.monotonic() < end
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGINT)
    assert process.wait(60) == 130
    while any(os.path.exists(f"/proc/{pid}") for pid in (shell, background)):
        assert time.monotonic() < end, "the command still runs"
        time.sleep(0.05)
    assert status.read_text() == "130\n"
    nothing_left(port, state)


def test_port_in_use(state):
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        s.listen()
        taken = s.getsockname()[1]
        done = run(taken, state, "true")
    assert done.returncode == 1
    assert f"port {taken} already" in done.stderr and "--port N" in done.stderr


def test_own_functions(port, state, tmp_path):
    for name, files in {"one": {"app.py": "def handler(event, context):\n    return 1\n"},
                        "two": {"main.py": "import os\n\n\ndef go(event, context):\n    return os.environ['WHAT']\n",
                                "function.json": json.dumps({"runtime": "python3", "handler": "main.go", "timeout": 7,
                                                             "environment": {"WHAT": "two = 2"}})}}.items():
        (tmp_path / name).mkdir()
        for file, text in files.items():
            (tmp_path / name / file).write_text(text)
    (tmp_path / "bare").mkdir()
    shutil.copy(os.path.join(SRC, "build/functions/echo/bootstrap"), tmp_path / "bare")
    done = subprocess.run(
        [RUN, "--port", str(port), "--state", state, "--functions", str(tmp_path), "--", "curl", "-sS", "-d", "{}",
         f"http://127.0.0.1:{port}/v1/functions/one/invoke", f"http://127.0.0.1:{port}/v1/functions/two/invoke",
         f"http://127.0.0.1:{port}/v1/functions/bare/invoke"],
        stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    assert done.stdout == '1"two = 2"{}'
    nothing_left(port, state)


@pytest.mark.parametrize("arguments", [["--what"], ["--port"], ["--port", "x"], ["--port", "70000"], ["--"],
                                       ["--functions", "/no/such/folder"]])
def test_wrong_usage(arguments):
    done = subprocess.run([RUN, *arguments], capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL)
    assert done.returncode in (1, 2)
    assert done.stderr
