"""The keydir: the right location for each key, and dead bytes counted to the byte."""

import random

import pytest

from kvs.log.keydir import Keydir, pack, unpack


def point(keydir: Keydir, key: bytes, location: int) -> None:
    """Let a key's value be the record at this location, as the engine does it in line."""
    old = keydir.entries.get(key)
    keydir.entries[key] = location
    if old is not None:
        slot, _, size_bytes = unpack(old)
        keydir.bury(slot, size_bytes)


@pytest.mark.parametrize("parts", [(0, 0, 0), (0, 32, 24), (5, 4096, 124), (2**40, 2**32 - 1, 2**30 - 1)])
def test_location_holds_its_parts(parts: tuple[int, int, int]) -> None:
    """Slot, offset and size come out of a location as they went in, at their limits too."""
    assert unpack(pack(*parts)) == parts


def test_dead_bytes_are_what_no_entry_points_at(rng: random.Random) -> None:
    """Whatever is set, overwritten and removed: the bytes of a segment are its entries' and the dead, never less."""
    keydir, written, model = Keydir(), dict.fromkeys(range(4), 0), dict[bytes, int]()
    for number in range(2_000):
        key, slot, size = b"key%d" % rng.randrange(20), rng.randrange(4), rng.randrange(24, 100)
        location = pack(slot, number * 100, size)
        written[slot] += size
        if rng.random() < 0.7:
            point(keydir, key, location)
            model[key] = location
        else:
            keydir.remove(key, location)
            model.pop(key, None)
        assert keydir.entries == model
    for slot, total in written.items():
        live = sum(unpack(location)[2] for location in model.values() if unpack(location)[0] == slot)
        assert keydir.dead[slot] == total - live
    assert keydir.dead_bytes == sum(keydir.dead.values())


def test_removals_count_keys_that_were_there() -> None:
    """A tombstone for a key that is not there is dead, but removes nothing; key order is kept by that count."""
    keydir = Keydir()
    point(keydir, b"a", pack(0, 32, 25))
    keydir.remove(b"a", pack(0, 57, 25))
    keydir.remove(b"a", pack(0, 82, 25))
    assert keydir.removals == 1
    assert keydir.dead == {0: 75}


def test_loading_a_segment_replaces_what_was_older() -> None:
    """A segment's keys win over those of segments before; its tombstones remove; counted, what they hid is dead."""
    keydir = Keydir()
    keydir.load([b"a", b"b", b"c"], [pack(0, 32, 30), pack(0, 62, 30), pack(0, 92, 30)], [])
    keydir.load([b"b", b"d"], [pack(1, 32, 40), pack(1, 72, 40)], [b"c", b"never"])
    assert keydir.entries == {b"a": pack(0, 32, 30), b"b": pack(1, 32, 40), b"d": pack(1, 72, 40)}
    keydir.recount({0: 100, 1: 130})
    assert keydir.dead == {0: 70, 1: 50}
    assert keydir.dead_bytes == 120


def test_a_move_follows_only_what_is_still_there() -> None:
    """After a merge a key that was set or removed meanwhile keeps its newer state; its copy is dead at once."""
    keydir = Keydir()
    old = {key: pack(0, offset, 30) for key, offset in [(b"stays", 32), (b"newer", 62), (b"gone", 92)]}
    new = {key: pack(2, offset, 30) for key, offset in [(b"stays", 32), (b"newer", 62), (b"gone", 92)]}
    for key, location in old.items():
        point(keydir, key, location)
    point(keydir, b"newer", pack(1, 32, 50))
    keydir.remove(b"gone", pack(1, 82, 28))
    keydir.forget(0)
    keydir.move((key, old[key], new[key]) for key in old)
    assert keydir.entries == {b"stays": new[b"stays"], b"newer": pack(1, 32, 50)}
    assert keydir.dead == {1: 28, 2: 60}
    assert keydir.dead_bytes == 88


def test_entries_of_one_segment_are_told_apart() -> None:
    """The entries that point into a segment are all of them and no neighbour's."""
    keydir = Keydir()
    for slot in range(3):
        for offset in (0, 2**32 - 1):
            point(keydir, b"%d at %d" % (slot, offset), pack(slot, offset, 2**30 - 1))
    assert keydir.locations_in(1) == {
        b"1 at 0": pack(1, 0, 2**30 - 1),
        b"1 at 4294967295": pack(1, 2**32 - 1, 2**30 - 1),
    }
    assert keydir.locations_in(9) == {}


def test_a_recount_goes_by_the_entries() -> None:
    """Counted anew, what is dead in a segment is its records less those that entries point at."""
    keydir = Keydir()
    point(keydir, b"a", pack(0, 32, 30))
    point(keydir, b"b", pack(1, 32, 40))
    keydir.bury(0, 7)  # an account that went wrong
    keydir.recount({0: 100, 1: 40, 2: 0})
    assert keydir.dead == {0: 70, 1: 0, 2: 0}
    assert keydir.dead_bytes == 70
