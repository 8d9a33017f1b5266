"""COMMAND and the table behind it: what each command says of itself is true, and clients can read it."""

import pytest
from support.conversation import Conversation, service_of

from kvs.net.commands.table import BY_NAME, COMMANDS
from kvs.resp.command import Command
from kvs.resp.usage import arguments

ALL = [part for each in BY_NAME.values() for part in (each, *each.parts.values())]
REAL = [each for each in ALL if not each.parts]


@pytest.fixture
def talk() -> Conversation:
    """Return a client."""
    return Conversation(service_of())


@pytest.mark.parametrize("each", ALL, ids=lambda each: each.name)
def test_no_command_writes_in_the_pool(each: Command):
    """What may block runs beside the thread that writes, so it must not write: an INCR could come between."""
    assert not (each.may_block and each.is_write)


@pytest.mark.parametrize("each", REAL, ids=lambda each: each.name)
def test_usage_and_arity_agree(each: Command):
    """The words that a command's usage shows are as many as it takes."""
    needed = sum("optional" not in flags(each_one) for each_one in arguments(each.usage))
    needed += sum(word_count(each_one) - 1 for each_one in arguments(each.usage) if "optional" not in flags(each_one))
    least = needed + 1 + each.name.count("|")
    assert abs(each.arity) == least or each.name == "client|kill"  # either an address, or any number of filters
    is_open = any("optional" in flags(each_one) or "multiple" in flags(each_one) for each_one in arguments(each.usage))
    assert (each.arity < 0) == (is_open or each.name in {"quit", "client|kill"})


def flags(argument: dict) -> frozenset[str]:
    """Return the flags of an argument."""
    return argument.get("flags", frozenset())


def word_count(argument: dict) -> int:
    """Return how many words an argument is, at least."""
    if argument["type"] == "oneof":
        return min(map(word_count, argument["arguments"]))
    inner = sum(map(word_count, argument.get("arguments", []))) if argument["type"] == "block" else 1
    return inner + ("token" in argument and argument["type"] != "pure-token")


@pytest.mark.parametrize("each", REAL, ids=lambda each: each.name)
def test_summary_is_a_sentence(each: Command):
    """A command's summary is a sentence: COMMAND DOCS and help show it."""
    assert each.summary[0].isupper()
    assert each.summary.endswith(".")


@pytest.mark.parametrize("each", [each for each in ALL if each.keys.first], ids=lambda each: each.name)
def test_usage_and_keys_agree(each: Command):
    """A command with keys shows a key in its usage, at the place where COMMAND INFO says that the first one is."""
    names = [word for word in each.usage.split() if not word.startswith("[")]
    assert names[each.keys.first - 1 - each.name.count("|")] in {"key", "source"}


def test_what_is_carried_out_within_multi():
    """Only what ends or shapes a transaction is carried out at once within one; all else is queued or refused."""
    assert {each.name for each in ALL if each.at_once} == {"multi", "exec", "discard", "watch", "reset", "quit"}
    assert {each.name for each in ALL if each.alone} == {"save", "shutdown", "kvs.compact"}


def test_what_looks_at_all_keys_goes_to_the_pool():
    """Commands whose time grows with the store, or that wait for the disk, never run in the loop's own thread."""
    slow = {"keys", "scan", "randomkey", "kvs.scan", "kvs.compact", "info", "save", "bgsave", "lastsave", "client|list"}
    assert {each.name for each in ALL if each.may_block} == slow
    for name in slow:
        talk = Conversation(service_of(), defers=True)
        words = name.replace("|", " ").split() + {"keys": ["*"], "scan": ["0"], "kvs.scan": ["a", "z"]}.get(name, [])
        talk.connection.receive(" ".join(words).encode() + b"\r\n")
        work = talk.connection.work
        assert work is not None, name
        assert talk.heard() == []
        talk.connection.finish(work())
        assert len(talk.heard()) == 1


def test_names_are_found_however_they_are_written(talk: Conversation):
    """Commands and subcommands are found in any mixture of capitals."""
    assert [talk.say(name) for name in ("ping", "PING", "Ping", "pInG")] == [b"PONG"] * 4
    assert talk.say("cLIENT", "gEtNaMe") is None
    assert set(COMMANDS) == {name.encode() for lower in BY_NAME for name in (lower, lower.upper())}


def test_a_subcommand_is_no_command(talk: Conversation):
    """The full name of a subcommand, as COMMAND shows it, cannot be called as a command."""
    assert talk.error("client|id").startswith("ERR unknown command 'client|id'")


@pytest.mark.parametrize("protocol", [2, 3])
def test_command_describes_all_commands(talk: Conversation, protocol: int):
    """COMMAND has ten facts of each command, of the types that clients expect."""
    talk.say("HELLO", protocol)
    described = talk.say("COMMAND")
    assert len(described) == talk.say("COMMAND", "COUNT") == len(BY_NAME)
    assert [len(each) for each in described] == [10] * len(described)
    by_name = {each[0]: each for each in described}
    assert by_name[b"mset"][1:6] == [-3, {b"write", b"fast"} if protocol == 3 else [b"write", b"fast"], 1, -1, 2]
    assert {each[0] for each in by_name[b"client"][9]} >= {b"client|id", b"client|help"}
    assert talk.say("COMMAND", "INFO", "get", "nosuch", "client|id")[1] is None


@pytest.mark.parametrize("protocol", [2, 3])
def test_docs_have_what_redis_cli_reads(talk: Conversation, protocol: int):
    """COMMAND DOCS has a summary, a group and the arguments of each command; those of GET when that is asked for."""
    talk.say("HELLO", protocol)

    def mapped(value: object) -> object:
        """Return a map of either protocol as a mapping."""
        return dict(zip(value[::2], value[1::2], strict=True)) if isinstance(value, list) else value

    docs = mapped(talk.say("COMMAND", "DOCS"))
    assert set(docs) == {name.encode() for name in BY_NAME}
    assert all({b"summary", b"since", b"group"} <= set(mapped(each)) for each in docs.values())
    (get,) = mapped(talk.say("COMMAND", "DOCS", "get", "nosuch")).values()
    (argument,) = mapped(get)[b"arguments"]
    assert mapped(argument) == {b"name": b"key", b"type": b"key"}


def test_list_can_be_filtered(talk: Conversation):
    """COMMAND LIST has all names, or those that a pattern matches or a category has."""
    assert {name.decode() for name in talk.say("COMMAND", "LIST")} == set(BY_NAME)
    assert talk.say("COMMAND", "LIST", "FILTERBY", "PATTERN", "p?ng") == [b"ping"]
    assert b"multi" in talk.say("COMMAND", "LIST", "FILTERBY", "ACLCAT", "transaction")
    assert talk.say("COMMAND", "LIST", "FILTERBY", "MODULE", "any") == []


@pytest.mark.parametrize(
    ("usage", "wanted"),
    [
        ("", []),
        ("key value", [{"name": "key", "type": "key"}, {"name": "value", "type": "string"}]),
        ("[GET]", [{"name": "get", "type": "pure-token", "token": "GET", "flags": frozenset({"optional"})}]),
        ("[COUNT count]", [{"name": "count", "type": "integer", "token": "COUNT", "flags": frozenset({"optional"})}]),
        ("key [key ...]", [{"name": "key", "type": "key", "flags": frozenset({"multiple"})}]),
        (
            "[ID client-id [client-id ...]]",
            [{"name": "client-id", "type": "integer", "token": "ID", "flags": frozenset({"multiple", "optional"})}],
        ),
        (
            "ON | OFF",
            [
                {
                    "name": "choice",
                    "type": "oneof",
                    "arguments": [
                        {"name": "on", "type": "pure-token", "token": "ON"},
                        {"name": "off", "type": "pure-token", "token": "OFF"},
                    ],
                }
            ],
        ),
        (
            "a b [a b ...]",
            [
                {
                    "name": "words",
                    "type": "block",
                    "flags": frozenset({"multiple"}),
                    "arguments": [{"name": "a", "type": "string"}, {"name": "b", "type": "string"}],
                }
            ],
        ),
    ],
)
def test_usage_is_taken_apart(usage: str, wanted: list[dict]):
    """A usage becomes the arguments that COMMAND DOCS has."""
    assert arguments(usage) == wanted
