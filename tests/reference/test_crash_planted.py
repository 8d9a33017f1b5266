"""Planted bugs: each takes one safeguard out of a copy of the log, and the hunt must catch it."""

from pathlib import Path

import pytest
from support.crash.planted import FOLDER, Misfit, hunt_planted, patches, plant

HUNT_S = 30.0


def test_enough_bugs_are_planted() -> None:
    """At least fifteen safeguards are taken out, one after the other."""
    assert len(patches()) >= 15


@pytest.mark.timeout(180)
@pytest.mark.parametrize("patch", patches(), ids=lambda patch: patch.stem)
def test_planted_bug_is_caught(patch: Path, tmp_path: Path) -> None:
    """Without this safeguard a promise is broken, and the hunt says so."""
    was_caught, story = hunt_planted(patch, tmp_path, HUNT_S)
    assert was_caught, f"{patch.read_text()}\nwas not caught: {story}"


def test_patch_that_does_not_fit_is_an_error(tmp_path: Path) -> None:
    """A patch whose lines are no longer there is refused, for a bug that is not planted proves nothing."""
    patch = tmp_path / "old.patch"
    text = (FOLDER / "sync-without-fsync.patch").read_text()
    patch.write_text(text.replace("self.durable", "self.lasting"))
    with pytest.raises(Misfit, match="fits 0 places"):
        plant(patch, tmp_path)
