"""The log: one event a line, as text or as JSON, whatever is in it."""

import contextlib
import io
import json
import logging
import re
import time
from collections.abc import Iterator
from datetime import datetime

import pytest

from kvs.net.logs import ALWAYS, logging_to_stderr

STAMP = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"


@contextlib.contextmanager
def logged(style: str, level: str = "info") -> Iterator[io.StringIO]:
    """Keep what is logged."""
    kept = io.StringIO()
    with contextlib.redirect_stderr(kept), logging_to_stderr(style, level):
        yield kept


def fail() -> None:
    """Log an exception, as code that caught one does."""
    try:
        int("no\nway")
    except ValueError:
        logging.getLogger("kvs.net.test").exception("it failed")


def test_text_is_a_line_an_event() -> None:
    """A line of text has the time in UTC, the level, who says it, what, and what else there is to say."""
    with logged("text") as kept:
        logging.getLogger("kvs.net.test").warning("%d clients", 3, extra={"address": "127.0.0.1:4000"})
    assert re.fullmatch(STAMP + r" WARNING kvs\.net\.test: 3 clients address=127\.0\.0\.1:4000\n", kept.getvalue())


def test_json_is_an_object_a_line() -> None:
    """A line of JSON is one object with time, level, logger, message and the event's own fields."""
    with logged("json") as kept:
        logging.getLogger("kvs.net.test").warning("%d clients", 3, extra={"address": "a:1", "level": "mine"})
        logging.getLogger("kvs.net.test").info("☃\n")
    first, second = kept.getvalue().splitlines()
    found = json.loads(first)
    assert re.fullmatch(STAMP, found.pop("time"))
    assert found == {"level": "warning", "logger": "kvs.net.test", "message": "3 clients", "address": "a:1"}
    assert json.loads(second)["message"] == "☃\n"


@pytest.mark.parametrize("evil", ["a\nb", "a\r\nb", "a\x1b[31mb", "a\u2028b", "a\x00b", "a\x85b", "a\udcffb"])
def test_a_line_stays_a_line(evil: str) -> None:
    """What a client sent can neither begin a line of its own nor colour the terminal."""
    for style in ("text", "json"):
        with logged(style) as kept:
            logging.getLogger("kvs.net.test").info("client %s", evil, extra={"name_": evil})
        said = kept.getvalue()
        assert said.endswith("\n")
        assert said[:-1].isprintable(), said


def test_the_time_is_utc(monkeypatch: pytest.MonkeyPatch) -> None:
    """The time of a line is in UTC, wherever the server stands."""
    monkeypatch.setenv("TZ", "EAST-9")
    time.tzset()
    try:
        with logged("json") as kept:
            logging.getLogger("kvs.net.test").info("now")
        said = datetime.strptime(json.loads(kept.getvalue())["time"], "%Y-%m-%dT%H:%M:%S.%f%z")
        assert abs(said.timestamp() - time.time()) < 60
    finally:
        monkeypatch.undo()
        time.tzset()


def test_a_line_is_said_once() -> None:
    """What a program that embeds the server has set up for its own log is not told as well."""
    heard = io.StringIO()
    handler = logging.StreamHandler(heard)
    logging.getLogger().addHandler(handler)
    try:
        with logged("text") as kept:
            logging.getLogger("kvs.net.test").warning("once")
    finally:
        logging.getLogger().removeHandler(handler)
    assert (kept.getvalue().count("once"), heard.getvalue()) == (1, "")


def test_an_exception_is_told_in_its_line() -> None:
    """An exception is told by kind, message and place, within the line; not by a traceback."""
    with logged("text") as kept:
        fail()
    assert re.fullmatch(
        STAMP + r" ERROR kvs\.net\.test: it failed \(ValueError: .*'no\\\\nway', at .*test_process_logs\.py:\d+\)\n",
        kept.getvalue(),
    )
    with logged("json") as kept:
        fail()
    found = json.loads(kept.getvalue())
    assert found["message"] == "it failed"
    assert found["error"].startswith("ValueError: invalid literal")
    assert "trace" not in found


def test_a_traceback_is_for_debugging() -> None:
    """At level debug the whole traceback is there, in JSON as a field."""
    with logged("text", "debug") as kept:
        fail()
    assert "Traceback (most recent call last)" in kept.getvalue()
    with logged("json", "debug") as kept:
        fail()
    assert "Traceback (most recent call last)" in json.loads(kept.getvalue())["trace"]


def test_a_level_leaves_out_what_is_below_it() -> None:
    """At level error a warning is left out; what this is and where it listens is said at every level."""
    with logged("text", "error") as kept:
        logging.getLogger("kvs.net.test").warning("unheard")
        logging.getLogger("kvs.net.test").error("heard")
        logging.getLogger(ALWAYS).info("Listening on 127.0.0.1:4000")
    assert [line.rpartition(": ")[2] for line in kept.getvalue().splitlines()] == [
        "heard",
        "Listening on 127.0.0.1:4000",
    ]


def test_debug_is_left_out_unless_asked_for() -> None:
    """At level info what is for debugging is left out, and at level debug it is not."""
    for level, count in (("info", 0), ("debug", 1)):
        with logged("text", level) as kept:
            logging.getLogger("kvs.net.test").debug("detail")
        assert kept.getvalue().count("detail") == count


def test_logging_is_as_before_afterwards() -> None:
    """When the block is done, logging is as it was: no handler, no level, nothing said twice."""
    room, always = logging.getLogger("kvs"), logging.getLogger(ALWAYS)
    before = (room.level, room.propagate, list(room.handlers), always.level, logging.raiseExceptions)
    with logged("json", "debug") as kept:
        assert room.isEnabledFor(logging.DEBUG)
    assert (room.level, room.propagate, list(room.handlers), always.level, logging.raiseExceptions) == before
    assert room.isEnabledFor(logging.DEBUG) == logging.getLogger().isEnabledFor(logging.DEBUG)
    room.warning("after")
    assert kept.getvalue() == ""


def test_a_log_that_cannot_be_written_harms_nobody() -> None:
    """A stderr that is closed or full costs its line, and no more."""
    broken = io.StringIO()
    broken.close()
    with contextlib.redirect_stderr(broken), logging_to_stderr():
        logging.getLogger("kvs.net.test").warning("unheard")
