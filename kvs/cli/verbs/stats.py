"""kvs stats: print the store's figures."""

from kvs.cli.command import Json
from kvs.cli.directory import DEFAULT_DIRECTORY, Address, Directory, open_existing
from kvs.cli.table import put_figures, stats_figures


def run(is_json: Json = False, directory: Directory = DEFAULT_DIRECTORY, address: Address = None) -> None:
    """Print the store's figures: keys, live and dead bytes, and more."""
    with open_existing(directory, address) as store:
        put_figures(stats_figures(store.stats()), is_json=is_json)
