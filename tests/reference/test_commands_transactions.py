"""MULTI, EXEC and WATCH: one step to everybody else, one batch to the engine, and never a change overlooked."""

import threading
from collections.abc import Iterable

import pytest
from support.conversation import Conversation, service_of

from kvs.engine import Op
from kvs.errors import RemoteError, StorageError
from kvs.memory import MemoryEngine
from kvs.net.commands import longreply

DEADLINE_S = 10.0


class Watched(MemoryEngine):
    """An engine that notes its batches, and stops before each, or refuses it, when it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self.batches: list[dict[bytes, bytes | None]] = []
        self.trouble: Exception | None = None
        self.has_come = threading.Event()
        self.may_go = threading.Event()
        self.may_go.set()

    def write(self, ops: Iterable[Op]) -> None:
        """Apply a batch."""
        batch = dict(ops)
        self.has_come.set()
        assert self.may_go.wait(DEADLINE_S), "nobody let the batch go"
        if self.trouble is not None:
            raise self.trouble
        self.batches.append(batch)
        super().write(batch.items())


def test_a_transaction_is_one_batch_of_the_engine():
    """What the commands of an EXEC change reaches the engine as one batch, so a crash leaves all of it or none."""
    engine = Watched()
    talk = Conversation(service_of(engine))
    engine.set(b"gone", b"1")
    replies = talk.say_all(
        ("MULTI",), ("SET", "a", 1), ("INCR", "a"), ("DEL", "gone"), ("MSET", "b", 2, "c", 3), ("EXEC",)
    )
    assert replies[-1] == [b"OK", 2, 1, b"OK"]
    assert engine.batches == [{b"a": b"2", b"gone": None, b"b": b"2", b"c": b"3"}]


def test_a_transaction_that_only_reads_writes_nothing():
    """An EXEC whose commands change nothing gives the engine nothing to write."""
    engine = Watched()
    talk = Conversation(service_of(engine))
    assert talk.say_all(("MULTI",), ("GET", "a"), ("DBSIZE",), ("EXEC",))[-1] == [None, 0]
    assert engine.batches == []


def test_nobody_sees_half_a_transaction():
    """While an EXEC is on its way to the engine, others read what was there before; afterwards all that is new."""
    engine = Watched()
    service = service_of(engine, is_threaded=True)
    writer, reader = Conversation(service), Conversation(service)
    writer.say_all(("MULTI",), ("SET", "a", 1), ("SET", "b", 1))
    engine.may_go.clear()
    thread = threading.Thread(target=writer.connection.receive, args=(b"EXEC\r\n",))
    thread.start()
    try:
        assert engine.has_come.wait(DEADLINE_S)
        assert [reader.say("GET", "a"), reader.say("GET", "b")] == [None, None]
    finally:
        engine.may_go.set()
        thread.join(DEADLINE_S)
    assert writer.heard() == [[b"OK", b"OK"]]
    assert reader.say("MGET", "a", "b") == [b"1", b"1"]


def test_a_change_under_way_is_not_overlooked_by_watch():
    """Who begins to watch a key while an EXEC with a change of it is under way, and reads the old value, is told.

    1. A's EXEC has run its SET, and waits for the engine.
    2. B watches the key and reads it: the old value.
    3. A's change comes to be.
    4. B's EXEC must do nothing: it would undo A's change.
    """
    engine = Watched()
    service = service_of(engine, is_threaded=True)
    a, b = Conversation(service), Conversation(service)
    engine.set(b"k", b"0")
    a.say_all(("MULTI",), ("SET", "k", "A"))
    engine.may_go.clear()
    thread = threading.Thread(target=a.connection.receive, args=(b"EXEC\r\n",))
    thread.start()
    try:
        assert engine.has_come.wait(DEADLINE_S)
        assert b.say("WATCH", "k") == b"OK"
        assert b.say("GET", "k") == b"0"
    finally:
        engine.may_go.set()
        thread.join(DEADLINE_S)
    assert b.say_all(("MULTI",), ("SET", "k", "B"), ("EXEC",))[-1] is None
    assert b.say("GET", "k") == b"A"


def test_watch_and_exec_lose_no_step_of_a_counter():
    """Clients in threads that count by WATCH, GET and EXEC, and begin anew when that did nothing, lose no step."""
    service, steps = service_of(is_threaded=True), 60
    trouble: list[Exception] = []

    def count() -> None:
        talk, done = Conversation(service), 0
        try:
            while done < steps:
                talk.say("WATCH", "n")
                value = int(talk.say("GET", "n") or 0) + 1
                done += talk.say_all(("MULTI",), ("SET", "n", value), ("EXEC",))[-1] is not None
        except Exception as error:  # noqa: BLE001  # the test's thread is to hear of it
            trouble.append(error)

    threads = [threading.Thread(target=count, daemon=True) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(DEADLINE_S)
    assert trouble == []
    assert Conversation(service).say("GET", "n") == b"%d" % (4 * steps)


def test_a_batch_that_fails_is_one_error_and_no_change():
    """When the engine refuses the changes, EXEC is answered by one error, and nothing was changed."""
    engine = Watched()
    talk = Conversation(service_of(engine))
    talk.say("SET", "a", "before")
    engine.trouble = StorageError("no space left on device")
    replies = talk.say_all(("MULTI",), ("SET", "a", "after"), ("SET", "b", 1), ("EXEC",))
    assert str(replies[-1]) == "ERR no space left on device"
    engine.trouble = None
    assert talk.say("MGET", "a", "b") == [b"before", None]
    assert talk.say("EXEC").args == ("ERR EXEC without MULTI",)


def test_a_command_that_fails_does_not_stop_the_others():
    """A command that fails within EXEC is answered by its error, in its place; those around it are carried out."""
    talk = Conversation(service_of())
    talk.say("SET", "word", "x")
    *_, replies = talk.say_all(("MULTI",), ("SET", "a", 1), ("INCR", "word"), ("SET", "b", 2), ("EXEC",))
    assert [type(reply) for reply in replies] == [bytes, RemoteError, bytes]
    assert talk.say("MGET", "a", "word", "b") == [b"1", b"x", b"2"]


@pytest.mark.parametrize(
    "change",
    ["SET k 1", "DEL k", "GETDEL k", "INCR k", "APPEND k 1", "SETRANGE k 0 5", "MSET x 1 k 2", "RENAME k other",
     "RENAME x k", "COPY x k REPLACE", "FLUSHALL", "UNLINK x k", "GETSET k 1", "DECRBY k 2"],
)  # fmt: skip
def test_every_change_of_a_watched_key_is_noticed(change: str):
    """Whatever changes a watched key, from another client or in another's transaction, stops the EXEC."""
    for is_queued in (False, True):
        service = service_of()
        watcher, other = Conversation(service), Conversation(service)
        other.say("MSET", "k", 7, "x", 8)
        watcher.say("WATCH", "k")
        commands = [tuple(change.split())]
        other.say_all(*([("MULTI",), *commands, ("EXEC",)] if is_queued else commands))
        assert watcher.say_all(("MULTI",), ("PING",), ("EXEC",))[-1] is None, (change, is_queued)


@pytest.mark.parametrize(
    "harmless",
    ["GET k", "SET other 1", "SETNX k 1", "SET k 1 NX", "DEL nothere", "MSETNX k 1 y 2", "RENAMENX x k", "COPY x k",
     "EXISTS k", "RENAME k k", "INCR word"],
)  # fmt: skip
def test_what_changes_nothing_disturbs_no_watcher(harmless: str):
    """A command that leaves a watched key as it is does not stop the EXEC."""
    service = service_of()
    watcher, other = Conversation(service), Conversation(service)
    other.say("MSET", "k", 7, "x", 8, "word", "w")
    watcher.say("WATCH", "k")
    other.line(harmless)
    assert watcher.say_all(("MULTI",), ("PING",), ("EXEC",))[-1] == [b"PONG"]


@pytest.mark.parametrize("end", ["UNWATCH", "EXEC", "DISCARD", "RESET", "close"])
def test_watches_are_forgotten(end: str):
    """After UNWATCH, EXEC, DISCARD, RESET and the end of the connection nothing is kept of what it watched."""
    service = service_of()
    talk = Conversation(service)
    talk.say("WATCH", "a", "b")
    assert service.watches.is_any
    if end in {"EXEC", "DISCARD"}:
        talk.say("MULTI")
    talk.close() if end == "close" else talk.say(end)
    assert not service.watches.is_any
    assert not talk.connection.watched


def test_what_may_block_runs_in_place_within_exec():
    """Commands that would go to the pool run within EXEC, and see the changes made before them there."""
    talk = Conversation(service_of(), defers=True)
    *_, replies = talk.say_all(("MULTI",), ("SET", "a", 1), ("KEYS", "*"), ("SCAN", 0), ("KVS.SCAN", "", ""), ("EXEC",))
    assert replies == [b"OK", [b"a"], [b"0", [b"a"]], [b"a", b"1"]]
    assert talk.connection.work is None


@pytest.mark.parametrize("command", ["SAVE", "KVS.COMPACT", "SHUTDOWN"])
def test_what_cannot_be_part_of_a_step_is_not_queued(command: str):
    """SAVE, KVS.COMPACT and SHUTDOWN are refused within MULTI, and the EXEC after them too."""
    talk = Conversation(service_of())
    refused, end = talk.say_all(("MULTI",), (command,), ("EXEC",))[1:]
    assert str(refused) == "ERR Command not allowed inside a transaction"
    assert end.code == "EXECABORT"


def test_an_error_before_multi_does_not_break_it():
    """Only what is refused after MULTI makes EXEC refuse."""
    talk = Conversation(service_of())
    talk.error("NOSUCH")
    assert talk.say_all(("MULTI",), ("PING",), ("EXEC",))[-1] == [b"PONG"]


def test_gathered_writes_and_transactions_are_one_batch():
    """Where the writes of a turn are gathered, a transaction's are among them, and reach the engine with the others."""
    engine = Watched()
    service = service_of(engine, gathers=True)
    first, second = Conversation(service), Conversation(service)
    first.say("SET", "a", 1)
    assert second.say_all(("MULTI",), ("INCR", "a"), ("SET", "b", 2), ("EXEC",))[-1] == [2, b"OK"]
    assert first.say("MGET", "a", "b") == [b"2", b"2"]
    assert engine.batches == []
    assert service.staged is not None
    service.staged.commit()
    assert engine.batches == [{b"a": b"2", b"b": b"2"}]


def test_too_large_a_reply_undoes_the_transaction(monkeypatch: pytest.MonkeyPatch):
    """An EXEC whose replies together would be larger than one may be is refused, and has changed nothing."""
    monkeypatch.setattr(longreply, "MAX_REPLY_BYTES", 10_000)
    talk = Conversation(service_of())
    talk.say("SET", "large", b"x" * 4_000)
    commands = [("GET", "large")] * 3
    refused = talk.say_all(("MULTI",), ("SET", "a", 1), *commands, ("EXEC",))[-1]
    assert "larger than 10,000 bytes" in str(refused)
    assert talk.say("EXISTS", "a") == 0
    assert talk.say_all(("MULTI",), *commands[:2], ("EXEC",))[-1] == [b"x" * 4_000] * 2
