"""Opening a directory as a sqlite store: what is there, what is made, and in which order.

The database comes first, the ENGINE file after it. So an ENGINE file without a database is no unfinished beginning: the
database was lost, and an empty one in its place would hide that.
"""

from kvs.engines import database, files
from kvs.engines.database import Database
from kvs.errors import StorageError
from kvs.log import marker
from kvs.log.disk import Disk
from kvs.log.files import ENGINE
from kvs.log.options import SyncMode


def is_there(disk: Disk) -> bool:
    """Tell whether a sqlite store lives in a directory. One whose ENGINE file is lost is known by its database.

    Raises:
        StoreMissingError: there is no directory.
        WrongEngineError, UnsupportedFormatError: it belongs to another engine, or to a later version.
        CorruptRecordError: the ENGINE file makes no sense.
        StorageError: there is a database under our name that is none of ours.
    """
    names = disk.list()
    if marker.check(disk, names, files.FAMILY, files.VERSION):
        return True
    if files.DATABASE not in names:
        return False
    said = disk.open(files.DATABASE, writable=False).memory[database.APPLICATION_ID_AT]
    if said != database.APPLICATION_ID.to_bytes(4):
        raise StorageError(f"{disk.path}/{files.DATABASE} is no database of kvs's, and is left alone")
    return True


def open_database(disk: Disk, flag: str, sync: SyncMode) -> Database:
    """Open the database of a directory that the caller holds the lock of; make it first where the flag says so.

    Raises:
        WrongEngineError, UnsupportedFormatError: it belongs to another engine, or to a later version.
        StorageError: the system or SQLite refused, or the database is damaged, or gone.
    """
    is_there(disk)  # once more: before we had the lock, somebody may have made a store here
    if flag == "n":
        _erase(disk)
    names = disk.list()
    if ENGINE in names and files.DATABASE not in names:
        raise StorageError(f"{disk.path}/{files.DATABASE} is missing, and with it the pairs of the store")
    if flag == "r":
        return database.open_to_read(disk)
    if files.DATABASE not in names:
        database.make(disk)
    if ENGINE not in names:
        marker.write(disk, files.FAMILY, files.VERSION)
    return database.open_to_write(disk, sync)


def _erase(disk: Disk) -> None:
    """Take away the store that was here."""
    for name in files.ours(disk.list()):
        disk.unlink(name)
        disk.sync_dir()  # one after the other, on the disk too: the order is what makes it safe
