"""INFO, CONFIG, SAVE, compaction, SHUTDOWN: what an operator and the tools ask for."""

import time
from pathlib import Path

import pytest
from support.conversation import Conversation, service_of

import kvs
from kvs.errors import RemoteError
from kvs.net.options import ServerOptions


def facts(text: bytes) -> dict[str, str]:
    """Return the lines of an INFO that have a name and a value."""
    return dict(line.split(":", 1) for line in text.decode().split("\r\n") if ":" in line)


SECTIONS = ["Server", "Clients", "Memory", "Persistence", "Stats", "Replication", "Cluster", "Keyspace"]


def headings(text: bytes) -> list[str]:
    """Return the headings of an INFO."""
    return [line[2:] for line in text.decode().split("\r\n") if line.startswith("# ")]


def test_info_has_what_tools_look_for():
    """INFO has the versions, the clients, the memory, the counts and the keys by the names that tools know."""
    talk = Conversation(service_of(options=ServerOptions(max_clients=77)))
    talk.say_all(("SET", "k", "v"), ("NOSUCH",))
    found = facts(talk.say("INFO"))
    assert found["kvs_version"] == kvs.__version__
    assert found["redis_version"].count(".") == 2
    assert found["db0"] == "keys=1,expires=0,avg_ttl=0"
    wanted = {"redis_mode": "standalone", "role": "master", "loading": "0", "cluster_enabled": "0", "maxclients": "77"}
    assert found.items() >= wanted.items()
    assert (
        found.items() >= {"engine": "memory", "keys": "1", "connected_clients": "1", "total_error_replies": "1"}.items()
    )
    assert int(found["used_memory_peak"]) >= int(found["used_memory"]) > 1_000_000
    assert int(found["total_commands_processed"]) >= 2


def test_info_has_sections():
    """INFO has all sections, or those that are named, in their order; an unknown name is none."""
    talk = Conversation(service_of())
    assert headings(talk.say("INFO")) == SECTIONS
    for word in ("all", "DEFAULT", "everything"):
        assert headings(talk.say("INFO", word)) == SECTIONS
    assert headings(talk.say("INFO", "keyspace", "server")) == ["Server", "Keyspace"]
    assert talk.say("INFO", "nonsense") == b""
    assert "db0" not in facts(talk.say("INFO", "keyspace"))


def test_info_has_the_engines_own_figures(tmp_path: Path):
    """The section Keyspace has each figure of the engine by its name, those of its recovery too."""
    with kvs.open(tmp_path / "store", "log") as engine:
        talk = Conversation(service_of(engine))
        talk.say("SET", "k", "v")
        found = facts(talk.say("INFO", "keyspace"))
        stats = engine.stats()
    assert found.items() >= {"engine": "log", "segments": "1", "recovery_was_clean": "1"}.items()
    assert int(found["live_bytes"]) == stats.live_bytes
    assert "None" not in found.values()


def test_info_is_text_in_protocol_3():
    """In protocol 3 INFO and CLIENT LIST are texts, as Redis sends them; in protocol 2 plain strings."""
    talk = Conversation(service_of())
    for protocol, mark in ((2, b"$"), (3, b"=")):
        talk.say("HELLO", protocol)
        for words in (b"INFO\r\n", b"CLIENT LIST\r\n", b"CLIENT INFO\r\n"):
            talk.connection.receive(words)
            assert b"".join(map(bytes, talk.connection.out)).startswith(mark)
            talk.heard()


def test_config_keeps_the_password_to_itself():
    """CONFIG GET has no password, whatever the pattern."""
    talk = Conversation(service_of(options=ServerOptions(password="secret")))
    talk.say("AUTH", "secret")
    for pattern in ("*", "requirepass", "*pass*"):
        assert b"secret" not in talk.say("CONFIG", "GET", pattern)
        assert b"requirepass" not in talk.say("CONFIG", "GET", pattern)


def test_config_changes_nothing():
    """CONFIG SET is refused, save where it asks for what is so already."""
    talk = Conversation(service_of())
    before = talk.say("CONFIG", "GET", "*")
    assert talk.line("CONFIG SET maxclients 1 maxmemory 1") != b"OK"
    assert "can't set immutable config" in talk.error("CONFIG", "SET", "maxclients", 1)
    assert "Unknown option" in talk.error("CONFIG", "SET", "nonsense", 1)
    assert talk.say("CONFIG", "SET", "save", "", "APPENDONLY", "no") == b"OK"
    assert talk.say("CONFIG", "GET", "*") == before


@pytest.mark.parametrize("command", ["SAVE", "BGSAVE", "BGSAVE SCHEDULE"])
def test_save_makes_durable(tmp_path: Path, command: str):
    """After SAVE and after BGSAVE every write before it is on the disk, and LASTSAVE is not before it."""
    with kvs.open(tmp_path / "store", "log", sync="none") as engine:
        talk = Conversation(service_of(engine))
        talk.say("SET", "k", "v")
        assert engine.stats().unsynced_bytes > 0
        begun_s = int(time.time())
        assert not isinstance(talk.line(command), RemoteError)
        assert engine.stats().unsynced_bytes == 0
        assert talk.say("LASTSAVE") >= begun_s


def test_kvs_compact_returns_when_it_is_done(tmp_path: Path):
    """After KVS.COMPACT nothing dead is left."""
    with kvs.open(tmp_path / "store", "log") as engine:
        talk = Conversation(service_of(engine))
        for number in range(50):
            talk.say("SET", "k", number)
        assert engine.stats().dead_bytes > 0
        assert talk.say("KVS.COMPACT") == b"OK"
        assert engine.stats().dead_bytes == 0
        assert talk.say("GET", "k") == b"49"


def test_bgrewriteaof_only_asks_for_a_compaction():
    """BGREWRITEAOF asks the server for a compaction and answers at once."""
    service, asked = service_of(), []
    service.compact_soon = lambda: asked.append("compact")
    assert Conversation(service).say("BGREWRITEAOF").startswith(b"Background append only file rewriting")
    assert asked == ["compact"]


@pytest.mark.parametrize("words", ["SHUTDOWN", "SHUTDOWN NOSAVE", "shutdown save now", "SHUTDOWN NOW FORCE"])
def test_shutdown_stops_without_an_answer(words: str):
    """SHUTDOWN asks the server to stop; there is no answer, and nothing behind it is carried out."""
    service, asked = service_of(), []
    service.stop_soon = lambda: asked.append("stop")
    talk = Conversation(service)
    assert talk.say_all(tuple(words.split()), ("SET", "k", "v")) == []
    assert asked == ["stop"]
    assert talk.connection.is_closing
    assert len(service.engine) == 0


@pytest.mark.parametrize("words", ["SHUTDOWN nonsense", "SHUTDOWN SAVE NOSAVE", "SHUTDOWN ABORT"])
def test_shutdown_that_makes_no_sense_stops_nothing(words: str):
    """A SHUTDOWN that is not understood, or has nothing to abort, is an error, and the server goes on."""
    service, asked = service_of(), []
    service.stop_soon = lambda: asked.append("stop")
    talk = Conversation(service)
    assert talk.error(*words.split()).startswith("ERR ")
    assert asked == []
    assert not talk.connection.is_closing


def test_time_is_now():
    """TIME is the time of day, in seconds and millionths."""
    before = time.time()
    seconds, micros = map(int, Conversation(service_of()).say("TIME"))
    assert before - 1 <= seconds + micros / 1e6 <= time.time() + 1
    assert 0 <= micros < 1_000_000


LIFETIMES = [
    "SET k v EX 10", "SET k v PX 10", "SET k v EXAT 9999999999", "SET k v PXAT 9999999999999", "SETEX k 10 v",
    "PSETEX k 10 v", "EXPIRE k 10", "PEXPIRE k 10", "EXPIREAT k 9999999999", "PEXPIREAT k 9999999999999 NX",
    "GETEX k EX 10",
]  # fmt: skip


@pytest.mark.parametrize("words", LIFETIMES)
def test_a_time_to_live_is_refused_and_nothing_done(words: str):
    """Who wants a key to end by itself is told that it would not, and the key stays as it is."""
    talk = Conversation(service_of())
    talk.say("SET", "k", "before")
    assert "time to live is not supported" in talk.error(*words.split())
    assert talk.say("GET", "k") == b"before"
