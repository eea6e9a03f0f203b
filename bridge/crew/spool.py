"""The spool: messages on disk, for as long as they cannot be published.

Each process has a file of its own, made when first needed and locked for as long as the process lives. A file
that nobody locks was left by a process that has ended: the next one publishes and removes it.
"""

import logging
import os
import sqlite3
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from hashlib import sha256
from itertools import islice
from pathlib import Path
from typing import Final
from uuid import uuid4

from bridge.crew.message import Message
from contracts.servers import without_credentials

log = logging.getLogger(__name__)

MAX_BYTES: Final = 256 * 1024 * 1024
MOST_ADOPTED: Final = 16
"""Each is an open file or two of the worker's, and an outage can leave thousands."""
_GUARD_SECONDS: Final = 5.0
_SCHEMA: Final = (
    "CREATE TABLE IF NOT EXISTS message (place INTEGER PRIMARY KEY, event_id TEXT, subject TEXT,"
    " payload BLOB, short_lived INTEGER)"
)
_OLDEST: Final = "SELECT place, event_id, subject, payload, short_lived FROM message ORDER BY place LIMIT ?"


def default_directory(nats_url: str, stream: str) -> Path:
    """A place in the user's state directory for what goes to this stream on these servers, and to no other.

    A temporary one for who has no home. Neither credentials nor the order of the servers matter.
    """
    servers = sorted(url.strip().lower() for url in without_credentials(nats_url).split(","))
    place = sha256("\n".join([*servers, stream]).encode()).hexdigest()[:16]
    state = os.environ.get("XDG_STATE_HOME")
    try:
        base = Path(state) if state else Path.home() / ".local" / "state"
    except RuntimeError:
        base = Path(tempfile.gettempdir()) / f"crew-bridge-{os.getuid()}"
    return base / "crew-bridge" / "spool" / place


class Spool:
    """One file of messages in their order; used by one thread.

    Survives the end of the process, however it comes, but not a loss of power.
    """

    def __init__(self, path: Path, max_bytes: int = MAX_BYTES) -> None:
        self._path = path
        self._max_bytes = max_bytes
        self._bytes = 0
        self._database: sqlite3.Connection | None = None
        self.waiting = 0
        """Messages in the file."""
        self.lost = 0
        """Messages that were in a file which broke."""
        self._tone = logging.WARNING

    @classmethod
    def fresh(cls, directory: Path, max_bytes: int = MAX_BYTES) -> "Spool":
        """This process's own, which no other has ever had."""
        return cls(directory / f"{os.getpid()}-{uuid4().hex}.sqlite", max_bytes)

    @classmethod
    def left_behind(cls, directory: Path) -> list["Spool"]:
        """The files of processes that have ended, the oldest 16; from now on this process's own."""
        try:
            if not directory.is_dir():
                return []
            with _guarded(directory):
                paths = sorted(directory.glob("*.sqlite"), key=_written)
                return list(islice((spool for spool in map(cls, paths) if spool._adopt()), MOST_ADOPTED))
        except (sqlite3.Error, OSError) as error:
            log.warning("%s cannot be searched: %s", directory, error)
            return []

    def _adopt(self) -> bool:
        try:
            self._lock()
        except sqlite3.Error as error:
            log.debug("%s is not ours to publish: %s", self._path.name, error)
        if not self.waiting:
            self.close()
        return self._database is not None

    def append(self, messages: Sequence[Message]) -> bool:
        """Put messages at the end, all or none of them; whether they are in the file."""
        size = sum(message.size for message in messages)
        try:
            if self._bytes + size > self._max_bytes:
                raise sqlite3.OperationalError("the spool is full")
            self._insert(messages)
        except (sqlite3.Error, OSError) as error:
            log.log(self._tone, "events cannot be kept on disk: %s", error)
            self._tone = logging.DEBUG
            return False
        self._tone = logging.WARNING
        self._bytes += size
        self.waiting += len(messages)
        return True

    def _insert(self, messages: Sequence[Message]) -> None:
        database = self._open()
        with database:
            database.execute("BEGIN")
            database.executemany(
                "INSERT INTO message (event_id, subject, payload, short_lived) VALUES (?, ?, ?, ?)",
                [(m.event_id, m.subject, m.payload, m.short_lived) for m in messages],
            )

    def first(self, limit: int) -> tuple[int, list[Message]]:
        """The oldest messages, and the place up to which they reach."""
        try:
            rows = self._open().execute(_OLDEST, (limit,)).fetchall()
        except (sqlite3.Error, OSError) as error:
            self._give_up(error)
            return 0, []
        messages = [
            Message(event_id, subject, payload, bool(short)) for _, event_id, subject, payload, short in rows
        ]
        return (rows[-1][0] if rows else 0), messages

    def remove(self, place: int) -> None:
        """Forget everything up to ``place``: it is published."""
        try:
            database = self._open()
            database.execute("DELETE FROM message WHERE place <= ?", (place,))
            self._count(database)
        except (sqlite3.Error, OSError) as error:
            self._give_up(error)

    def _give_up(self, error: Exception) -> None:
        """A file that cannot be read holds nothing; it stays where it is, for people to look at."""
        log.warning("%s cannot be read: %s", self._path, error)
        self.lost += self.waiting
        self.waiting = 0
        if self._database is not None:
            self._database.close()
        self._database = None
        self._path = self._path.with_name(f"{uuid4().hex}.sqlite")

    def close(self) -> None:
        """Release the file, and remove it if nothing is left in it."""
        if self._database is None:
            return
        self._database.close()
        self._database = None
        if not self.waiting:
            self._unlink()

    def _unlink(self) -> None:
        """Remove the file; one that cannot be removed any more stays, and has nothing in it."""
        try:
            self._path.unlink(missing_ok=True)
            self._path.with_name(f"{self._path.name}-journal").unlink(missing_ok=True)
        except OSError as error:
            log.debug("%s stays: %s", self._path, error)

    def _open(self) -> sqlite3.Connection:
        if self._database is None:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            with _guarded(self._path.parent):
                self._database = self._lock()
        return self._database

    def _lock(self) -> sqlite3.Connection:
        """Nobody else can open the file until this connection is closed, or its process gone.

        A rollback journal, because closing it in a forked child, too, leaves the parent's file alone.
        """
        database = sqlite3.connect(self._path, timeout=0, isolation_level=None)
        try:
            database.execute("PRAGMA locking_mode=EXCLUSIVE")
            database.execute("PRAGMA journal_mode=TRUNCATE")
            database.execute("PRAGMA synchronous=OFF")
            database.execute("BEGIN EXCLUSIVE")
            database.execute(_SCHEMA)
            database.execute("COMMIT")
            self._count(database)
        except sqlite3.Error:
            database.close()
            raise
        self._database = database
        return database

    def _count(self, database: sqlite3.Connection) -> None:
        row = database.execute("SELECT count(*), coalesce(sum(length(payload)), 0) FROM message").fetchone()
        self.waiting, self._bytes = row


def _written(path: Path) -> float:
    """When; a file that its process has removed since it was found comes first, and is empty."""
    try:
        return path.stat().st_mtime
    except FileNotFoundError:
        return 0.0


@contextmanager
def _guarded(directory: Path) -> Iterator[None]:
    """Nobody looks for files to adopt while one is being made that is not locked yet."""
    with closing(sqlite3.connect(directory / "guard", timeout=_GUARD_SECONDS, isolation_level=None)) as guard:
        guard.execute("BEGIN EXCLUSIVE")
        yield
