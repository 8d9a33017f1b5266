"""LongReply: a reply made of many parts, which is refused before it is larger than anybody should hold.

A command of a few bytes can ask for the same large value a million times, so what was received does not bound what is
to be sent.
"""

from typing import Final

from kvs.resp import frame
from kvs.resp.command import CommandError
from kvs.resp.decoder import MAX_COMMAND_BYTES

MAX_REPLY_BYTES: Final = MAX_COMMAND_BYTES
"""What one command may be answered is what one command may say."""
_PART_BYTES: Final = 48
"""What a part takes in memory beside its bytes, about."""


class LongReply:
    """An array that grows.

    Attributes:
        parts: the frames so far.
    """

    def __init__(self) -> None:
        self.parts: list[bytes] = []
        self._size_bytes = 0

    def add(self, part: bytes) -> None:
        """Add a frame.

        Raises:
            CommandError: together they would be too large.
        """
        self._size_bytes += len(part) + _PART_BYTES
        if self._size_bytes > MAX_REPLY_BYTES:
            raise CommandError(f"the reply would be larger than {MAX_REPLY_BYTES:,} bytes; ask for less at once")
        self.parts.append(part)

    def whole(self) -> bytes:
        """Return the array."""
        return frame.array(self.parts)
