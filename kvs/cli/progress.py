"""A progress bar on stderr, where a person is looking on; silence elsewhere."""
# ruff: noqa: PLC0415  # rich is imported for somebody who looks on

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from kvs.engine import Progress

_INTERVAL_S: Final = 0.05


@contextmanager
def shown_progress(label: str) -> Iterator[Progress]:
    """Show a bar while the block runs, and give the block the function that moves it.

    Args:
        label: what is going on, in a word or two.
    """
    if sys.stderr is None or not sys.stderr.isatty():
        yield lambda _done, _in_all: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, TaskProgressColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bars

    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), DownloadColumn(binary_units=True))
    bars = Bars(*columns, TimeRemainingColumn(), console=Console(stderr=True), transient=True)
    task = bars.add_task(label, total=None)
    moved_at = 0.0

    def move(done: int, in_all: int) -> None:
        nonlocal moved_at
        now = time.monotonic()
        if now - moved_at >= _INTERVAL_S:  # drawing is dearer than most of what it tells of
            moved_at = now
            bars.update(task, completed=done, total=in_all or None)

    with bars:
        yield move
