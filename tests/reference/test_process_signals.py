"""Signals: a handler asks the server and does no more; afterwards everything is as it was."""

import os
import signal
from collections.abc import Callable, Iterator

import pytest

from kvs.net.signals import COMPACT, STOP, Signals

ALL = (*STOP, *COMPACT)


class Asked:
    """A server that notes what it is asked for."""

    def __init__(self) -> None:
        self.notes: list[str] = []

    def shutdown(self, *, wait: bool = True) -> None:
        """Note it."""
        self.notes.append(f"shutdown, wait={wait}")

    def compact_soon(self) -> None:
        """Note it."""
        self.notes.append("compact")


@pytest.fixture(autouse=True)
def settings() -> Iterator[dict[int, Callable[..., object]]]:
    """Begin with handlers that are known, and put those back that there were."""
    before = {number: signal.getsignal(number) for number in ALL}
    mine = {number: (lambda _number, _frame: None) for number in ALL}
    for number, handler in mine.items():
        signal.signal(number, handler)
    yield mine
    for number, handler in before.items():
        signal.signal(number, handler)


def test_the_server_is_asked_once() -> None:
    """SIGHUP and SIGUSR1 ask for a compaction each time, SIGTERM for a stop that is not waited for."""
    asked = Asked()
    with Signals() as signals:
        signals.server = asked
        assert signals.stopped_at is None
        for number in (signal.SIGHUP, signal.SIGUSR1, signal.SIGHUP, signal.SIGTERM):
            os.kill(os.getpid(), number)
        assert signals.stopped_at is not None
    assert asked.notes == ["compact"] * 3 + ["shutdown, wait=False"]


@pytest.mark.parametrize("first", STOP)
def test_the_second_wish_to_stop_is_the_system_s(first: int) -> None:
    """After the first SIGTERM or SIGINT both have their default effect: the next ends the process, whatever it does."""
    with Signals() as signals:
        signals.server = Asked()
        os.kill(os.getpid(), first)
        assert [signal.getsignal(number) for number in STOP] == [signal.SIG_DFL, signal.SIG_DFL]


def test_everything_is_put_back(settings: dict[int, Callable[..., object]]) -> None:
    """When the block ends every handler is the one that was there, also after a stop and after an error."""
    with Signals() as signals:
        signals.server = Asked()
        os.kill(os.getpid(), signal.SIGTERM)
    assert {number: signal.getsignal(number) for number in ALL} == settings
    with pytest.raises(KeyError), Signals():
        raise KeyError
    assert {number: signal.getsignal(number) for number in ALL} == settings


@pytest.mark.parametrize("number", STOP)
def test_before_there_is_a_server_the_program_leaves(number: int) -> None:
    """A wish to stop while the store is still being opened raises SystemExit where the program stands; status 0."""
    with pytest.raises(SystemExit) as left, Signals():
        os.kill(os.getpid(), number)
    assert left.value.code == 0


@pytest.mark.parametrize("number", COMPACT)
def test_before_there_is_a_server_nothing_is_compacted(number: int) -> None:
    """A wish to compact while the store is still being opened does nothing, and ends nothing."""
    with Signals():
        os.kill(os.getpid(), number)


def test_what_was_ignored_stays_ignored() -> None:
    """SIGINT of a background job and SIGHUP under nohup stay ignored; SIGTERM and SIGUSR1 are heard all the same."""
    for number in ALL:
        signal.signal(number, signal.SIG_IGN)
    asked = Asked()
    with Signals() as signals:
        signals.server = asked
        for number in (signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGTERM):
            os.kill(os.getpid(), number)
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    assert asked.notes == ["compact", "shutdown, wait=False"]
    assert [signal.getsignal(number) for number in ALL] == [signal.SIG_IGN] * len(ALL)
