"""HELLO, AUTH, RESET: who may speak, in which protocol, and how often one may guess."""

import logging
import time

import pytest
from support.conversation import Conversation, service_of

from kvs.errors import RemoteError
from kvs.net.commands.table import BY_NAME
from kvs.net.guesses import PER_SECOND
from kvs.net.options import ServerOptions
from kvs.net.service import Service

SECRET = "correct horse"
DEADLINE_S = 10.0


@pytest.fixture
def guarded() -> Service:
    """Return a service that asks for a password."""
    return service_of(options=ServerOptions(password=SECRET))


def test_strangers_may_do_four_things(guarded: Service):
    """Before the password only AUTH, HELLO, RESET and QUIT are heard; all else is NOAUTH, known or not."""
    for name in [*BY_NAME, "nosuch"]:
        talk = Conversation(guarded)
        reply = talk.say(name, "a", "b")
        if name in {"auth", "hello", "quit", "reset"}:
            continue
        assert isinstance(reply, RemoteError), name
        assert str(reply) == "NOAUTH Authentication required.", name
    assert {name for name, each in BY_NAME.items() if each.before_auth} == {"auth", "hello", "quit", "reset"}


@pytest.mark.parametrize(
    "words",
    [("AUTH", SECRET), ("AUTH", "default", SECRET), ("HELLO", 2, "AUTH", "default", SECRET)],
    ids=["one word", "two words", "hello"],
)
def test_the_password_opens(guarded: Service, words: tuple[str | int, ...]):
    """AUTH with the password, with or without the user's name, and HELLO with both let a client in."""
    talk = Conversation(guarded)
    assert not isinstance(talk.say(*words), RemoteError)
    assert talk.say("SET", "k", "v") == b"OK"


@pytest.mark.parametrize(
    "words",
    [("AUTH", "wrong"), ("AUTH", ""), ("AUTH", SECRET[:-1]), ("AUTH", SECRET + "x"), ("AUTH", "admin", SECRET),
     ("HELLO", 3, "AUTH", "default", "wrong"), ("HELLO", 3, "AUTH", "admin", SECRET)],
)  # fmt: skip
def test_a_wrong_password_does_not_open(guarded: Service, words: tuple[str | int, ...]):
    """A wrong password, or the right one for a user that there is not, is WRONGPASS, and the client stays out."""
    talk = Conversation(guarded)
    assert talk.error(*words).startswith("WRONGPASS ")
    assert talk.error("GET", "k").startswith("NOAUTH ")
    assert talk.connection.protocol == 2


def test_guesses_have_a_rate(guarded: Service):
    """After so many wrong passwords in a second not even the right one is looked at; a second later it is."""
    deadline = time.monotonic() + DEADLINE_S
    while True:  # again, should the second end between the guesses
        talk = Conversation(guarded)
        begun_s = int(time.monotonic())
        wrong = [talk.error("AUTH", f"guess {number}") for number in range(PER_SECOND)]
        right = talk.say("AUTH", SECRET)
        if int(time.monotonic()) == begun_s:
            break
        assert time.monotonic() < deadline, "this machine is too slow to guess"
    assert all(text.startswith("WRONGPASS ") for text in wrong)
    assert "too many wrong passwords" in str(right)
    while isinstance(talk.say("AUTH", SECRET), RemoteError):
        assert time.monotonic() < deadline, "the guesses are never forgotten"
        time.sleep(0.05)
    assert talk.say("PING") == b"PONG"


def test_guesses_are_counted_by_address(guarded: Service):
    """A new connection from the same address has no new guesses; another address has its own."""
    guessed = 0
    for _ in range(4 * PER_SECOND):  # more than fit into any two seconds that this takes
        guessed += Conversation(guarded, "198.51.100.1").error("AUTH", "guess").startswith("WRONGPASS")
    assert PER_SECOND <= guessed <= 2 * PER_SECOND
    assert Conversation(guarded, "198.51.100.2").say("AUTH", SECRET) == b"OK"


def test_secrets_stay_secret(guarded: Service, caplog: pytest.LogCaptureFixture):
    """No password, right or wrong, stands in a log, in CLIENT LIST, in INFO, in CONFIG or in an error."""
    caplog.set_level(logging.DEBUG)
    talk = Conversation(guarded)
    heard = [talk.say("AUTH", "a wrong guess"), talk.say("HELLO", 3, "AUTH", "default", "a wrong guess")]
    heard += [talk.say("HELLO", 3, "AUTH", "default", SECRET, "nonsense"), talk.say("AUTH", SECRET)]
    heard += [talk.line(words) for words in ("CLIENT LIST", "CLIENT INFO", "INFO", "CONFIG GET *", "COMMAND DOCS AUTH")]
    everything = " ".join(map(str, heard)) + caplog.text + repr(guarded.options)
    assert SECRET not in everything
    assert "a wrong guess" not in everything


def test_reset_makes_a_stranger(guarded: Service):
    """After RESET the password is asked for again, the protocol is 2, and a transaction begun is forgotten."""
    talk = Conversation(guarded)
    talk.say("HELLO", 3, "AUTH", "default", SECRET, "SETNAME", "me")
    talk.say_all(("WATCH", "k"), ("MULTI",), ("SET", "k", 1))
    assert talk.say("RESET") == b"RESET"
    assert talk.error("GET", "k").startswith("NOAUTH ")
    assert (talk.connection.protocol, talk.connection.name, talk.connection.queue) == (2, b"", None)
    assert talk.say_all(("AUTH", SECRET), ("GET", "k")) == [b"OK", None]


def test_without_a_password_everybody_is_in():
    """Where no password is asked for, RESET leaves a client what it was: welcome."""
    talk = Conversation(service_of())
    assert talk.say("RESET") == b"RESET"
    assert talk.say("SET", "k", "v") == b"OK"


def test_hello_is_carried_out_whole_or_not_at_all():
    """A HELLO that is refused, for whatever part of it, has changed neither the protocol nor the name."""
    talk = Conversation(service_of())
    for words in ("3 SETNAME ok nonsense", "3 AUTH nobody x SETNAME ok", "4 SETNAME ok", "x"):
        talk.error("HELLO", *words.split())
        assert (talk.connection.protocol, talk.connection.name) == (2, b"")
    assert talk.say("HELLO", 3, "SETNAME", "ok", "AUTH", "default", "any")[b"proto"] == 3
    assert talk.say("CLIENT", "GETNAME") == b"ok"


def test_hello_within_a_transaction_changes_what_follows():
    """HELLO may stand in a transaction; the replies before it are of the old protocol, those behind it of the new."""
    talk = Conversation(service_of())
    talk.say_all(("MULTI",), ("GET", "k"), ("HELLO", 3), ("GET", "k"))
    talk.connection.receive(b"EXEC\r\n")
    raw = b"".join(bytes(part) for part in talk.connection.out)
    assert raw.startswith(b"*3\r\n$-1\r\n%7\r\n")
    assert raw.endswith(b"_\r\n")


def test_quit_is_answered_and_ends():
    """QUIT is answered, also within MULTI and before the password, and nothing behind it is carried out."""
    for options in (ServerOptions(), ServerOptions(password=SECRET)):
        service = service_of(options=options)
        talk = Conversation(service)
        talk.say("MULTI")
        assert talk.say_all(("QUIT",), ("SET", "k", "v")) == [b"OK"]
        assert talk.connection.is_closing
        assert len(service.engine) == 0


def test_commands_are_quick_again(guarded: Service):
    """After the password, and after each end of a transaction, commands take the short way; before and within, none."""
    talk = Conversation(guarded)
    ways = []
    for words in ("PING", f"AUTH {SECRET.split(maxsplit=1)[0]}", "MULTI", "EXEC", "MULTI", "DISCARD", "RESET"):
        talk.line(words)
        ways.append(bool(talk.connection._quick))
        if words.startswith("AUTH"):
            talk.say("AUTH", SECRET)
            ways.append(bool(talk.connection._quick))
    assert ways == [False, False, True, False, True, False, True, False]
