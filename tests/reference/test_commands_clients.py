"""CLIENT: who is connected, and away with them."""

import pytest
from support.conversation import Conversation, service_of

from kvs.net.service import Service


@pytest.fixture
def service() -> Service:
    """Return what the test's clients share."""
    return service_of()


def listed(talk: Conversation, *words: str | int) -> list[dict[str, str]]:
    """Return what CLIENT LIST says, a mapping for each client."""
    lines = talk.say("CLIENT", "LIST", *words).decode().splitlines()
    return [dict(fact.split("=", 1) for fact in line.split(" ")) for line in lines]


def test_list_has_a_line_for_each_client(service: Service):
    """CLIENT LIST tells of each client its number, address, name, library, protocol and last command."""
    first, second = Conversation(service, "192.0.2.1"), Conversation(service, "192.0.2.2")
    first.say("HELLO", 3, "SETNAME", "worker")
    second.say("CLIENT", "SETINFO", "LIB-NAME", "redis-py")
    second.say("CLIENT", "SETINFO", "lib-ver", "8.0")
    second.say("GET", "k")
    one, other = listed(first)
    assert one["id"] != other["id"]
    assert (
        one.items() >= {"addr": "192.0.2.1:1", "name": "worker", "resp": "3", "cmd": "client|list", "age": "0"}.items()
    )
    assert other.items() >= {"addr": "192.0.2.2:1", "lib-name": "redis-py", "lib-ver": "8.0", "cmd": "get"}.items()
    assert listed(first, "ID", one["id"], 999) == listed(second, "ID", one["id"])


def test_a_client_that_hung_up_is_not_listed(service: Service):
    """Who is gone is not in CLIENT LIST any more."""
    first, second = Conversation(service), Conversation(service)
    second.close()
    assert [each["id"] for each in listed(first)] == [str(first.say("CLIENT", "ID"))]


def test_info_is_the_own_line(service: Service):
    """CLIENT INFO is the line that CLIENT LIST has of the client that asks."""
    talk = Conversation(service)
    number = talk.say("CLIENT", "ID")
    assert talk.say("CLIENT", "INFO").startswith(f"id={number} addr=".encode())


@pytest.mark.parametrize("bad", ["two words", "line\nend", "caf\xe9", "\x7f"])
def test_what_would_spoil_the_list_is_refused(service: Service, bad: str):
    """A name or library with blanks, line ends or other than ASCII in it cannot be set: it would forge a line."""
    talk = Conversation(service)
    for words in (("SETNAME", bad), ("SETINFO", "LIB-NAME", bad), ("SETINFO", "LIB-VER", bad)):
        assert "cannot contain spaces" in talk.error("CLIENT", *words)
    assert "Unrecognized option" in talk.error("CLIENT", "SETINFO", "LIB-OTHER", "x")


def test_kill_closes_those_that_all_filters_want(service: Service):
    """CLIENT KILL closes the clients that fit each of its filters, and says how many."""
    me, one, other = Conversation(service, "192.0.2.1"), Conversation(service, "192.0.2.2"), Conversation(service)
    number = one.say("CLIENT", "ID")
    assert me.say("CLIENT", "KILL", "ID", number, "ADDR", "192.0.2.9:1") == 0
    assert me.say("CLIENT", "KILL", "ID", number, "ADDR", "192.0.2.2:1", "USER", "default") == 1
    assert (one.was_closed, other.was_closed, me.was_closed) == (True, False, False)


def test_kill_spares_the_one_who_asks(service: Service):
    """CLIENT KILL closes all others; the one who asks only with SKIPME no, and after its answer."""
    me, other = Conversation(service), Conversation(service)
    assert me.say("CLIENT", "KILL", "TYPE", "normal") == 1
    assert (me.connection.is_closing, other.was_closed) == (False, True)
    assert me.say_all(("CLIENT", "KILL", "ID", me.connection.id, "SKIPME", "no"), ("PING",)) == [1]
    assert me.connection.is_closing


def test_kill_by_address_is_the_old_form(service: Service):
    """CLIENT KILL with an address answers OK, or that there is no such client; it may be the own one."""
    me, other = Conversation(service, "192.0.2.1"), Conversation(service, "192.0.2.2")
    assert me.error("CLIENT", "KILL", "192.0.2.2:99") == "ERR No such client"
    assert me.say("CLIENT", "KILL", "192.0.2.2:1") == b"OK"
    assert other.was_closed
    assert me.say("CLIENT", "KILL", "192.0.2.1:1") == b"OK"
    assert me.connection.is_closing


def test_no_evict_and_no_touch_are_understood(service: Service):
    """Both answer OK to ON and OFF, and nothing else: some clients say them to every server."""
    talk = Conversation(service)
    for name in ("NO-EVICT", "NO-TOUCH"):
        assert [talk.say("CLIENT", name, word) for word in ("ON", "off")] == [b"OK", b"OK"]
        assert talk.error("CLIENT", name, "perhaps") == "ERR syntax error"


def test_help_names_every_subcommand(service: Service):
    """CLIENT HELP has each subcommand, with what it is for."""
    text = b"\n".join(Conversation(service).say("CLIENT", "HELP"))
    assert all(name in text for name in (b"SETINFO", b"KILL addr", b"NO-TOUCH ON | OFF", b"Return the number"))


def test_a_line_tells_since_when_a_client_is_silent(service: Service):
    """CLIENT LIST says for how many seconds a client has sent nothing, and has every field that libraries look for."""
    silent, asking = Conversation(service), Conversation(service)
    service.now_s -= 100
    silent.say("PING")
    service.now_s += 100
    lines = listed(asking)
    assert [100 <= int(line["idle"]) < 200 for line in lines] == [True, False]
    taken_for_granted = "age idle db sub psub multi qbuf qbuf-free argv-mem obl oll omem tot-mem cmd flags"
    assert set(taken_for_granted.split()) <= lines[0].keys()
