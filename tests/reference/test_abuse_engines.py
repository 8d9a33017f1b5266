"""Commands that go wrong, and commands that are meant to take forever."""

import time
from collections.abc import Callable
from typing import Final

import pytest
from support.besieged import GateEngine, besieged, every_design, polling_design
from support.pools import Call
from support.wire import ErrorReply, Wire, frame

from kvs.engine import Op
from kvs.errors import StorageError, WritesRefusedError
from kvs.memory import MemoryEngine

ERRORS: Final = [
    (StorageError("the disk is full"), "ERR the disk is full"),
    (StorageError("a\r\n+OK\r\nb"), "ERR a +OK b"),
    (WritesRefusedError("an fsync failed"), "MISCONF an fsync failed"),
    (ValueError("secret"), "ERR internal error: ValueError"),
    (RecursionError("secret"), "ERR internal error: RecursionError"),
    (MemoryError(), "ERR internal error: MemoryError"),
]


class FailingEngine(MemoryEngine):
    """Raises whenever it is told to.

    Attributes:
        error: what to raise, or None.
    """

    error: Exception | None = None

    def get(self, key: bytes, default: object = None) -> object:  # type: ignore[override]  # of a test, and plain
        """Return a value, or raise."""
        if self.error is not None:
            raise self.error
        return super().get(key, default)

    def set(self, key: bytes, value: bytes) -> None:
        """Store a value, or raise."""
        if self.error is not None:
            raise self.error
        super().set(key, value)

    def write(self, ops: object) -> None:
        """Store a batch, or raise."""
        if self.error is not None:
            raise self.error
        super().write(ops)  # type: ignore[arg-type]

    def sync(self) -> None:
        """Do nothing, or raise."""
        if self.error is not None:
            raise self.error


@every_design
@pytest.mark.parametrize("gathers", [False, True], ids=["each", "gathered"])
@pytest.mark.parametrize(("error", "answer"), ERRORS, ids=[type(error).__name__ for error, _ in ERRORS])
def test_an_engine_that_raises_costs_no_connection(
    design: str, error: Exception, answer: str, *, gathers: bool
) -> None:
    """Whatever an engine raises is one error reply, in its place among the others, and the connection lives."""
    engine = FailingEngine()
    with besieged(design, engine=engine, gathers=gathers) as server, server.connect() as wire:
        assert wire.call("SET", "k", "v") == b"OK"
        engine.error = error
        for words in (["GET", "k"], ["SET", "k", "w"], ["MSET", "k", "w"], ["INCR", "n"], ["SAVE"]):
            assert wire.call(*words) == ErrorReply(answer), words
        wire.send(frame("GET", "k") + frame("PING"))
        assert wire.reply() == ErrorReply(answer)
        assert wire.reply() == b"PONG"
        engine.error = None
        assert wire.call("GET", "k") == b"v"
        server.lives()


@every_design
def test_an_error_in_a_transaction_is_its_command_s_alone(design: str) -> None:
    """In EXEC a command that fails is answered by its error; when the batch cannot be written, EXEC is."""
    engine = FailingEngine()
    with besieged(design, engine=engine) as server, server.connect() as wire:
        wire.send(
            frame("MULTI") + frame("SET", "s", "text") + frame("INCR", "s") + frame("SET", "t", "x") + frame("EXEC")
        )
        assert [wire.reply() for _ in range(4)] == [b"OK", b"QUEUED", b"QUEUED", b"QUEUED"]
        answers = wire.reply()
        assert isinstance(answers, list)
        assert answers[::2] == [b"OK", b"OK"]
        assert isinstance(answers[1], ErrorReply)
        assert wire.call("MULTI") == b"OK"
        assert wire.call("SET", "u", "x") == b"QUEUED"
        engine.error = StorageError("the disk is full")
        assert wire.call("EXEC") == ErrorReply("ERR the disk is full")
        engine.error = None
        assert wire.call("MGET", "s", "t", "u") == [b"text", b"x", None]


@every_design
def test_two_hundred_stars_are_answered(design: str) -> None:
    """A pattern of 200 stars over a thousand keys is answered soon, and another client meanwhile."""
    engine = MemoryEngine()
    engine.write((b"a" * 100 + b"%d" % number, b"") for number in range(1_000))
    with besieged(design, engine=engine) as server, server.connect() as wire, server.connect() as other:
        wire.command("KEYS", "*a" * 200 + "*b")
        assert other.call("PING") == b"PONG"
        assert wire.reply() == []
        assert isinstance(wire.call("KEYS", "*" * 2_000), ErrorReply), "too long a pattern is refused"
        assert wire.call("PING") == b"PONG"


@polling_design
def test_what_takes_long_holds_up_nobody_else(design: str) -> None:
    """While one client's SAVE waits for the disk, others are answered, and behind it its own commands wait in order."""
    engine = GateEngine()
    with besieged(design, engine=engine) as server, server.connect() as slow, server.connect() as other:
        slow.send(frame("SAVE") + frame("SET", "k", "v") + frame("GET", "k"))
        assert engine.arrived.acquire(timeout=10)
        for number in range(100):
            assert other.call("INCR", "n") == number + 1
        engine.is_open.set()
        assert [slow.reply() for _ in range(3)] == [b"OK", b"OK", b"v"]


class SlowEngine(MemoryEngine):
    """Lets other threads run in the middle of everything: a race that can be lost is lost."""

    def get(self, key: bytes, default: object = None) -> object:  # type: ignore[override]  # of a test, and plain
        """Return a value, a moment later."""
        value = super().get(key, default)
        time.sleep(0)
        return value

    def write(self, ops: object) -> None:
        """Store a batch, a moment later."""
        batch: list[Op] = list(ops)  # type: ignore[call-overload]
        time.sleep(0)
        super().write(batch)


@every_design
def test_counting_loses_none(design: str) -> None:
    """Eight clients that INCR one key at the same time, in pipelines, count every one of their steps."""
    with besieged(design, engine=SlowEngine()) as server:

        def count() -> None:
            with server.connect() as wire:
                for _ in range(25):
                    wire.send(frame("INCR", "n") * 10)
                    for _ in range(10):
                        assert isinstance(wire.reply(), int)

        together(count, 8)
        assert server.engine[b"n"] == b"2000"


def step(wire: Wire) -> bool:
    """Count one step by WATCH and EXEC; return whether it counts."""
    assert wire.call("WATCH", "n") == b"OK"
    before = wire.call("GET", "n") or b"0"
    assert isinstance(before, bytes)
    assert wire.call("MULTI") == b"OK"
    assert wire.call("SET", "n", int(before) + 1) == b"QUEUED"
    answer = wire.call("EXEC")
    assert answer in ([b"OK"], None)
    return answer is not None


@every_design
def test_optimistic_counting_loses_none(design: str) -> None:
    """Eight clients that count by WATCH, GET, and MULTI SET EXEC, and try again when told to, lose no step."""
    with besieged(design, engine=SlowEngine()) as server:

        def count() -> None:
            with server.connect() as wire:
                for _ in range(20):
                    while not step(wire):
                        pass

        together(count, 8)
        assert server.engine[b"n"] == b"160"


def together(job: Callable[[], None], threads: int) -> None:
    """Run a job in several threads at the same time, to their ends."""
    __tracebackhide__ = True
    for call in [Call(job) for _ in range(threads)]:
        call.finish()
