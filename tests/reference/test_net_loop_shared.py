"""What connections share: locks by key, watches, cursors."""

import random
import threading
from typing import Final

import pytest
from support.pools import Call, hasty

from kvs.net.cursors import Cursors
from kvs.net.stripes import STRIPES, Stripes
from kvs.net.watches import Watches

KEYS: Final = [b"%d" % number for number in range(200)]


def test_holders_of_the_same_keys_take_turns(rng: random.Random) -> None:
    """Of eight threads that hold some keys, in any order, or all, no two hold the same, and none waits for ever."""
    stripes = Stripes()
    holders = dict.fromkeys(KEYS, 0)
    seeds = [rng.random() for _ in range(8)]

    def work(seed: float) -> None:
        own = random.Random(seed)
        for _ in range(150):
            is_all = own.random() < 0.05
            keys = KEYS if is_all else own.sample(KEYS, own.randrange(1, 6))
            with stripes.hold_all() if is_all else stripes.hold(keys):
                for key in keys:
                    holders[key] += 1
                assert all(holders[key] == 1 for key in keys)
                with stripes.hold(keys[:2]):  # again, as within EXEC
                    pass
                for key in keys:
                    holders[key] -= 1

    with hasty():
        for call in [Call(lambda seed=seed: work(seed)) for seed in seeds]:  # type: ignore[misc]
            call.finish()


def test_other_keys_are_free() -> None:
    """Who holds one key does not keep others from keys of other stripes; who holds all, does."""
    stripes = Stripes()
    other = next(key for key in KEYS if hash(key) % STRIPES != hash(b"0") % STRIPES)

    def take() -> None:
        with stripes.hold([other]):
            pass

    with stripes.hold([b"0", b"0"]):
        Call(take).finish()
    with stripes.hold_all():
        waiting = Call(take)
        assert waiting.is_waiting()
    waiting.finish()


def test_locks_are_let_go_when_the_block_raises() -> None:
    """A command that raises leaves no key locked."""
    stripes = Stripes()
    with pytest.raises(ZeroDivisionError), stripes.hold(KEYS):
        _ = 1 // 0
    with pytest.raises(ZeroDivisionError), stripes.hold_all():
        _ = 1 // 0

    def take() -> None:
        with stripes.hold_all():
            pass

    Call(take).finish()


class Watcher:
    """Somebody who watches."""

    def __init__(self) -> None:
        self.watched: set[bytes] = set()
        self.is_dirty = False


def test_a_watcher_hears_of_its_keys_and_no_others() -> None:
    """A change makes dirty who watches the key, and nobody else; who forgets hears nothing, and leaves nothing."""
    watches = Watches()
    first, second = Watcher(), Watcher()
    watches.touch(b"a")
    watches.watch(first, b"a")
    watches.watch(first, b"a")
    watches.watch(second, b"a")
    watches.watch(second, b"b")
    watches.touch(b"b")
    assert (first.is_dirty, second.is_dirty) == (False, True)
    watches.forget(second)
    assert second.watched == set()
    second.is_dirty = False
    watches.touch(b"a")
    assert (first.is_dirty, second.is_dirty) == (True, False)
    assert watches.is_any
    watches.forget(first)
    watches.forget(first)
    assert not watches.is_any
    assert watches._watchers == {}
    watches.watch(first, b"z")
    first.is_dirty = False
    watches.touch(b"z")
    assert first.is_dirty


def test_watchers_come_and_go_in_threads() -> None:
    """Threads that watch, touch and forget at the same time break nothing, and leave nothing."""
    watches = Watches()

    def work() -> None:
        watcher = Watcher()
        for number in range(400):
            watches.watch(watcher, KEYS[number % 5])
            watches.touch(KEYS[number % 7])
            watches.forget(watcher)

    with hasty():
        for call in [Call(work) for _ in range(6)]:
            call.finish()
    assert not watches.is_any
    assert watches._watchers == {}


def test_cursors_are_found_again_and_bounded() -> None:
    """Of many cursors the newest are known; the oldest are forgotten, and together they take a few megabytes."""
    cursors = Cursors()
    numbers = [cursors.make(b"key %d" % number) for number in range(50_000)]
    assert len(set(numbers)) == len(numbers)
    assert 0 not in numbers, "which is where a walk begins"
    assert all(0 < number < 1 << 63 for number in numbers), "clients take it for an integer"
    assert cursors.key(numbers[-1]) == b"key 49999"
    assert cursors.key(numbers[-5_000]) == b"key 45000"
    assert cursors.key(numbers[0]) is None
    assert cursors.key(12345678) is None
    for _ in range(200):
        cursors.make(bytes(65_535))
    assert sum(map(len, cursors._keys.values())) + 100 * len(cursors._keys) < 6 << 20


def test_cursors_are_given_out_once_in_threads() -> None:
    """Threads that ask for cursors at the same time never get the same one."""
    cursors, given, lock = Cursors(), list[int](), threading.Lock()

    def work() -> None:
        own = [cursors.make(b"k") for _ in range(1_000)]
        with lock:
            given.extend(own)

    with hasty():
        for call in [Call(work) for _ in range(6)]:
            call.finish()
    assert len(set(given)) == 6_000
