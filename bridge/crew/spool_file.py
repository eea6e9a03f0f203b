"""One file of the spool: an SQLite database of messages, locked for as long as it is open.

Reading needs no room on the disk. What cannot be written is not: a transaction is done or it is not.
"""

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any, Final, Self, TypeVar

from bridge.crew.doubt import Name, Position
from bridge.crew.message import Message

_GUARD_SECONDS: Final = 5.0
_SCHEMA: Final = (
    "CREATE TABLE IF NOT EXISTS message (place INTEGER PRIMARY KEY, event_id TEXT, subject TEXT,"
    " payload BLOB, short_lived INTEGER)",
    "CREATE TABLE IF NOT EXISTS sent (created TEXT, seq INTEGER)",
)
_INSERT: Final = "INSERT INTO message (place, event_id, subject, payload, short_lived) VALUES (?, ?, ?, ?, ?)"
_ALL: Final = "SELECT place, event_id, subject, payload, short_lived FROM message"
_OLDEST: Final = f"{_ALL} WHERE place > ? ORDER BY place LIMIT ?"
_NAMES: Final = "SELECT event_id, subject FROM message WHERE place > ? ORDER BY place LIMIT ?"
_PLACES: Final = "SELECT place FROM message ORDER BY place"
_ONE: Final = f"{_ALL} WHERE place = ?"
_ENDS: Final = "SELECT (SELECT min(place) FROM message), (SELECT max(place) FROM message)"
_SIZE: Final = (
    "SELECT coalesce(sum(length(payload) + length(subject) + length(event_id)), 0)"
    " FROM message WHERE place <= ?"
)
_TABLES: Final = "SELECT count(*) FROM sqlite_master WHERE name = ?"
_BROKEN: Final = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})
_GONE: Final = (FileNotFoundError, NotADirectoryError)

T = TypeVar("T")

Row = tuple[int, Message | None]
"""A place in the file, and the message there; None if it cannot be read."""


class SpoolFile:
    """Messages with places, which are numbered without holes. Raises `sqlite3.Error` and `OSError`."""

    def __init__(self, path: Path, database: sqlite3.Connection) -> None:
        self.path = path
        self._database = database
        self._identity = _identity(path)
        self.is_broken = False
        """Whether a part of it could not be read, and never will be."""

    @classmethod
    def made(cls, path: Path) -> Self:
        """A new one, in a directory that is made if need be."""
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with guarded(path.parent):
            return cls(path, _locked(path))

    @classmethod
    def found(cls, path: Path) -> Self | None:
        """One that is there; None if it is somebody else's. Only to be called where `guarded`."""
        try:
            return cls(path, _locked(path))
        except sqlite3.OperationalError as error:
            if _code(error) != sqlite3.SQLITE_BUSY:
                raise
            return None

    @property
    def is_there(self) -> bool:
        """Whether it still is what others find under its path; true where that cannot be said."""
        try:
            return _identity(self.path) == self._identity
        except _GONE:
            return False
        except OSError:
            return True

    def ends(self) -> tuple[int, int]:
        """The first and the last place; 1 and 0 where there is no message."""
        if not self._has("message"):
            return 1, 0
        ends = _unless_broken(lambda: self._database.execute(_ENDS).fetchone()) or self._readable_ends()
        return (int(ends[0]), int(ends[1])) if ends[1] else (1, 0)

    def _readable_ends(self) -> tuple[int, int]:
        """With the end broken off: as far as can be read, and a place more, for all that was behind it."""
        places = [0]
        _unless_broken(lambda: places.extend(place for (place,) in self._database.execute(_PLACES)))
        return places[min(1, len(places) - 1)] or 1, places[-1] + 1

    def since(self) -> Position | None:
        """What was noted last by `insert`, `delete` or `keep`."""
        if not self._has("sent"):
            return None
        row = _unless_broken(lambda: self._database.execute("SELECT created, seq FROM sent").fetchone())
        return Position(_text(row[0]), int(row[1])) if row else None

    def _has(self, table: str) -> bool:
        return bool(self._database.execute(_TABLES, (table,)).fetchone()[0])

    def insert(self, place: int, messages: Sequence[Message], since: Position | None) -> None:
        """Write messages from ``place`` on, all or none of them, past all that only memory holds."""
        rows = [
            (number, m.event_id, m.subject, m.payload, m.short_lived)
            for number, m in enumerate(messages, place)
        ]
        with self._transaction(sure=True):
            self._database.executemany(_INSERT, rows)
            self._keep(since)

    def read(self, after: int, limit: int, last: int) -> list[Row]:
        """What is at the places from ``after`` to ``last``; each by itself once something is broken."""
        places = range(after + 1, min(after + limit, last) + 1)
        if not self.is_broken:
            rows = _unless_broken(lambda: self._oldest(after, len(places)))
            if rows is not None and [place for place, message in rows if message] == list(places):
                return rows
            self.is_broken = True
        return [(place, self._one(place)) for place in places]

    def names(self, after: int, limit: int) -> list[Name]:
        """The ids and subjects after ``after``; fewer where the file is broken."""
        found: list[Name] = []
        for row in _unless_broken(lambda: self._database.execute(_NAMES, (after, limit)).fetchall()) or []:
            with suppress(ValueError):
                found.append((_text(row[0]), _text(row[1])))
        return found

    def _oldest(self, after: int, limit: int) -> list[Row]:
        return [_row(*row) for row in self._database.execute(_OLDEST, (after, limit))]

    def _one(self, place: int) -> Message | None:
        row = _unless_broken(lambda: self._database.execute(_ONE, (place,)).fetchone())
        return _row(*row)[1] if row else None

    def delete(self, place: int, since: Position | None) -> int:
        """Delete all up to ``place``; their size."""
        with self._transaction(sure=False):
            (size,) = self._database.execute(_SIZE, (place,)).fetchone()
            self._database.execute("DELETE FROM message WHERE place <= ?", (place,))
            self._keep(since)
        return int(size)

    def keep(self, since: Position | None) -> None:
        """Note this, and nothing else."""
        with self._transaction(sure=False):
            self._keep(since)

    def _keep(self, since: Position | None) -> None:
        if since != self.since():
            self._database.execute("DELETE FROM sent")
            self._database.executemany("INSERT INTO sent VALUES (?, ?)", [since] if since else [])

    @contextmanager
    def _transaction(self, *, sure: bool) -> Iterator[None]:
        """Only if ``sure`` the disk itself is asked, which may have no room where the system took it."""
        database = self._database
        if database.in_transaction:
            database.rollback()
        database.execute(f"PRAGMA synchronous={'NORMAL' if sure else 'OFF'}")
        with database:
            database.execute("BEGIN")
            for table in _SCHEMA:
                database.execute(table)
            yield

    def close(self) -> None:
        """Let go of it."""
        self._database.close()

    def remove(self) -> None:
        """Remove it, or set it aside if it broke, for people to look at."""
        if self.is_broken:
            self.path.rename(self.path.with_suffix(".broken"))
        self.path.unlink(missing_ok=True)
        self.path.with_name(f"{self.path.name}-journal").unlink(missing_ok=True)


def _locked(path: Path) -> sqlite3.Connection:
    """Nobody else can open the file until this connection is closed, or its process gone.

    A rollback journal, because closing it in a forked child, too, leaves the parent's file alone.
    """
    database = sqlite3.connect(path, timeout=0, isolation_level=None)
    try:
        database.text_factory = bytes
        database.execute("PRAGMA locking_mode=EXCLUSIVE")
        database.execute("PRAGMA journal_mode=TRUNCATE")
        database.execute("BEGIN EXCLUSIVE")
        database.execute("COMMIT")
    except sqlite3.Error:
        database.close()
        raise
    return database


def _identity(path: Path) -> tuple[int, int]:
    found = path.stat()
    return found.st_dev, found.st_ino


def _row(place: int, event_id: object, subject: object, payload: object, short_lived: object) -> Row:
    try:
        return place, Message(_text(event_id), _text(subject), _bytes(payload), bool(short_lived))
    except ValueError:
        return place, None


def _text(value: object) -> str:
    return _bytes(value).decode()


def _bytes(value: object) -> bytes:
    if not isinstance(value, bytes):
        raise ValueError("neither a text nor bytes")
    return value


def _code(error: sqlite3.Error) -> int:
    """SQLite's primary code; 0 for what Python says itself."""
    code: Any = getattr(error, "sqlite_errorcode", 0)
    return int(code or 0) & 0xFF


def _unless_broken(read: Callable[[], T]) -> T | None:
    """What ``read`` returns; None where the file is broken."""
    try:
        return read()
    except sqlite3.DatabaseError as error:
        if _code(error) not in _BROKEN:
            raise
        return None


@contextmanager
def guarded(directory: Path) -> Iterator[None]:
    """Nobody looks for files to adopt while one is being made that is not locked yet."""
    with closing(sqlite3.connect(directory / "guard", timeout=_GUARD_SECONDS, isolation_level=None)) as guard:
        guard.execute("BEGIN EXCLUSIVE")
        yield
