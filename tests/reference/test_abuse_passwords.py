"""Strangers at the door: what they may do, how fast they may guess, and how much of them is listened to."""

import contextlib
import logging
import random
import time
from typing import Final

import pytest
from support.besieged import besieged, every_design, until
from support.wire import ErrorReply, Wire, frame

from kvs.net.guesses import PER_SECOND, Guesses
from kvs.net.options import ServerOptions

PASSWORD: Final = "correct horse"
LOCKED: Final = ServerOptions(password=PASSWORD)
NOAUTH: Final = ErrorReply("NOAUTH Authentication required.")


def guess(wire: Wire, password: str = "wrong") -> str:
    """Try a password; return the first word of the answer."""
    answer = wire.call("AUTH", password)
    return str(answer).partition(" ")[0] if isinstance(answer, ErrorReply) else "OK"


@every_design
def test_a_stranger_may_do_nothing(design: str) -> None:
    """Before the password commands are refused and not carried out, whether they exist or not; after it all go."""
    with besieged(design, LOCKED) as server, server.connect() as wire:
        for words in (["PING"], ["GET", "k"], ["SET", "k", "v"], ["NONE"], ["FLUSHALL"], ["MULTI"], ["SHUTDOWN"]):
            assert wire.call(*words) == NOAUTH
        assert len(server.engine) == 0
        assert guess(wire) == "WRONGPASS"
        assert wire.call("GET", "k") == NOAUTH
        assert guess(wire, PASSWORD) == "OK"
        assert wire.call("SET", "k", "v") == b"OK"


@every_design
def test_ten_guesses_a_second_and_no_more(design: str) -> None:
    """After ten wrong passwords within a second none is looked at, the right one neither; after a second it is."""
    with besieged(design, LOCKED) as server, server.connect() as wire:
        began = time.monotonic()
        answers = [guess(wire) for _ in range(PER_SECOND)]
        if time.monotonic() - began < 0.5:  # on a machine that can
            assert answers == ["WRONGPASS"] * PER_SECOND
            assert guess(wire, PASSWORD) == "ERR"
            with server.connect() as other:
                assert guess(other, PASSWORD) == "ERR", "another connection from there is no way around it"
        until(lambda: guess(wire, PASSWORD) == "OK", "a second later it may try again")
        assert time.monotonic() - began >= 1


@every_design
def test_a_pipeline_of_guesses_gets_no_further(design: str) -> None:
    """Of ten thousand guesses in one piece no more than ten a second are compared with the password."""
    with besieged(design, LOCKED) as server, server.connect() as wire:
        began = time.monotonic()
        wire.send(frame("AUTH", "wrong") * 10_000)
        answers = [str(wire.reply()).partition(" ")[0] for _ in range(10_000)]
        took_s = time.monotonic() - began
        assert 1 <= answers.count("WRONGPASS") <= PER_SECOND * (took_s + 1)


def test_any_second_has_at_most_ten(rng: random.Random) -> None:
    """However guesses are spread, no second has more than ten of one sender, and others are not held up."""
    guesses, now_s, tried = Guesses(), 0.0, list[float]()
    for _ in range(5_000):
        now_s += rng.choice([0.0, 0.001, 0.05, 0.3])
        if guesses.may_try("a", now_s):
            tried.append(now_s)
            guesses.was_wrong("a", now_s)
    assert all(later - earlier >= 1 for earlier, later in zip(tried, tried[PER_SECOND:], strict=False))
    assert len(tried) > now_s * PER_SECOND * 0.6, "and nearly ten can be had"
    assert guesses.may_try("b", now_s)


def test_many_senders_take_a_bounded_room() -> None:
    """A hundred thousand addresses are not all remembered; the one that guesses all the time is."""
    guesses = Guesses()
    for number in range(100_000):
        guesses.was_wrong(f"host {number}", 1.0)
        if number % 100 == 0:
            guesses.was_wrong("busy", 1.0)
    assert len(guesses._wrong) <= 2_000
    assert not guesses.may_try("busy", 1.5)


@every_design
def test_of_a_stranger_little_is_listened_to(design: str) -> None:
    """Who has not given the password can neither announce nor send more than 64 KiB in one command."""
    with besieged(design, LOCKED) as server:
        with server.connect() as wire:
            wire.send(b"*2\r\n$4\r\nECHO\r\n$500000000\r\n" + bytes(50_000))
            wire.send(bytes(30_000))
            assert wire.rest() == b"-ERR Protocol error: too much before AUTH\r\n"
        with server.connect() as wire:
            assert guess(wire, PASSWORD) == "OK"
            assert wire.call("ECHO", bytes(200_000)) == bytes(200_000)


@every_design
def test_a_stranger_who_does_not_read_is_not_read(design: str) -> None:
    """Of a stranger who takes no answers 64 KiB of them are kept, not 8 MiB; then nothing more is read."""
    options = ServerOptions(password=PASSWORD, send_timeout_s=600)
    with besieged(design, options) as server, server.connect(receive_buffer_bytes=4096) as wire:
        wire.socket.settimeout(0.3)
        with contextlib.suppress(TimeoutError):
            while True:  # until nobody takes any more
                wire.send(frame("PING") * 1_000)
        (client,) = server.server.service.clients.values()
        kept = client.describe()["omem"]
        assert isinstance(kept, int)
        assert kept < 64 * 1024 + 100


@every_design
def test_a_password_is_in_no_log(design: str, caplog: pytest.LogCaptureFixture) -> None:
    """Neither right nor wrong passwords are logged, nor listed among the clients."""
    caplog.set_level(logging.DEBUG)
    with besieged(design, LOCKED) as server, server.connect() as wire:
        guess(wire, "wr0ng-secret")
        wire.call("HELLO", 3, "AUTH", "default", "wr0ng-secret")
        guess(wire, PASSWORD)
        wire.send(frame("AUTH", PASSWORD) + b'AUTH "wr0ng-secret\r\n')
        assert wire.reply() == b"OK"
        assert isinstance(wire.reply(), ErrorReply)
        with server.connect() as other:
            assert guess(other, PASSWORD) == "OK"
            listed = other.call("CLIENT", "LIST")
            assert isinstance(listed, bytes)
    for text in (caplog.text, listed.decode(), repr(LOCKED)):
        assert PASSWORD not in text
        assert "secret" not in text
