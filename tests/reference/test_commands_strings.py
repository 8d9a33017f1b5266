"""Commands on keys and values: what is one step is one step, and what cannot be stored is refused before it is made."""

import threading
from collections.abc import Iterable

import pytest
from support.conversation import Conversation, service_of

from kvs.engine import MAX_KEY_BYTES, Op
from kvs.memory import MemoryEngine
from kvs.net.commands import changes

DEADLINE_S = 30.0


class Batches(MemoryEngine):
    """An engine that notes each change that is made to it."""

    def __init__(self) -> None:
        super().__init__()
        self.made: list[dict[bytes, bytes | None]] = []

    def set(self, key: bytes, value: bytes) -> None:
        """Note and set."""
        self.made.append({key: value})
        super().set(key, value)

    def remove(self, key: bytes) -> None:
        """Note and remove."""
        super().remove(key)
        self.made.append({key: None})

    def write(self, ops: Iterable[Op]) -> None:
        """Note and write."""
        batch = dict(ops)
        self.made.append(batch)
        super().write(batch.items())


@pytest.mark.parametrize(
    ("command", "change"),
    [
        ("MSET a 1 b 2 a 3", {b"a": b"3", b"b": b"2"}),
        ("MSETNX a 1 b 2", {b"a": b"1", b"b": b"2"}),
        ("DEL x y x nothere", {b"x": None, b"y": None}),
        ("UNLINK y x", {b"x": None, b"y": None}),
        ("RENAME x z", {b"x": None, b"z": b"X"}),
        ("RENAMENX x z", {b"x": None, b"z": b"X"}),
        ("COPY x z", {b"z": b"X"}),
        ("GETDEL x", {b"x": None}),
        ("INCR n", {b"n": b"1"}),
        ("APPEND x more", {b"x": b"Xmore"}),
        ("SETRANGE n 2 x", {b"n": b"\0\0x"}),
    ],
)
def test_a_command_is_one_change(command: str, change: dict[bytes, bytes | None]):
    """Each command that writes is one change of the engine, so a crash leaves all of it or none."""
    engine = Batches()
    talk = Conversation(service_of(engine))
    talk.say("MSET", "x", "X", "y", "Y")
    engine.made.clear()
    talk.line(command)
    assert engine.made == [change]


@pytest.mark.parametrize("command", ["SET k v XX", "SETNX x 1", "MSETNX n 1 x 2", "DEL n", "RENAMENX x y", "COPY x y",
                                     "APPEND n ?", "RENAME n x", "GETDEL n", "INCR x", "SETRANGE n 5 "])  # fmt: skip
def test_what_is_refused_changes_nothing(command: str):
    """A command that is not carried out, for its condition or an error, leaves the engine alone."""
    engine = Batches()
    talk = Conversation(service_of(engine))
    talk.say("MSET", "x", "X", "y", "Y")
    engine.made.clear()
    talk.say(*(b"" if word == "?" else word for word in command.split(" ")))
    assert engine.made in ([], [{b"n": b""}])  # to append nothing makes a key of nothing, as in Redis


def test_values_have_a_limit(monkeypatch: pytest.MonkeyPatch):
    """APPEND and SETRANGE refuse a value that would be too long, before they make it."""
    monkeypatch.setattr(changes, "MAX_VALUE_BYTES", 100)
    talk = Conversation(service_of())
    talk.say("SET", "k", b"x" * 90)
    for words in (("APPEND", "k", b"y" * 11), ("SETRANGE", "k", 91, b"y" * 10), ("SETRANGE", "new", 100, "y")):
        assert "exceeds maximum allowed size" in talk.error(*words)
    assert talk.say("APPEND", "k", b"y" * 10) == 100
    assert talk.say("SETRANGE", "k", 90, b"z" * 10) == 100
    assert talk.say("EXISTS", "new") == 0


def test_a_key_too_long_is_an_error_and_not_half_a_command():
    """A key that the engine cannot hold is refused with the rest of its command, and under it there is nothing."""
    talk = Conversation(service_of())
    long = b"k" * (MAX_KEY_BYTES + 1)
    assert "a key has at most" in talk.error("SET", long, "v")
    assert "a key has at most" in talk.error("MSET", "a", 1, long, 2)
    assert [talk.say("GET", long), talk.say("EXISTS", long, "a"), talk.say("DBSIZE")] == [None, 0, 0]


@pytest.mark.parametrize(
    "steps",
    [
        ["INCR n"],
        ["INCRBY n 3", "DECRBY n 2"],
        ["GETSET other x", "INCR n"],
        ["MULTI", "GET n", "INCR n", "EXEC"],
    ],
)
def test_no_step_of_threads_is_lost(steps: list[str]):
    """Read, change and write is one step: clients in threads that all add 1 lose nothing."""
    service = service_of(is_threaded=True)

    def add() -> None:
        talk = Conversation(service)
        for _ in range(150):
            for step in steps:
                talk.line(step)

    threads = [threading.Thread(target=add, daemon=True) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(DEADLINE_S)
    assert Conversation(service).say("GET", "n") == b"600"


def test_setnx_has_one_winner():
    """Of many clients in threads that set a key if it has no value, one does."""
    service = service_of(is_threaded=True)
    won: list[int] = []

    def race(barrier: threading.Barrier) -> None:
        talk = Conversation(service)
        barrier.wait(DEADLINE_S)
        won.extend(number for number in range(100) if talk.say("SETNX", number, "mine") == 1)

    barrier = threading.Barrier(4)
    threads = [threading.Thread(target=race, args=(barrier,), daemon=True) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(DEADLINE_S)
    assert sorted(won) == list(range(100))
