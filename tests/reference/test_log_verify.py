"""Check and repair: all damage is found, none is invented, and every sound record is saved."""

import random
import shutil
from pathlib import Path
from typing import cast

import inside
import pytest
from log_disks import WatchedDisk
from support.directory import contents, flipped, put

from kvs import (
    CorruptRecordError,
    LogEngine,
    StorageError,
    StoreLockedError,
    StoreMissingError,
    UnsupportedFormatError,
    WrongEngineError,
)
from kvs.log import hint
from kvs.log import repair as repair_room
from kvs.log.disk import Memory
from kvs.log.options import LogOptions
from kvs.log.repair import repair
from kvs.log.verify import Finding, check
from kvs.log.walk import Piece
from kvs.log.walk import walk as walk_memory

OPTIONS = LogOptions(sync="none", segment_bytes=1_500, compact_dead_bytes=1 << 40)
FIRST, SECOND = "0000000001.data", "0000000002.data"


@pytest.fixture
def sound(scratch: Path) -> dict[str, bytes]:
    """Return the files of a closed store: three segments, with overwritten and removed keys."""
    with LogEngine(WatchedDisk(scratch / "sound"), OPTIONS) as store:
        for number in range(20):
            store[b"k%02d" % number] = bytes(range(100))
        del store[b"k00"]
        store[b"k01"] = b"new"
        store.write([(b"x", b"1"), (b"y", b"2")])
    files = contents(scratch / "sound")
    assert len([name for name in files if name.endswith(".data")]) == 2
    return files


def walk(data: bytes) -> list[Piece]:
    """Walk the bytes of a data file."""
    return [*walk_memory(cast("Memory", data))]


def findings(path: Path) -> list[Finding]:
    """Return what a check finds."""
    return check(path).findings


def test_sound_store_has_no_findings(scratch: Path, sound: dict[str, bytes]) -> None:
    """A sound store is reported with its counts and without findings; nothing is changed, progress runs to the end."""
    calls: list[tuple[int, int]] = []
    before = contents(scratch / "sound")
    report = check(scratch / "sound", lambda done, total: calls.append((done, total)))
    assert (report.segments, report.findings, report.torn_bytes) == (2, [], 0)
    assert report.records == 24
    assert report.size_bytes == calls[-1][0] == calls[-1][1] == sum(len(sound[name]) for name in (FIRST, SECOND))
    assert contents(scratch / "sound") == before


def test_flipped_record_is_found_with_its_place(scratch: Path, sound: dict[str, bytes]) -> None:
    """A flipped bit is found with file, offset, size and the number of records lost, and printed so."""
    path = put(scratch / "bad", {**sound, FIRST: flipped(sound[FIRST], (32 + 127 + 50) * 8)})
    [finding] = findings(path)
    assert (finding.path, finding.offset, finding.size_bytes) == (f"{path}/{FIRST}", 32 + 127, 127)
    assert (finding.expected, finding.lost_records) == ("a record whose checksum fits", 1)
    assert str(finding).startswith(
        f"{path}/{FIRST}: 127 bytes at offset 159: expected a record whose checksum fits, found"
    )
    assert str(finding).endswith("; records lost: 1")
    path = put(scratch / "two", {**sound, FIRST: sound[FIRST][:160] + b"\xff" * 200 + sound[FIRST][360:]})
    [finding] = findings(path)
    assert finding.lost_records == 2


def test_every_flipped_bit_of_data_is_found(scratch: Path, sound: dict[str, bytes], rng: random.Random) -> None:
    """A check of a closed store finds any flipped bit of a data file; in the last seal it sees a torn tail."""
    path = put(scratch / "bad", sound)
    for name in (FIRST, SECOND):
        for byte in range(0, len(sound[name]), 3):
            (path / name).write_bytes(flipped(sound[name], byte * 8 + rng.randrange(8)))
            report = check(path)
            assert report.findings or report.torn_bytes == 24, f"{name}, byte {byte}"
            assert report.findings or (name == SECOND and byte >= len(sound[name]) - 24), f"{name}, byte {byte}"
        (path / name).write_bytes(sound[name])


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        pytest.param(lambda _data: b"", "a seal at the end of the file", id="emptied"),
        pytest.param(lambda data: data[:-24], "a seal at the end of the file", id="without its seal"),
        pytest.param(lambda data: data[:-1], "a record", id="cut in its seal"),
        pytest.param(lambda data: flipped(data, 77), "a segment header", id="header flipped"),
        pytest.param(lambda data: data + bytes(512), "a seal at the end of the file", id="zeros behind"),
        pytest.param(lambda data: data + b"noise", "a record", id="noise behind"),
    ],
)  # fmt: skip
def test_damage_to_a_sealed_segment_is_found(  # type: ignore[no-untyped-def]  # a lambda from the table
    scratch: Path, sound: dict[str, bytes], data, expected: str
) -> None:
    """Whatever happens to a segment that is not the last is found: open refuses it for the same reason."""
    path = put(scratch / "bad", {**sound, FIRST: data(sound[FIRST])})
    found = findings(path)
    assert any(finding.expected.startswith(expected) for finding in found), found
    with pytest.raises(StorageError):
        LogEngine.open(path)


def test_missing_segment_is_found(scratch: Path, sound: dict[str, bytes]) -> None:
    """A segment that is gone leaves a gap in the numbers, and a check says so."""
    path = put(scratch / "bad", {name: data for name, data in sound.items() if name != FIRST})
    assert findings(path)


def test_damaged_marker_is_a_finding(scratch: Path, sound: dict[str, bytes]) -> None:
    """A marker that makes no sense is found; a check of another engine's or a later store is refused."""
    [finding] = findings(put(scratch / "bad", {**sound, "ENGINE": b"?"}))
    assert finding.path.endswith("/ENGINE")
    with pytest.raises(WrongEngineError):
        check(put(scratch / "other", {**sound, "ENGINE": b"sqlite 1\n"}))
    with pytest.raises(UnsupportedFormatError):
        check(put(scratch / "later", {**sound, "ENGINE": b"log 2\n"}))


def test_check_wants_a_store_that_nobody_writes(scratch: Path, sound: dict[str, bytes]) -> None:
    """No directory, an empty one, or an owner at work: each is told by its own error."""
    (scratch / "empty").mkdir()
    for path in (scratch / "nowhere", scratch / "empty"):
        with pytest.raises(StoreMissingError):
            check(path)
        with pytest.raises(StorageError):
            repair(path, scratch / "new")
    path = put(scratch / "store", sound)
    with LogEngine.open(path):
        for call in (lambda: check(path), lambda: repair(path, scratch / "new")):
            with pytest.raises(StoreLockedError):
                call()
    with LogEngine.open(path, flag="r"):
        assert findings(path) == []
    assert not (scratch / "new").exists()


def test_damaged_or_wrong_hint_is_found(scratch: Path) -> None:
    """A hint that is damaged, or sound and wrong, is found; where its segment is damaged only that is."""
    with LogEngine(WatchedDisk(scratch / "store"), OPTIONS) as store:
        for number in range(10):
            store[b"%d" % (number % 3)] = bytes(100)
        del store[b"0"]
        store.compact()
        store[b"3"] = b""
    files = contents(scratch / "store")
    [name] = [each for each in files if each.endswith(".hint")]
    assert findings(scratch / "store") == []
    [finding] = findings(put(scratch / "bad", {**files, name: flipped(files[name], 300)}))
    assert finding.expected == "a hint whose checksum fits"
    seed = hint.seed_of(files[name])
    assert seed is not None
    said = hint.decode(files[name], seed)
    assert said is not None
    for wrong in (
        said._replace(keys=[*said.keys[:-1], b"9"]),
        said._replace(removed=[b"gone"]),
        said._replace(covered=40),
    ):
        [finding] = findings(put(scratch / "bad", {**files, name: b"".join(hint.encode(wrong, seed))}))
        assert (finding.expected, finding.found) == ("the keys of the segment", "other keys")
    data_name = name.replace(".hint", ".data")
    assert len(findings(put(scratch / "bad", {**files, data_name: flipped(files[data_name], 600)}))) == 1


def test_check_agrees_with_recovery_about_torn_tails(scratch: Path, rng: random.Random) -> None:
    """Whatever the cut or the damage at the end: what opens without a word has no findings, and the same torn bytes."""
    store = LogEngine(WatchedDisk(scratch / "store"), LogOptions(sync="none"))
    for number in range(6):
        store[b"%d" % number] = b"v" * 20
        if number == 2:
            store.sync()
    store.write([(b"a", b"1"), (b"b", None), (b"c", b"3")])
    data = inside.last_bytes(store)
    store.close()
    agreed = {"torn": 0, "rot": 0}
    for size in range(33, len(data) + 1, 2):
        for kind in ("cut", "room", "flip"):
            left = data[:size] + bytes(-size % 512 if kind != "cut" else 0)
            if kind == "flip":
                left = flipped(left, rng.randrange(32 * 8, size * 8))
            path = put(scratch / "torn", {"ENGINE": b"log 1\n", FIRST: left})
            report = check(path)
            try:
                with LogEngine.open(path, flag="r") as again:
                    facts = again.stats().recovery
            except StorageError:
                assert report.findings, (size, kind)
                agreed["rot"] += 1
            else:
                assert report.findings == [], (size, kind)
                assert 0 <= report.torn_bytes - facts.torn_bytes <= 12, (size, kind)  # zeros at the end of a record
                agreed["torn"] += 1
    assert min(agreed.values()) > 20


# ---------------------------------------------------------------------------------------------- repair


def repaired(src: Path, dest: Path) -> tuple[dict[bytes, bytes], repair_room.RepairReport]:
    """Repair a store into a fresh directory; return what the new one holds, and the report."""
    shutil.rmtree(dest, ignore_errors=True)
    before = contents(src)
    report = repair(src, dest)
    after = contents(src)
    assert {name: data for name, data in after.items() if name != "LOCK"} == {
        name: data for name, data in before.items() if name != "LOCK"
    }, "the damaged store stays as it is"
    with LogEngine.open(dest, flag="r") as store:
        assert report.keys == len(store)
        return dict(store), report


def test_sound_store_is_repaired_whole(scratch: Path, sound: dict[str, bytes]) -> None:
    """Of a sound store nothing is lost."""
    with LogEngine.open(put(scratch / "store", sound)) as store:
        pairs = dict(store)
    found, report = repaired(scratch / "store", scratch / "new")
    assert found == pairs
    assert (report.lost, report.records) == ([], 24)


def test_flipped_record_alone_is_lost(scratch: Path, sound: dict[str, bytes]) -> None:
    """Each damaged record costs itself and nothing more; what is lost is told."""
    with LogEngine.open(put(scratch / "store", sound)) as store:
        pairs = dict(store)
    for number in range(2, 9):
        at = 32 + 127 * number
        path = put(scratch / "bad", {**sound, FIRST: flipped(sound[FIRST], (at + 60) * 8)})
        found, report = repaired(path, scratch / "new")
        assert found == {key: value for key, value in pairs.items() if key != b"k%02d" % number}
        [lost] = report.lost
        assert (lost.offset, lost.size_bytes, lost.lost_records) == (at, 127, 1)


def test_seed_is_computed_back_when_the_header_is_gone(scratch: Path, sound: dict[str, bytes]) -> None:
    """A zeroed sector over header and first records loses just these: the seed is computed from the rest."""
    with LogEngine.open(put(scratch / "store", sound)) as store:
        pairs = dict(store)
    path = put(scratch / "bad", {**sound, FIRST: bytes(512) + sound[FIRST][512:]})
    found, report = repaired(path, scratch / "new")
    assert found == {key: value for key, value in pairs.items() if key not in {b"k02", b"k03"}}
    assert report.lost


def test_hint_knows_the_seed_when_the_header_is_gone(scratch: Path) -> None:
    """Where one record alone is left behind a lost header, the hint beside it tells the seed."""
    with LogEngine(WatchedDisk(scratch / "store"), OPTIONS) as store:
        store[b"a"] = bytes(2_000_000)
    files = contents(scratch / "store")
    [hint_name] = [name for name in files if name.endswith(".hint")]
    name = hint_name.replace(".hint", ".data")
    damaged = {**files, name: bytes(32) + files[name][32:]}
    assert repaired(put(scratch / "bad", damaged), scratch / "new")[0] == {b"a": bytes(2_000_000)}
    for other in (b"", flipped(files[hint_name], 100)):
        found, report = repaired(put(scratch / "bad", {**damaged, hint_name: other}), scratch / "new")
        assert found == {}
        assert report.lost


def test_lost_tombstone_brings_its_key_back_and_is_told(scratch: Path, sound: dict[str, bytes]) -> None:
    """Where a tombstone is lost the key has its older value again: the report tells of the lost record."""
    at = next(piece.offset for piece in walk(sound[SECOND]) if piece.kind == "tombstone")
    path = put(scratch / "bad", {**sound, SECOND: flipped(sound[SECOND], (at + 20) * 8)})
    found, report = repaired(path, scratch / "new")
    assert found[b"k00"] == bytes(range(100))
    [lost] = report.lost
    assert (lost.offset, lost.lost_records) == (at, 1)


def test_torn_tail_is_not_salvaged(scratch: Path) -> None:
    """What the last owner left unfinished is no loss: a repaired store shows what opening the old one shows."""
    store = LogEngine(WatchedDisk(scratch / "store"), LogOptions(sync="none"))
    store[b"a"] = b"1"
    end = inside.segments(store)[0].end
    store.write([(b"b", b"2"), (b"c", b"3")])
    data = inside.last_bytes(store)
    store.close()
    for size in range(end, len(data)):
        path = put(scratch / "torn", {"ENGINE": b"log 1\n", FIRST: data[:size]})
        found, report = repaired(path, scratch / "new")
        assert found == {b"a": b"1"}, size
        assert report.lost == []


def test_repair_needs_an_empty_place(scratch: Path, sound: dict[str, bytes]) -> None:
    """Where there is a store already nothing is repaired into it, least of all into the damaged one itself."""
    path = put(scratch / "store", sound)
    LogEngine.open(scratch / "there").close()
    before = contents(scratch)
    for dest in (scratch / "there", path):
        with pytest.raises(StorageError, match=r"there is a store in .* already"):
            repair(path, dest)
    assert contents(scratch) == before


def test_large_store_is_repaired_in_parts(
    scratch: Path, sound: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Records are taken over in parts of bounded size; order is kept, and progress runs to the end."""
    monkeypatch.setattr(repair_room, "BATCH_BYTES", 300)
    with LogEngine.open(put(scratch / "store", sound)) as store:
        pairs = dict(store)
    calls: list[tuple[int, int]] = []
    repair(scratch / "store", scratch / "new", lambda done, total: calls.append((done, total)))
    assert calls[-1][0] == calls[-1][1]
    with LogEngine.open(scratch / "new") as store:
        assert dict(store) == pairs


@pytest.mark.parametrize("names", [("ENGINE.tmp",), ("0000000001.hint",), ("0000000003.tmp", "notes.txt")])
def test_leftovers_alone_are_no_store_to_check(tmp_path: Path, names: tuple[str, ...]) -> None:
    """A directory with files of ours, but neither a segment nor an ENGINE file, holds no store: check says so."""
    for name in names:
        (tmp_path / name).write_bytes(b"")
    with pytest.raises(StoreMissingError, match="there is no store"):
        check(tmp_path)


def test_store_without_segments_has_nothing_to_repair(tmp_path: Path) -> None:
    """Repair of a store that was never written to says that there is nothing, and makes nothing."""
    LogEngine.open(tmp_path / "store").close()
    with pytest.raises(StorageError, match="no segments"):
        repair(tmp_path / "store", tmp_path / "new")
    assert not (tmp_path / "new").exists()


def misplaced(scratch: Path) -> tuple[Path, dict[bytes, bytes]]:
    """Return a store of several segments whose first two have each other's names, and what it held."""
    path = scratch / "store"
    with LogEngine.open(path, segment_bytes=600, compact_dead_bytes=1 << 40) as store:
        for turn in range(6):
            store.update({b"key%d" % number: b"turn %d" % turn for number in range(10)})
        store.remove(b"key3")
        held = dict(store)
    (path / "0000000001.data").rename(path / "other")
    (path / "0000000002.data").rename(path / "0000000001.data")
    (path / "other").rename(path / "0000000002.data")
    return path, held


def test_segments_under_wrong_names_are_found(scratch: Path) -> None:
    """A sound segment under another one's name is damage: opening refuses it, check names both files."""
    path, _ = misplaced(scratch)
    with pytest.raises(CorruptRecordError, match="the header of this file"):
        LogEngine.open(path, flag="r")
    assert [Path(finding.path).name for finding in check(path).findings] == ["0000000001.data", "0000000002.data"]


def test_repair_goes_by_history_and_not_by_names(scratch: Path) -> None:
    """Repair of misnamed and copied segments gives the newest values: no older one, no removed key comes back."""
    path, held = misplaced(scratch)
    shutil.copy(path / "0000000002.data", path / "0000000099.data")
    report = repair(path, scratch / "new")
    with LogEngine.open(scratch / "new") as store:
        assert dict(store) == held
    assert report.lost_records == 0


def test_repair_counts_the_records_of_a_missing_segment(scratch: Path) -> None:
    """What a missing segment held is told by the numbers of the records before and behind."""
    with LogEngine.open(scratch / "store", segment_bytes=600, compact_dead_bytes=1 << 40) as store:
        for number in range(60):
            store[b"key%02d" % number] = b"value"
    whole = repair(scratch / "store", scratch / "whole")
    gone = scratch / "store" / "0000000002.data"
    count = sum(piece.record is not None for piece in walk_memory(cast("Memory", gone.read_bytes())))
    gone.unlink()
    assert (whole.lost_records, repair(scratch / "store", scratch / "new").lost_records) == (0, count)
