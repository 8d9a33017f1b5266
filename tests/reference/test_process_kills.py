"""A server that is killed under its clients, over and over, loses nothing that it acknowledged."""

from pathlib import Path

from support.crash.pieces import child


def test_a_killed_server_loses_nothing_acknowledged(tmp_path: Path) -> None:
    """Eight clients write and the server is killed, nine times in three designs: what each was told is kept whole."""
    told = child("wire_kills", tmp_path / "store", 7, 9, 8)
    assert told["violations"] == []
    assert told["kills"] == 9
    assert told["acknowledged"] > 500
    assert told["slowest_open_s"] < 1.0
