#!/usr/bin/python3
"""What the runtime clients for Python and Node.js write, outside of a guest: as text, and with LogFormat JSON. The Python
client runs as a whole against a Runtime API of our own; of the Node.js client the module that writes."""
import http.server
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import unittest

IMAGES = os.path.join(os.environ.get("STOKER_SRC", os.path.join(os.path.dirname(__file__), "../../..")), "images")
ID = "8f507cfc-xmpl-4697-b07a-ac58fc914c95"
LIMIT = 60

APP = '''
import logging
logging.getLogger().debug("in the init phase")
logging.getLogger().error("early")

def handler(event, context):
    print("printed")
    log = logging.getLogger("my.name")
    if event == "all":
        logging.root.setLevel(logging.DEBUG)
        for level in (5, 10, 20, 25, 30, 40, 50):
            log.log(level, "at %d", level)
    elif event == "fields":
        log.error("two\\nlines \\u00fc", extra={"order": 7, "what": {"a": [1]}, "odd": object, "none": None, "message_": "m"})
        try:
            {}["key"]
        except KeyError:
            log.exception("caught")
        log.error("no exception", exc_info=True)
    elif event == "raise":
        raise ValueError("thrown")
'''


class RuntimeApi(http.server.BaseHTTPRequestHandler):
    """One invocation; then the connection is closed, and the client ends."""
    protocol_version = "HTTP/1.1"

    def answer(self, status, body=b"{}"):
        self.send_response(status)
        self.send_header("Lambda-Runtime-Aws-Request-Id", ID)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        events = self.server.events
        if events:
            self.answer(200, events.pop(0))
        else:
            self.close_connection = True

    def do_POST(self):
        self.server.posted.append((self.path, self.rfile.read(int(self.headers["Content-Length"]))))
        self.answer(404 if self.path.endswith("warm-up") else 202)

    def log_message(self, *args):
        pass


class Python(unittest.TestCase):
    def lines(self, event, app=APP, **env):
        """The client's output for one invocation with this event."""
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), RuntimeApi)
        server.events, server.posted = [json.dumps(event).encode()], []
        threading.Thread(target=server.serve_forever, daemon=True).start()
        with tempfile.TemporaryDirectory() as task:
            with open(os.path.join(task, "app.py"), "w") as f:
                f.write(app)
            done = subprocess.run(
                [sys.executable, os.path.join(IMAGES, "python3/stoker_runtime.py")], stdout=subprocess.PIPE,
                stderr=subprocess.PIPE, timeout=LIMIT, text=True, encoding="utf-8",
                env={"PATH": os.environ["PATH"], "LANG": "C.UTF-8", "LAMBDA_TASK_ROOT": task, "_HANDLER": "app.handler",
                     "PYTHONDONTWRITEBYTECODE": "1", "AWS_LAMBDA_RUNTIME_API": "127.0.0.1:%d" % server.server_port, **env})
        server.shutdown()
        server.server_close()
        self.posted = [path for path, _ in server.posted if not path.endswith("warm-up")]
        self.assertEqual(len(self.posted), 1, done.stderr)
        return done.stdout.splitlines()

    def objects(self, event, level="INFO", **more):
        """Those behind the start, without the line that print has made."""
        lines = self.lines(event, AWS_LAMBDA_LOG_FORMAT="JSON", AWS_LAMBDA_LOG_LEVEL=level, **more)
        self.assertEqual(lines.count("printed"), 1)
        return [json.loads(line) for line in lines[lines.index("printed") + 1:]]

    def test_text_is_as_it_was(self):
        lines = self.lines("all")
        self.assertEqual(lines[0], "printed")
        self.assertRegex(lines[-1], r"^\[CRITICAL\]\t\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z\t%s\tat 50$" % ID)
        self.assertEqual(len([line for line in lines if "\tat " in line]), 6)
        self.assertEqual(self.lines("raise")[-4:-2], ["[ERROR] ValueError: thrown", "Traceback (most recent call last):"])

    def test_members(self):
        first, caught, without = self.objects("fields")
        self.assertRegex(first.pop("timestamp"), r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$")
        self.assertRegex(first.pop("odd"), "object")
        self.assertEqual(first, {"level": "ERROR", "message": "two\nlines ü", "logger": "my.name", "requestId": ID,
                                 "order": 7, "what": {"a": [1]}, "message_": "m"})
        self.assertEqual((caught["message"], caught["errorType"], caught["errorMessage"]), ("caught", "KeyError", "'key'"))
        self.assertRegex(caught["stackTrace"][0], r'app.py", line \d+, in handler')
        self.assertRegex(caught["location"], r"/app\.py:handler:\d+$")
        self.assertNotIn("errorType", without)

    def test_levels(self):
        expected = {"TRACE": [10, 20, 25, 30, 40, 50], "INFO": [20, 25, 30, 40, 50], "WARN": [30, 40, 50], "FATAL": [50]}
        for level, numbers in expected.items():  # the function's own level is DEBUG
            self.assertEqual([o["message"] for o in self.objects("all", level)], ["at %d" % n for n in numbers], level)
        self.assertEqual([o["level"] for o in self.objects("all")], ["INFO", "INFO", "WARNING", "ERROR", "CRITICAL"])

    def test_init_phase(self):
        lines = self.lines("", AWS_LAMBDA_LOG_FORMAT="JSON", AWS_LAMBDA_LOG_LEVEL="ERROR")
        early = json.loads(lines[0])
        self.assertEqual(early["message"], "early")
        self.assertNotIn("requestId", early)
        self.assertEqual(lines[1:], ["printed"])

    def test_errors(self):
        error, = self.objects("raise")
        self.assertEqual(self.posted, ["/2018-06-01/runtime/invocation/%s/error" % ID])
        self.assertEqual([error[key] for key in ("level", "errorType", "errorMessage", "requestId")],
                         ["ERROR", "ValueError", "thrown", ID])
        self.assertRegex(error["stackTrace"][0], "in handler")
        self.assertEqual(self.objects("raise", "FATAL"), [])
        lines = self.lines("", app="raise KeyError('at the start')", AWS_LAMBDA_LOG_FORMAT="JSON", AWS_LAMBDA_LOG_LEVEL="INFO")
        self.assertEqual(json.loads(lines[0])["errorType"], "KeyError")


SCRIPT = '''
const logs = require(process.argv[1]);
const { RuntimeError } = require(process.argv[2]);
logs.patchConsole();
console.log('in the %s', 'init phase');
logs.setRequestId('ID');
class Odd extends TypeError { constructor() { super('odd'); this.more = 7; } }
const circle = {};
circle.circle = circle;
for (const level of ['trace', 'debug', 'log', 'info', 'warn', 'error', 'fatal'])
	console[level]('at', level);
console.error({ a: [1, 'two\\nlines'] });
console.error(new Odd());
console.error('of %s', 'several', new Odd());
console.error(circle, 1n);
console.error(circle);
console.error();
logs.error('Invoke Error', new RuntimeError('Runtime.Late', 'm'));
logs.error('Invoke Error', 'a string');
logs.line('ERROR', 'of our own');
'''


@unittest.skipUnless(shutil.which("node"), "no node here")
class Node(unittest.TestCase):
    def lines(self, **env):
        files = [os.path.abspath(os.path.join(IMAGES, "nodejs", name)) for name in ("logs.cjs", "errors.cjs")]
        done = subprocess.run(["node", "-e", SCRIPT, *files], stdout=subprocess.PIPE, timeout=LIMIT, text=True,
                              check=True, env={"PATH": os.environ["PATH"], **env})
        return done.stdout.splitlines()

    def objects(self, level):
        return [json.loads(line) for line in self.lines(AWS_LAMBDA_LOG_FORMAT="JSON", AWS_LAMBDA_LOG_LEVEL=level)]

    def test_text_is_as_it_was(self):
        lines = self.lines()
        self.assertRegex(lines[0], r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z\tundefined\tINFO\tin the init phase$")
        self.assertRegex(lines[1], r"\tID\tTRACE\tTrace: at trace$")
        self.assertTrue([line for line in lines if re.search(r'\tID\tERROR\tInvoke Error \t\{"errorType":"Runtime.Late"', line)])
        self.assertRegex(lines[-1], r"\tID\tERROR\tof our own$")

    def test_members(self):
        first, *levels, value, odd, several, two, circle, nothing, late, text, own = self.objects("TRACE")
        self.assertRegex(first.pop("timestamp"), r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$")
        self.assertEqual(first, {"level": "INFO", "message": "in the init phase"})
        self.assertEqual([(o["level"], o["message"]) for o in levels],
                         [("TRACE", "at trace"), ("DEBUG", "at debug"), ("INFO", "at log"), ("INFO", "at info"),
                          ("WARN", "at warn"), ("ERROR", "at error"), ("FATAL", "at fatal")])
        self.assertEqual({o["requestId"] for o in levels}, {"ID"})
        self.assertEqual(value["message"], {"a": [1, "two\nlines"]})
        self.assertEqual([odd["message"][key] for key in ("errorType", "errorMessage", "more")], ["Odd", "odd", 7])
        self.assertRegex(odd["message"]["stackTrace"][0], "odd")
        self.assertRegex(several["message"], "^of several .*odd")
        self.assertEqual((several["errorType"], several["errorMessage"]), ("Odd", "odd"))
        self.assertRegex(two["message"], "Circular.* 1n$")
        self.assertRegex(circle["message"], "Circular")
        self.assertEqual(nothing["message"], "")
        self.assertEqual((late["level"], late["message"]["errorType"]), ("ERROR", "Runtime.Late"))
        self.assertEqual((text["message"], own["message"]), ("a string", "of our own"))

    def test_levels(self):
        levels = ["TRACE", "DEBUG", "INFO", "WARN", "ERROR", "FATAL"]
        for i, level in enumerate(levels):
            self.assertEqual({o["level"] for o in self.objects(level)}, set(levels[i:]))


if __name__ == "__main__":
    unittest.main()
