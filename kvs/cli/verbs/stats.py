"""kvs stats: print the store's figures."""

from kvs.cli.command import Json
from kvs.cli.directory import DEFAULT_DIRECTORY, Directory, open_existing
from kvs.cli.table import figures, put_figures


def run(is_json: Json = False, directory: Directory = DEFAULT_DIRECTORY) -> None:
    """Print the store's figures: keys, live and dead bytes, and more."""
    with open_existing(directory) as store:
        put_figures(figures(store.stats()), is_json=is_json)
