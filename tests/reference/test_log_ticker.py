"""The ticker: it calls at intervals, stops when told, and keeps nothing alive."""

import gc
import threading

import pytest

from kvs.log.ticker import Ticker

pytestmark = pytest.mark.timeout(20)
DEADLINE_S = 10


class Clock:
    """Something that is called."""

    def __init__(self) -> None:
        self.calls = 0
        self.called = threading.Event()

    def tick(self) -> None:
        """Count a call."""
        self.calls += 1
        if self.calls >= 3:
            self.called.set()


def test_it_calls_again_and_again_until_it_is_stopped() -> None:
    """The method is called time after time; once stop() returns, never again, and the thread is gone."""
    clock = Clock()
    ticker = Ticker(clock.tick, 0.001)
    assert clock.called.wait(DEADLINE_S)
    ticker.stop()
    calls = clock.calls
    assert not ticker._thread.is_alive()
    assert clock.calls == calls


def test_stop_does_not_wait_for_the_interval() -> None:
    """Stopping takes no interval: a store with a long one closes at once."""
    clock = Clock()
    Ticker(clock.tick, 1_000).stop()
    assert clock.calls == 0


def test_it_ends_with_its_object() -> None:
    """When nobody else holds the method's object any more, it goes, and the thread with it."""
    clock = Clock()
    ticker = Ticker(clock.tick, 0.001)
    assert clock.called.wait(DEADLINE_S)
    del clock
    gc.collect()
    ticker._thread.join(DEADLINE_S)
    assert not ticker._thread.is_alive()
