"""Play the tour: its scenes in their order, in a directory that is gone afterwards."""

import tempfile
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules
from typing import Any

from rich.console import Console
from rich.text import Text

import kvs.tour
from kvs.tour.ending import Ending
from kvs.tour.stage import Stage


def play(console: Console | None = None) -> None:
    """Play every scene.

    Raises:
        ClaimError: something that was said is not true.
    """
    console = console or Console(highlight=False)
    acts = find_acts()
    with Ending() as ending, tempfile.TemporaryDirectory(prefix="kvs-tour-") as directory:
        stage = Stage(console, Path(directory), ending)
        console.print(Text.assemble(("kvs", "bold"), ": a key-value store that you can build yourself. A short tour."))
        for act in acts:
            for scene in act.SCENES:
                scene(stage)
        stage.close_with(_where_next(acts))


def find_acts() -> list[Any]:
    """Return the modules of scenes in the order in which they are played: whichever there are, so that any tree plays.

    Each is a file of this room whose name ends with `_scenes`. It has SCENES, functions of a Stage; ACT, its place; and
    WHERE_NEXT, what to try afterwards and what that is.
    """
    names = [found.name for found in iter_modules(kvs.tour.__path__) if found.name.endswith("_scenes")]
    return sorted((import_module(f"{kvs.tour.__name__}.{name}") for name in names), key=lambda act: int(act.ACT))


def _where_next(acts: Sequence[Any]) -> Text:
    tips = [tip for act in acts for tip in act.WHERE_NEXT]
    tips.append(("README.md", "Reading the source: how it is built"))
    return Text.assemble(
        ("Where to go next\n", "bold"),
        *(f"  {what:<36} {about}\n" for what, about in tips),
        ("  (source .venv/bin/activate puts kvs on your path)", "dim"),
    )
