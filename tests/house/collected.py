"""Collect the course's suites without running them, and print what each test says of itself, as JSON.

python collected.py tests/stage1 tests/stage2
"""

import contextlib
import json
import os
import sys

import pytest


class Collector:
    """A pytest plugin that keeps what was collected."""

    def __init__(self) -> None:
        self.tests: list[dict[str, object]] = []

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Note the name, the tasks and the docstring of each test."""
        for item in session.items:
            assert isinstance(item, pytest.Function)
            self.tests.append(
                {
                    "name": item.nodeid,
                    "tasks": sorted({mark.args[0] for mark in item.iter_markers("task")}),
                    "is_extension": item.get_closest_marker("extension") is not None,
                    "doc": item.function.__doc__,
                }
            )


if __name__ == "__main__":
    collector = Collector()
    with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere):
        status = pytest.main(["--collect-only", "-q", *sys.argv[1:]], plugins=[collector])
    print(json.dumps(collector.tests))  # noqa: T201  # that is what it is for
    sys.exit(status)
