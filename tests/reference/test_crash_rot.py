"""Rot: small damage to a store that was closed cleanly is an error or does no harm; it is never a wrong value."""

import logging
from collections.abc import Iterator

import pytest
from support.crash.rot import RotTally, damages, look, stores, sweep
from support.crash.scale import small_measures


@pytest.fixture(autouse=True)
def small_and_quiet() -> Iterator[None]:
    """Work with small measures; thousands of torn tails need not be logged."""
    logging.disable(logging.CRITICAL)
    with small_measures():
        yield
    logging.disable(logging.NOTSET)


def test_damage_is_never_a_wrong_value() -> None:
    """Every bit flipped, every sector zeroed, every two swapped: an error tells of it, or all values are right."""
    tally = RotTally()
    sweep(range(40, 42), tally)
    assert tally.wrong == []
    assert tally.cases > 10_000
    assert tally.refused > tally.cases // 3


def test_oracle_sees_a_lost_key_and_a_wrong_value() -> None:
    """The oracle is no yes-man: a store that lacks a key, has one too many, or another value is called wrong."""
    _, options, image, model = next(stores(range(40, 41)))
    assert look(image, options, model) is None
    key = next(iter(model))
    assert "missing or added" in str(look(image, options, {**model, b"more": b"keys"}))
    assert "not b'other'" in str(look(image, options, {**model, key: b"other"}))


def test_damages_cover_every_bit_of_every_file() -> None:
    """Every bit of every file is flipped, those of headers, hints, seals and the ENGINE file among them."""
    _, _, image, _ = next(stores(range(40, 41)))
    flips = [label for label, _ in damages(image) if "flipped" in label]
    assert len(flips) == 8 * sum(map(len, image.values()))
    assert any(name.endswith(".hint") for name in image)
