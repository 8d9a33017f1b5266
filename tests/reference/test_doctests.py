"""Every example in the package's docstrings runs as it stands there."""

import doctest
import importlib
import pkgutil

import pytest

import kvs

MODULES = [
    "kvs",
    *(found.name for found in pkgutil.walk_packages(kvs.__path__, "kvs.") if found.name != "kvs.__main__"),
]


@pytest.mark.parametrize("name", MODULES)
def test_examples_run(name: str) -> None:
    """Each example in the module's docstrings gives what it says."""
    failures, _ = doctest.testmod(importlib.import_module(name), raise_on_error=False)
    assert failures == 0


def test_there_are_examples() -> None:
    """The examples are found at all: the pure modules of the log have one each."""
    pure = ["record", "header", "files", "keydir", "hint", "lostseed", "compaction", "store"]
    finder = doctest.DocTestFinder(exclude_empty=True)
    for name in pure:
        found = finder.find(importlib.import_module(f"kvs.log.{name}"))
        assert any(each.examples for each in found), name
