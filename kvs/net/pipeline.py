"""Pipeline: commands that are gathered, and sent together."""

from collections.abc import Sequence
from typing import Self

from kvs.net.caller import Caller, Word
from kvs.resp.value import Reply


class Pipeline:
    """Commands that are gathered in a `with` block and sent in one go at its end. If the block raises, none is sent.

        with client.pipeline() as pipe:
            pipe.call("INCR", "visits")
            pipe.call("GET", "name")
        visits, name = pipe.replies

    Args:
        caller: what sends them.

    Attributes:
        replies: in order, errors as values among them; empty until the block is done.

    Threads: one.
    """

    def __init__(self, caller: Caller) -> None:
        self._caller = caller
        self._commands: list[Sequence[Word]] = []
        self.replies: list[Reply] = []

    def call(self, *words: Word) -> None:
        """Add a command."""
        self._commands.append(words)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            self.replies = self._caller.call_many(self._commands)
