"""Logs as JSON objects, one on a line: what `logging` writes, and errors that end a call. Loaded by stoker_runtime for
functions with LogFormat JSON only. The members are Lambda's."""
import json
import logging
import sys
import time
import traceback

_LEVELS = {"TRACE": logging.NOTSET, "DEBUG": logging.DEBUG, "INFO": logging.INFO, "WARN": logging.WARNING,
           "ERROR": logging.ERROR, "FATAL": logging.CRITICAL}
# What every record has, or gets from a formatter; the rest was given as `extra`.
_COMMON = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName", "aws_request_id"}
_encode = json.JSONEncoder(ensure_ascii=False, default=str).encode
_least = logging.INFO


def _timestamp(seconds):
    ms = int(seconds * 1000)
    return "%s.%03dZ" % (time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(ms // 1000)), ms % 1000)


class Formatter(logging.Formatter):
    """A record as its line. request_id: a function that says which call is under way, "" for none."""

    def __init__(self, request_id):
        super().__init__()
        self.request_id = request_id

    def format(self, record):
        record.aws_request_id = self.request_id()
        level = logging.getLevelName(min(50, max(0, record.levelno)) // 10 * 10)
        fields = {"timestamp": _timestamp(record.created), "level": level, "message": record.getMessage(),
                  "logger": record.name}
        if record.exc_info and record.exc_info[0]:
            kind, error, frames = record.exc_info
            fields.update(stackTrace=traceback.format_tb(frames), errorType=kind.__name__, errorMessage=str(error),
                          location="%s:%s:%d" % (record.pathname, record.funcName, record.lineno))
        if record.aws_request_id:
            fields["requestId"] = record.aws_request_id
        for key, value in vars(record).items():
            if key not in _COMMON and key not in fields and value is not None:
                fields[key] = value
        return _encode(fields)


def set_up(level, request_id):
    """The root logger writes to stdout from this level of Lambda's up, whatever level the function gives its loggers."""
    global _least
    _least = _LEVELS.get(level, logging.INFO)
    handler = logging.StreamHandler(sys.stdout)
    handler.setLevel(_least)
    handler.setFormatter(Formatter(request_id))
    logging.root.addHandler(handler)
    logging.root.setLevel(_least or logging.DEBUG)


def error(report):
    """An error that ends a call, or the init phase: as it is reported, without members that are empty."""
    if _least > logging.ERROR:
        return
    fields = {"timestamp": _timestamp(time.time()), "level": "ERROR", "log_level": "ERROR"}  # Lambda's name here is the second
    fields.update((key, value) for key, value in report.items() if value)
    print(_encode(fields), flush=True)
