"""Commands on all keys: walks that miss nothing, whatever happens meanwhile, and answers that have a bound."""

import random
import threading
from collections.abc import Iterator

import pytest
from support.conversation import Conversation, service_of

from kvs.engine import Engine
from kvs.errors import RemoteError
from kvs.memory import MemoryEngine
from kvs.net.commands import keyspace, longreply
from kvs.net.glob import Glob

DEADLINE_S = 10.0


def walk(talk: Conversation, *options: bytes | str | int, between=lambda: None) -> list[bytes]:
    """Return all keys that SCAN meets from its beginning to its end."""
    met: list[bytes] = []
    cursor = b"0"
    for _ in range(100_000):
        cursor, keys = talk.say("SCAN", cursor, *options)
        met += keys
        if cursor == b"0":
            return met
        between()
    raise AssertionError("the walk has no end")


@pytest.mark.parametrize("count", [1, 2, 7, 10, 100, 1_000])
def test_scan_meets_every_key_once(count: int):
    """A walk with any COUNT meets every key, each once, also when the last page is full."""
    talk = Conversation(service_of())
    keys = [b"k%03d" % number for number in range(100)]
    for key in keys:
        talk.say("SET", key, "v")
    assert walk(talk, "COUNT", count) == keys


def test_scan_meets_what_is_there_all_the_time(rng: random.Random):
    """Keys that are there from the beginning of a walk to its end are met once, whatever comes and goes meanwhile."""
    talk = Conversation(service_of())
    staying = {b"stay%d" % number for number in range(200)}
    for key in staying:
        talk.say("SET", key, "v")

    def disturb() -> None:
        for _ in range(5):
            other = rng.randbytes(rng.randrange(6))
            talk.say(*rng.choice([("SET", other, "v"), ("DEL", other)]))

    met = walk(talk, "COUNT", 3, between=disturb)
    assert staying <= set(met)
    assert len([key for key in met if key in staying]) == len(staying)


class Thinning(MemoryEngine):
    """An engine of which keys go while a scan is under way: those that it has chosen and not reached."""

    def scan(self, start=None, stop=None, *, prefix=None, limit=None, reverse=False) -> Iterator[tuple[bytes, bytes]]:
        """Walk, and remove a key after the first one that was reached."""
        pairs = super().scan(start, stop, prefix=prefix, limit=limit, reverse=reverse)
        for number, pair in enumerate(pairs):
            if number == 0:
                neighbours = [key for key in sorted(self, reverse=reverse) if (key > pair[0]) != reverse]
                for key in neighbours[:1]:
                    if not key.startswith(b"stay"):
                        self.remove(key)
            yield pair


@pytest.mark.parametrize("words", ["", "REVERSE"])
def test_a_page_is_short_only_at_the_end(words: str):
    """KVS.SCAN with LIMIT answers with so many keys as long as there are, also when some go in mid-walk."""
    engine = Thinning()
    talk = Conversation(service_of(engine))
    for number in range(5):
        engine.set(b"go%d" % number, b"v")
        engine.set(b"stay%d" % number, b"v")
    page = talk.line(f"KVS.SCAN a z LIMIT 4 KEYS {words}".strip())
    assert len(page) == 4


def test_scan_does_not_end_early_when_keys_go():
    """A page of SCAN that is short because keys went in mid-walk is not taken for the last one."""
    engine = Thinning()
    talk = Conversation(service_of(engine))
    for number in range(40):
        engine.set(b"a%02d" % number, b"v")
        engine.set(b"stay%02d" % number, b"v")
    met = walk(talk, "COUNT", 2)
    assert [key for key in met if key.startswith(b"stay")] == [b"stay%02d" % number for number in range(40)]


def test_a_cursor_that_is_not_known_is_an_error():
    """SCAN with a cursor that was never given out, or has been forgotten, is refused: no walk ends short in silence."""
    talk = Conversation(service_of())
    assert "invalid cursor" in talk.error("SCAN", 77)
    for number in range(200):
        talk.say("SET", b"%03d" % number + b"x" * 60_000, "v")
    first, _ = talk.say("SCAN", 0, "COUNT", 1)
    walk(talk, "COUNT", 1)
    assert "invalid cursor" in talk.error("SCAN", first)


def test_count_is_a_wish_with_a_bound(monkeypatch: pytest.MonkeyPatch):
    """However large the COUNT, a page has a bound; the walk goes on behind it."""
    monkeypatch.setattr(keyspace, "MAX_COUNT", 5)
    talk = Conversation(service_of())
    talk.say("MSET", *(word for number in range(12) for word in (b"k%02d" % number, "v")))
    cursor, keys = talk.say("SCAN", 0, "COUNT", 2**62)
    assert cursor != b"0"
    assert len(keys) == 5
    assert len(walk(talk, "COUNT", 2**62)) == 12


def test_patterns_choose_the_same_keys_however_they_are_found(rng: random.Random):
    """KEYS and SCAN find what the pattern matches: by a prefix, by the one key it can be, or by looking at all."""
    talk = Conversation(service_of())
    letters = [b"a", b"b", b"*", b"\\", b"?", b"[", b"\xff", b"\x00"]
    keys = {b"".join(rng.choices(letters, k=rng.randrange(5))) for _ in range(150)}
    for key in keys:
        talk.say("SET", key, "v")
    for _ in range(150):
        pattern = b"".join(rng.choices([*letters, b"*", b"[ab]", b"\\*"], k=rng.randrange(6)))
        wanted = sorted(filter(Glob.parse(pattern).matches, keys))
        assert sorted(talk.say("KEYS", pattern)) == wanted, pattern
        assert walk(talk, "MATCH", pattern, "COUNT", 4) == wanted, pattern


KEYS = (b"", b"a", b"a\x00", b"ab", b"b", b"\xff")


@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        ((b"", b""), KEYS),
        ((b"a", b""), KEYS[1:]),
        ((b"a", b"b"), KEYS[1:4]),
        ((b"", b"a"), KEYS[:1]),
        ((b"b", b"a"), ()),
        ((b"", b"", "LIMIT", 2), KEYS[:2]),
        ((b"", b"", "LIMIT", 0), ()),
        ((b"", b"", "REVERSE"), KEYS[::-1]),
        ((b"a", b"b", "limit", 2, "reverse"), (b"ab", b"a\x00")),
        ((b"a", b"b", "REVERSE", "LIMIT", 100), (b"ab", b"a\x00", b"a")),
    ],
)
def test_kvs_scan_walks_in_key_order(words: tuple[bytes | str | int, ...], wanted: tuple[bytes, ...]):
    """KVS.SCAN returns keys and values from start to before stop; an empty stop means to the end."""
    talk = Conversation(service_of())
    for key in KEYS:
        talk.say("SET", key, b"<" + key + b">")
    assert talk.say("KVS.SCAN", *words) == [word for key in wanted for word in (key, b"<" + key + b">")]
    assert talk.say("KVS.SCAN", *words, "KEYS") == list(wanted)


@pytest.mark.parametrize(
    "words", ["LIMIT", "LIMIT -1", "LIMIT x", "nonsense", "REVERSE nonsense", "LIMIT 1 LIMIT 2", "LIMIT LIMIT 1"]
)
def test_kvs_scan_refuses_what_makes_no_sense(words: str):
    """Options of KVS.SCAN that are wrong are an error, not a walk over everything."""
    assert Conversation(service_of()).error("KVS.SCAN", "", "", *words.split()).startswith("ERR ")


@pytest.mark.parametrize("command", ["MGET k k k", "KEYS *", "KVS.SCAN a z", "KVS.SCAN a z LIMIT 500"])
def test_a_reply_has_a_bound(monkeypatch: pytest.MonkeyPatch, command: str):
    """A command of a few bytes cannot ask for more bytes at once than anybody should hold."""
    monkeypatch.setattr(longreply, "MAX_REPLY_BYTES", 10_000)
    talk = Conversation(service_of())
    talk.say("SET", "k", b"x" * 4_000)
    for number in range(200):
        talk.say("SET", f"key{number}", "v")
    assert "larger than 10,000 bytes" in talk.error(*command.split())
    assert len(talk.say("KVS.SCAN", "a", "z", "LIMIT", 10)) == 20


def test_flushall_is_one_batch():
    """FLUSHALL removes all keys as one step of the engine, whatever its options."""
    batches: list[int] = []

    class Counting(MemoryEngine):
        def write(self, ops) -> None:
            batch = list(ops)
            batches.append(len(batch))
            super().write(batch)

    for number, words in enumerate(["FLUSHALL", "FLUSHDB", "FLUSHALL ASYNC", "flushdb sync"], 1):
        talk = Conversation(service_of(Counting()))
        for key in range(10):
            talk.say("SET", key, "v")
        assert talk.line(words) == b"OK"
        assert talk.say("DBSIZE") == 0
        assert batches == [10] * number


def test_flushall_waits_for_a_step_that_is_begun():
    """Where commands run in threads, FLUSHALL comes before an INCR or after it, never between its two halves.

    1. INCR has read 5, and is about to write 6.
    2. FLUSHALL is asked for.
    3. INCR writes. Had FLUSHALL been carried out, the 6 would now stand in a store that was emptied after it.
    """

    class Slow(MemoryEngine):
        has_come, may_go = threading.Event(), threading.Event()

        def set(self, key: bytes, value: bytes) -> None:
            if value == b"6":
                self.has_come.set()
                assert self.may_go.wait(DEADLINE_S)
            super().set(key, value)

    engine = Slow()
    service = service_of(engine, is_threaded=True)
    one, other = Conversation(service), Conversation(service)
    one.say("SET", "n", 5)
    adding = threading.Thread(target=one.connection.receive, args=(b"INCR n\r\n",), daemon=True)
    flushing = threading.Thread(target=other.connection.receive, args=(b"FLUSHALL\r\n",), daemon=True)
    adding.start()
    assert engine.has_come.wait(DEADLINE_S)
    flushing.start()
    flushing.join(0.2)  # a faulty one is done by now; one that waits is none the worse for it
    engine.may_go.set()
    adding.join(DEADLINE_S)
    flushing.join(DEADLINE_S)
    assert (one.heard(), other.heard()) == ([6], [b"OK"])
    assert one.say("EXISTS", "n") == 0


def test_randomkey_reaches_every_key():
    """RANDOMKEY returns each key now and then."""
    talk = Conversation(service_of())
    talk.say("MSET", "a", 1, "b", 2, "c", 3)
    assert {talk.say("RANDOMKEY") for _ in range(200)} == {b"a", b"b", b"c"}


def test_an_engine_that_fails_is_an_error_and_the_talk_goes_on():
    """When the engine raises in mid-walk the client gets an error, and its next command its answer."""

    class Failing(MemoryEngine):
        def scan(self, *_args, **_options) -> Iterator[tuple[bytes, bytes]]:
            raise OSError("the disk is on fire")

    engine: Engine = Failing()
    talk = Conversation(service_of(engine))
    reply = talk.say("SCAN", 0)
    assert isinstance(reply, RemoteError)
    assert "fire" not in str(reply)
    assert talk.say("PING") == b"PONG"
