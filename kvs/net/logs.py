"""Logs: what the program says of itself while it runs, one line an event, as text for people or JSON for machines.

Layout of a line of text:   2026-01-31T12:00:00.123Z INFO kvs.net.server: what happened
Layout of a line of JSON:   {"time": ..., "level": ..., "logger": ..., "message": ..., and what `extra` brought}

A line is a line, whatever a client sent: control characters are escaped. An exception is told in the same line, by its
kind, its message and the place where it was raised; its whole traceback follows only at level debug. Neither values nor
passwords belong into a message; who logs sees to that.
"""

import json
import logging
import sys
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Any, Final

from kvs.cli.text import escape

FORMATS: Final = ("text", "json")
LEVELS: Final = ("debug", "info", "warning", "error")
ROOM: Final = "kvs"
ALWAYS: Final = "kvs.serve"
"""The logger of what is said at every level: what this is, and where it listens."""

_OWN_FIELDS: Final = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


class TextFormatter(logging.Formatter):
    """A record as a line for people."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        said = record.getMessage() + "".join(f" {name}={value}" for name, value in _extras(record).items())
        if record.exc_info and record.exc_info[1]:
            said += f" ({_cause(record.exc_info[1])})"
        line = f"{_moment(record)} {record.levelname} {record.name}: {_plain(said)}"
        trace = _trace(record)
        return line if trace is None else f"{line}\n{trace}"


class JsonFormatter(logging.Formatter):
    """A record as a JSON object in one line."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        said: dict[str, object] = {
            "time": _moment(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        said.update((name, value) for name, value in _extras(record).items() if name not in said)
        if record.exc_info and record.exc_info[1]:
            said["error"] = _cause(record.exc_info[1])
        trace = _trace(record)
        if trace is not None:
            said["trace"] = trace
        return json.dumps(said, default=str)


@contextmanager
def logging_to_stderr(style: str = "text", level: str = "info") -> Iterator[None]:
    """Write what the package logs to stderr while the block runs; other packages' logs are as they were.

    Args:
        style: one of FORMATS.
        level: one of LEVELS; what is less important is left out.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter() if style == "json" else TextFormatter())
    room, always = logging.getLogger(ROOM), logging.getLogger(ALWAYS)
    before = room.level, room.propagate, always.level, logging.raiseExceptions
    room.addHandler(handler)
    room.propagate = False
    room.setLevel(level.upper())
    always.setLevel(logging.INFO)
    logging.raiseExceptions = False  # a full disk behind stderr is not to fill up with complaints about itself
    try:
        yield
    finally:
        room.removeHandler(handler)
        level_before, room.propagate, always_before, logging.raiseExceptions = before
        room.setLevel(level_before)  # by the method, which forgets what loggers remember of levels
        always.setLevel(always_before)


def _moment(record: logging.LogRecord) -> str:
    """Return the time of a record, in UTC."""
    second = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
    return f"{second}.{int(record.msecs):03d}Z"


def _extras(record: logging.LogRecord) -> dict[str, Any]:
    """Return what `extra` brought."""
    return {name: value for name, value in vars(record).items() if name not in _OWN_FIELDS}


def _plain(text: str) -> str:
    return escape(text.encode("utf-8", "surrogateescape")).decode()


def _cause(error: BaseException) -> str:
    """Return an exception in a line: its kind, its message, and where it was raised.

    >>> _cause(ValueError("too many"))
    'ValueError: too many'
    """
    said = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    place = _innermost(error.__traceback__)
    return said if place is None else f"{said}, at {place}"


def _innermost(trace: TracebackType | None) -> str | None:
    """Return the place where an exception was raised."""
    frames = traceback.extract_tb(trace)
    return f"{frames[-1].filename}:{frames[-1].lineno}" if frames else None


def _trace(record: logging.LogRecord) -> str | None:
    """Return the traceback of a record, where one is wanted."""
    if not record.exc_info or not record.exc_info[1] or not logging.getLogger(ROOM).isEnabledFor(logging.DEBUG):
        return None
    return "".join(traceback.format_exception(record.exc_info[1])).rstrip()
