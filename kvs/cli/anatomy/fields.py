"""The fields of a piece of a data file: their names, their bytes, and what these mean."""

from collections.abc import Iterator
from struct import Struct
from typing import Final, NamedTuple

from kvs.log import header, record
from kvs.log.walk import Piece

_HEADER_NAMES: Final = ("magic", "version", "reserved", "id", "generation", "first id", "salt", "checksum")
_RECORD_NAMES: Final = ("kind", "flags", "key size", "value size", "sequence", "watermark")


class Field(NamedTuple):
    """A run of bytes with one meaning.

    Args:
        name: as in the format's description.
        offset: where it begins in the file.
        data: its bytes.
        meaning: what they say, in words; empty where the bytes speak for themselves, as a key's do.
    """

    name: str
    offset: int
    data: bytes
    meaning: str = ""


def fields_of(piece: Piece, data: bytes) -> list[Field]:
    """Return the fields of a piece, which together are all of its bytes.

    Args:
        piece: what was found.
        data: the piece's bytes.
    """
    if piece.kind == "header":
        return list(_named(header.LAYOUT, _HEADER_NAMES, data, piece.offset))
    if piece.record is None:
        return [Field("bytes" if piece.kind == "bad" else piece.kind, piece.offset, data)]
    found = list(_named(record.HEADER, _RECORD_NAMES, data, piece.offset))
    kind, flags = found[0], found[1]
    found[0] = kind._replace(meaning=f"{kind.meaning} {piece.kind}")
    found[1] = flags._replace(meaning=f"{flags.meaning}{' more' if piece.record.has_more else ''}")
    key_at = record.HEADER_BYTES
    value_at, checksum_at = key_at + len(piece.record.key), len(data) - record.CHECKSUM_BYTES
    for name, start, stop, meaning in (
        ("key", key_at, value_at, ""),
        ("value", value_at, checksum_at, ""),
        ("checksum", checksum_at, len(data), "fits"),
    ):
        if start < stop:
            found.append(Field(name, piece.offset + start, data[start:stop], meaning))
    return found


def _named(layout: Struct, names: tuple[str, ...], data: bytes, offset: int) -> Iterator[Field]:
    """Yield the fields of a fixed layout; numbers mean themselves."""
    sizes = [Struct(f"<{code}").size for code in _codes(layout)]
    at = 0
    for name, size, number in zip(names, sizes, layout.unpack_from(data), strict=True):
        meaning = str(number) if isinstance(number, int) and name not in {"salt", "checksum"} else ""
        yield Field(name, offset + at, data[at : at + size], "fits" if name == "checksum" else meaning)
        at += size


def _codes(layout: Struct) -> list[str]:
    """Return the format codes of a layout, one a field: "8s" is one."""
    codes: list[str] = []
    count = ""
    for char in layout.format.lstrip("<"):
        if char.isdigit():
            count += char
        else:
            codes += [f"{count}s"] if char == "s" else [char] * int(count or 1)
            count = ""
    return codes
