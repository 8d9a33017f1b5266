"""Play the tour: its scenes in their order, in a directory that is gone afterwards."""

import tempfile
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.text import Text

from kvs.tour import log_scenes
from kvs.tour.stage import Stage

SCENES: Final = (*log_scenes.SCENES,)


def play(console: Console | None = None) -> None:
    """Play every scene.

    Raises:
        ClaimError: something that was said is not true.
    """
    console = console or Console(highlight=False)
    with tempfile.TemporaryDirectory(prefix="kvs-tour-") as directory:
        stage = Stage(console, Path(directory))
        console.print(Text.assemble(("kvs", "bold"), ": a key-value store that you can build yourself. A short tour."))
        for scene in SCENES:
            scene(stage)
        stage.close_with(_where_next())


def _where_next() -> Text:
    return Text.assemble(
        ("Where to go next\n", "bold"),
        "  kvs set snowman ☃; kvs get snowman   a store of your own, in ./kvs-data\n",
        "  kvs repl                             the same in conversation\n",
        "  kvs inspect                          the bytes of your log, one by one\n",
        '  import kvs; kvs.open("data")         a dict on disk, for your programs\n',
        "  README.md                            Reading the source: how it is built\n",
        ("  (source .venv/bin/activate puts kvs on your path)", "dim"),
    )
