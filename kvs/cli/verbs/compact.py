"""kvs compact: give back the bytes of replaced and removed values."""

from kvs.cli.command import Json
from kvs.cli.directory import DEFAULT_DIRECTORY, Address, Directory, open_to_write
from kvs.cli.progress import shown_progress
from kvs.cli.table import put_figures, stats_figures
from kvs.log.store import LogEngine


def run(is_json: Json = False, directory: Directory = DEFAULT_DIRECTORY, address: Address = None) -> None:
    """Give back the bytes of replaced and removed values, and say how many."""
    with open_to_write(directory, address, flag="w") as store:
        before = stats_figures(store.stats())
        with shown_progress("compacting") as progress:
            if isinstance(store, LogEngine):
                store.compact(progress)
            else:
                store.compact()
        after = stats_figures(store.stats())
    rows = {"keys": after["keys"]}
    for name in ("disk_bytes", "segments", "dead_bytes"):
        if name in before:
            rows |= {f"{name}_before": before[name], f"{name}_after": after[name]}
    put_figures(rows, is_json=is_json)
