"""Runtime client for Python functions: imports the handler, then serves the Lambda Runtime API.

Standard library only, and little of it: everything loaded here is memory of every clone. What the
first call needs (connection, JSON, this loop) is used once before the first `next`, because the
machine's snapshot is taken while that request waits.

Functions may register hooks that run in each clone before its invocation:

    from stoker_runtime import register_after_restore      # or: from snapshot_restore_py import ...
    register_after_restore(reconnect, host="db.example")

A handler that is a generator (or returns an iterator) streams its answer: each piece of bytes or text is sent while the
function runs. A dict as the first piece is the head for a function URL: {"statusCode": 200, "headers": {}, "cookies": []}.
"""
import gc
import json
import os
import socket
import sys
import time

_API = "/2018-06-01/runtime/"
_after_restore = []
_before_snapshot = []


def register_after_restore(func, *args, **kwargs):
    """Calls func(*args, **kwargs) in each clone, before its invocation, in order of registration."""
    _after_restore.append((func, args, kwargs))
    return func


def register_before_snapshot(func, *args, **kwargs):
    """Calls func(*args, **kwargs) once at the end of the init phase, last registered first."""
    _before_snapshot.append((func, args, kwargs))
    return func


def get_after_restore():
    return _after_restore


def get_before_snapshot():
    return _before_snapshot


class InitError(Exception):
    """The function cannot be loaded; type is one of Lambda's names."""

    def __init__(self, type_, message, trace=()):
        super().__init__(message)
        self.type = type_
        self.trace = list(trace)


class Context:
    """What a handler gets as its second argument."""

    __slots__ = ("aws_request_id", "function_name", "function_version", "invoked_function_arn",
                 "memory_limit_in_mb", "log_group_name", "log_stream_name", "client_context",
                 "identity", "tenant_id", "_deadline_ms")

    def __init__(self, headers):
        env = os.environ.get
        self.aws_request_id = headers.get("lambda-runtime-aws-request-id", "")
        self.invoked_function_arn = headers.get("lambda-runtime-invoked-function-arn", "")
        self.function_name = env("AWS_LAMBDA_FUNCTION_NAME")
        self.function_version = env("AWS_LAMBDA_FUNCTION_VERSION")
        self.memory_limit_in_mb = env("AWS_LAMBDA_FUNCTION_MEMORY_SIZE")
        self.log_group_name = env("AWS_LAMBDA_LOG_GROUP_NAME")
        self.log_stream_name = env("AWS_LAMBDA_LOG_STREAM_NAME")
        self.tenant_id = headers.get("lambda-runtime-aws-tenant-id")
        self._deadline_ms = int(headers.get("lambda-runtime-deadline-ms", 0))
        client = headers.get("lambda-runtime-client-context")
        self.client_context = _Record(json.loads(client)) if client else None
        identity = headers.get("lambda-runtime-cognito-identity")
        identity = json.loads(identity) if identity else {}
        self.identity = _Record({"cognito_identity_id": identity.get("cognitoIdentityId"),
                                 "cognito_identity_pool_id": identity.get("cognitoIdentityPoolId")})

    def get_remaining_time_in_millis(self):
        return max(self._deadline_ms - int(time.time() * 1000), 0)

    def log(self, message):
        sys.stdout.write(str(message))

    def __repr__(self):
        return "Context(%s)" % ", ".join(
            "%s=%r" % (name, getattr(self, name)) for name in self.__slots__ if name[0] != "_")


class _Record:
    """A JSON object as attributes: client_context.custom, client_context.env, client_context.client."""

    def __init__(self, fields):
        self.custom = self.env = self.client = None
        for key, value in fields.items():
            setattr(self, key, _Record(value) if key == "client" and isinstance(value, dict) else value)


# --- JSON ---------------------------------------------------------------------------------------

class _Number(float):
    """A Decimal on its way out: its digits as they are."""

    def __new__(cls, value):
        self = super().__new__(cls, value)
        self.digits = str(value)
        return self

    def __repr__(self):
        return self.digits


def _default(value):
    if type(value).__name__ == "Decimal":
        return _Number(value)
    raise TypeError("Object of type %s is not JSON serializable" % type(value).__name__)


_encode = json.JSONEncoder(ensure_ascii=False, allow_nan=False, default=_default).encode
_decode = json.JSONDecoder().decode


# --- HTTP ---------------------------------------------------------------------------------------

class _Connection:
    """One keep-alive connection to the Runtime API."""

    def __init__(self, address):
        self.address = address
        host, _, port = address.rpartition(":")
        self.sock = socket.create_connection((host, int(port)))
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.head = " HTTP/1.1\r\nHost: %s\r\n" % address

    def get(self, path):
        self.sock.sendall(("GET " + _API + path + self.head + "\r\n").encode("latin-1"))
        return self._answer()

    def post(self, path, body, headers=""):
        head = "POST %s%s%sContent-Type: application/json\r\n%sContent-Length: %d\r\n\r\n" % (
            _API, path, self.head, headers, len(body))
        self.sock.sendall(head.encode("latin-1") + body)
        return self._answer()

    def stream(self, path, media, pieces):
        """Posts pieces as they come; an exception of theirs becomes the trailers of a failed answer."""
        self.sock.sendall(("POST %s%s%sContent-Type: %s\r\nLambda-Runtime-Function-Response-Mode: streaming\r\n"
                           "Transfer-Encoding: chunked\r\nTrailer: Lambda-Runtime-Function-Error-Type, "
                           "Lambda-Runtime-Function-Error-Body\r\n\r\n" % (_API, path, self.head, media)).encode("latin-1"))
        end = "0\r\n\r\n"
        try:
            for piece in pieces:
                if piece:
                    self.sock.sendall(b"%x\r\n%b\r\n" % (len(piece), piece))
        except Exception as e:
            import binascii

            report = _to_json(_report(type(e).__name__, str(e), _trace_of(e), _request_id))
            end = "0\r\nLambda-Runtime-Function-Error-Type: %s\r\nLambda-Runtime-Function-Error-Body: %s\r\n\r\n" % (
                type(e).__name__, binascii.b2a_base64(report, newline=False).decode())
        _flush()
        self.sock.sendall(end.encode("ascii", "replace"))
        return self._answer()

    def _answer(self):
        """Status, headers (lower-case names) and body of one answer."""
        data = self.sock.recv(16384)
        while b"\r\n\r\n" not in data:
            more = self.sock.recv(16384)
            if not more:
                raise ConnectionError("the Runtime API closed the connection")
            data += more
        head, _, body = data.partition(b"\r\n\r\n")
        lines = head.decode("latin-1").split("\r\n")
        headers = {}
        for line in lines[1:]:
            name, _, value = line.partition(":")
            headers[name.lower()] = value.strip()
        missing = int(headers.get("content-length", 0)) - len(body)
        if missing > 0:
            rest = bytearray(missing)
            view = memoryview(rest)
            while view:
                n = self.sock.recv_into(view)
                if n == 0:
                    raise ConnectionError("the Runtime API closed the connection")
                view = view[n:]
            body += rest
        return int(lines[0].split(" ", 2)[1]), headers, body


# --- errors ---------------------------------------------------------------------------------------

def _trace_of(exc):
    """Formatted frames of the function's own code, this file's left out."""
    import traceback

    frames = traceback.extract_tb(exc.__traceback__)
    return traceback.format_list([f for f in frames
                                  if f.filename != __file__ and not f.filename.startswith("<frozen importlib")])


def _report(type_, message, trace, request_id=""):
    report = {"errorMessage": message, "errorType": type_, "requestId": request_id, "stackTrace": trace}
    if _json_log:
        _json_log.error(report)
        return report
    print("[ERROR] %s: %s" % (type_, message), *(["Traceback (most recent call last):"] if trace else []),
          sep="\n", flush=True)
    print("".join(trace), end="", flush=True)
    return report


def _to_json(report):
    return json.dumps(report).encode()


# --- init phase -----------------------------------------------------------------------------------

def _load_handler(name):
    module_name, dot, function = name.rpartition(".")
    if not dot or not module_name or not function:
        raise InitError("Runtime.MalformedHandlerName",
                        "Bad handler '%s': not enough values to unpack (expected 2, got 1)" % name)
    module_name = module_name.replace("/", ".")
    try:
        __import__(module_name)
    except SyntaxError as e:
        raise InitError("Runtime.UserCodeSyntaxError", "Syntax error in module '%s': %s" % (module_name, e),
                        ['  File "%s" Line %s\n    %s\n' % (e.filename, e.lineno, (e.text or "").strip())])
    except ImportError as e:
        raise InitError("Runtime.ImportModuleError", "Unable to import module '%s': %s" % (module_name, e),
                        _trace_of(e))
    module = sys.modules[module_name]
    if not hasattr(module, function):
        raise InitError("Runtime.HandlerNotFound", "Handler '%s' missing on module '%s'" % (function, module_name))
    return getattr(module, function)


def _set_up_paths():
    task = os.environ.get("LAMBDA_TASK_ROOT", "/var/task")
    layers = ["/opt/python/lib/python%d.%d/site-packages" % sys.version_info[:2], "/opt/python"]
    here = os.path.dirname(os.path.abspath(__file__))
    sys.path[:] = ([task] + [p for p in layers if os.path.isdir(p)] +
                   [p for p in sys.path if os.path.abspath(p) != here and p != task] + [here])
    sys.dont_write_bytecode = True  # the folders are read-only


def _set_up_names():
    """`import stoker_runtime` gives this very module; the name other hosts use works too."""
    me = sys.modules["stoker_runtime"] = sys.modules[__name__]
    alias = type(sys)("snapshot_restore_py", "Snapshot hooks under the name known from elsewhere.")
    for name in ("register_before_snapshot", "register_after_restore",
                 "get_before_snapshot", "get_after_restore"):
        setattr(alias, name, getattr(me, name))
    sys.modules["snapshot_restore_py"] = alias


_request_id = ""
_json_log = None  # the module, with LogFormat JSON


def _set_up_json_log():
    """Before the function's code is loaded, as it may give loggers their levels."""
    global _json_log
    if os.environ.get("AWS_LAMBDA_LOG_FORMAT") == "JSON":
        import stoker_json_log as _json_log
        _json_log.set_up(os.environ.get("AWS_LAMBDA_LOG_LEVEL"), lambda: _request_id)


def _set_up_logging():
    """Functions that use `logging` get their records on stdout, with level, time and request id."""
    logging = sys.modules.get("logging")
    if not logging or logging.root.handlers:
        return

    class Formatter(logging.Formatter):
        converter = time.gmtime

        def format(self, record):
            record.aws_request_id = _request_id
            return super().format(record)

    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(Formatter("[%(levelname)s]\t%(asctime)s.%(msecs)03dZ\t%(aws_request_id)s\t%(message)s",
                                   "%Y-%m-%dT%H:%M:%S"))
    logging.root.addHandler(handler)


_SPECIALIZED = 20  # rounds after which the interpreter has fitted the code to what it does (PEP 659), and writes to it no more


def _warm_up(connection):
    """Uses once, without the function's code, what its first call uses: before the snapshot, so that
    nothing is left to load; and in a clone that waits for its call, so that its pages are there."""
    connection.post("warm-up", b"{}")  # answered 404
    _decode('{"text": ["\\u00e9", 1, 1.5, null, true]}')
    _encode({"text": ["\u00e9", 1, 1.5, None, True]}).encode()
    Context({"lambda-runtime-deadline-ms": "1"}).get_remaining_time_in_millis()
    for module in ("random", "ssl", "numpy.random"):
        if module in sys.modules:
            _reseed()
            break


def _init(connection):
    try:
        handler = _load_handler(os.environ.get("_HANDLER", ""))
        _set_up_logging()
        for _ in range(_SPECIALIZED):
            _warm_up(connection)
        while _before_snapshot:
            func, args, kwargs = _before_snapshot.pop()
            func(*args, **kwargs)
    except InitError as e:
        error = e.type, str(e), e.trace
    except Exception as e:
        error = type(e).__name__, str(e), _trace_of(e)
    else:
        return handler
    connection.post("init/error", _to_json(_report(*error)),
                    "Lambda-Runtime-Function-Error-Type: %s\r\n" % error[0])
    sys.exit(1)


# --- invocation -----------------------------------------------------------------------------------

def _reseed():
    """Generators that keep state in this process would repeat themselves in every clone."""
    modules = sys.modules
    if "random" in modules:
        modules["random"].seed()
    if "ssl" in modules:
        modules["ssl"].RAND_add(os.urandom(32), 32.0)
    if "numpy.random" in modules:
        modules["numpy.random"].seed()
    if "tempfile" in modules:
        modules["tempfile"]._name_sequence = None


def _restored():
    _reseed()
    for func, args, kwargs in _after_restore:
        func(*args, **kwargs)
    _after_restore.clear()


class _Stream:
    """The pieces of an answer that is streamed. The first is made at once: what fails before it is an ordinary error."""

    def __init__(self, pieces):
        self.pieces = iter(pieces)
        self.media = "application/octet-stream"
        self.first = next(self.pieces, b"")
        if isinstance(self.first, dict):
            self.media = "application/vnd.awslambda.http-integration-response"
            self.first = _encode(self.first).encode() + bytes(8)

    def __iter__(self):
        yield self._bytes(self.first)
        for piece in self.pieces:
            yield self._bytes(piece)

    @staticmethod
    def _bytes(piece):
        return piece.encode() if isinstance(piece, str) else memoryview(piece).tobytes()


def _call(handler, headers, body):
    """One invocation. Returns the path and the bytes (or a _Stream) to post."""
    global _request_id
    _request_id = headers.get("lambda-runtime-aws-request-id", "")
    stage = None
    try:
        trace_id = headers.get("lambda-runtime-trace-id")
        if trace_id:
            os.environ["_X_AMZN_TRACE_ID"] = trace_id
        stage = "Runtime.AfterRestoreError"
        _restored()
        stage = "Runtime.UnmarshalError"
        event = _decode(body.decode()) if body else {}
        stage = None
        result = handler(event, Context(headers))
        if hasattr(result, "__next__"):
            return "response", _Stream(result)
        stage = "Runtime.MarshalError"
        answer = _encode(result).encode()
        return "response", answer
    except Exception as e:
        message = str(e)
        if stage == "Runtime.MarshalError":
            message = "Unable to marshal response: " + message
        elif stage == "Runtime.UnmarshalError":
            message = "Unable to unmarshal input: " + message
        trace = [] if stage and stage.endswith("marshalError") else _trace_of(e)
        return "error", _to_json(_report(stage or type(e).__name__, message, trace, _request_id))


def _flush():
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):  # closed by the function
            pass


def _restore(connection):
    """For functions that start with initialization type snap-start: hooks run before the first `next`."""
    status, _, _ = connection.get("restore/next")
    if status != 200:
        sys.exit("runtime: restore/next answered %d" % status)
    try:
        _restored()
    except Exception as e:
        connection.post("restore/error", _to_json(_report(type(e).__name__, str(e), _trace_of(e))),
                        "Lambda-Runtime-Function-Error-Type: Runtime.AfterRestoreError\r\n")
        sys.exit(1)


def main():
    _set_up_names()
    sys.stdout.reconfigure(line_buffering=True, errors="backslashreplace")
    _set_up_json_log()  # while this folder is the first of the path
    _set_up_paths()
    connection = _Connection(os.environ["AWS_LAMBDA_RUNTIME_API"])
    handler = _init(connection)
    _flush()
    gc.collect()
    gc.freeze()
    if os.environ.get("AWS_LAMBDA_INITIALIZATION_TYPE") == "snap-start":
        _restore(connection)
    while True:
        status, headers, body = connection.get("invocation/next?warm=1")
        if status == 204:
            _warm_up(connection)
            _flush()
            continue
        if status != 200:
            sys.exit("runtime: next answered %d" % status)
        what, answer = _call(handler, headers, body)
        path = "invocation/%s/%s" % (_request_id, what)
        if isinstance(answer, _Stream):
            connection.stream(path, answer.media, answer)
            continue
        _flush()
        connection.post(path, answer)


if __name__ == "__main__":
    main()
