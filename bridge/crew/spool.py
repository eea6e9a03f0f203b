"""The spool: messages on disk, for as long as they cannot be published.

Each process has a file of its own, made when first needed and locked for as long as the process lives. A file
that nobody locks was left by a process that has ended: another publishes and removes it.

| the disk | the messages |
|---|---|
| takes nothing (no room, a quota, read-only, no descriptors) | wait in memory, and are not called safe |
| takes no deletion | are passed over when they are published; who finds them later asks the stream |
| cannot be read now | are asked for every second; after a minute what comes later does not wait for them |
| has a broken file | are read one by one; the others are lost, the file stays as ``*.broken`` |
| has the file no more | are read from it as long as it is open, and written into another |
"""

import logging
import os
import sqlite3
from collections.abc import Sequence
from pathlib import Path
from time import monotonic
from typing import Final
from uuid import uuid4

from bridge.crew.doubt import UNKNOWN, Doubt, Name, Position
from bridge.crew.message import Message
from bridge.crew.spool_file import SpoolFile, guarded
from contracts.publishing import TRY_SECONDS

log = logging.getLogger(__name__)

MAX_BYTES: Final = 256 * 1024 * 1024
MOST_ADOPTED: Final = 16
"""Each is an open file or two of the worker's, and an outage can leave thousands."""
_PAUSE_SECONDS: Final = 1.0
_PAGE: Final = 1_000


class Spool:
    """One file of messages in their order; used by one thread.

    What `append` has taken survives the end of the process, however it comes.
    """

    def __init__(self, path: Path, max_bytes: int = MAX_BYTES) -> None:
        self._path = path
        self._max_bytes = max_bytes
        self._bytes = 0
        self._file: SpoolFile | None = None
        self._kept: Position | None = None
        """What the file says of where its messages may be in the stream."""
        self._published = 0
        """Up to this place nothing is to be read any more."""
        self._deleted = 0
        self._last = 0
        self._unreadable: set[int] = set()
        self._failing_since: float | None = None
        self._pause_until = 0.0
        self._tone = logging.WARNING
        self.doubt = Doubt()
        """About what waits in the file; of a process's own one also about what waits to go there."""
        self.lost = 0
        """Messages that were in a file which broke."""

    @classmethod
    def fresh(cls, directory: Path, max_bytes: int = MAX_BYTES) -> "Spool":
        """This process's own, which no other has ever had."""
        return cls(_new_path(directory), max_bytes)

    @classmethod
    def left_behind(
        cls, directory: Path, most: int = MOST_ADOPTED, tone: int = logging.WARNING
    ) -> list["Spool"]:
        """The files of processes that have ended, the oldest 16; from now on this process's own.

        What cannot be read is logged as ``tone`` says, and may be found another time.
        """
        found: list[Spool] = []
        try:
            if not directory.is_dir():
                return []
            with guarded(directory):
                for path in sorted(directory.glob("*.sqlite"), key=_written):
                    if len(found) < most and (spool := cls._adopted(path, tone)) is not None:
                        found.append(spool)
        except (sqlite3.Error, OSError) as error:
            log.log(tone, "%s cannot be searched: %s", directory, error)
        return found

    @classmethod
    def _adopted(cls, path: Path, tone: int) -> "Spool | None":
        spool = cls(path)
        try:
            spool._file = SpoolFile.found(path)
            if spool._file is None:
                return None
            first, spool._last = spool._file.ends()
            spool._published = spool._deleted = first - 1
            spool._kept = spool._file.since()
        except (sqlite3.Error, OSError) as error:
            log.log(tone if os.path.lexists(path) else logging.DEBUG, "%s cannot be read: %s", path, error)
            spool._release()
            return None
        spool.doubt = Doubt.inherited(spool._kept or UNKNOWN)
        if spool.waiting:
            return spool
        spool.close()
        return None

    @property
    def waiting(self) -> int:
        """Messages in the file that are not published."""
        return self._last - self._published

    @property
    def is_ready(self) -> bool:
        """Whether something is to be read, and it is time to."""
        return self.waiting > 0 and monotonic() >= self._pause_until

    @property
    def is_stuck(self) -> bool:
        """Whether it could not be read for so long that nothing else should wait for it."""
        return self._failing_since is not None and monotonic() - self._failing_since > TRY_SECONDS

    def append(self, messages: Sequence[Message]) -> bool:
        """Put messages at the end, all or none of them; whether they are in the file, with what was there."""
        size = sum(message.size for message in messages)
        try:
            if self._bytes + size > self._max_bytes:
                raise sqlite3.OperationalError("the spool is full")
            self._restore()
            self._file = self._file or SpoolFile.made(self._path)
            kept = self.doubt.since if self._deleted == self._published else self._kept
            self._file.insert(self._last + 1, messages, kept)
        except (sqlite3.Error, OSError) as error:
            self._complain("events cannot be kept on disk: %s", error)
            return False
        self._tone, self._kept = logging.WARNING, kept
        self._last += len(messages)
        self._bytes += size
        return True

    def holds(self) -> bool:
        """Whether all that waits here is where the next process will find it."""
        try:
            self._restore()
        except (sqlite3.Error, OSError) as error:
            self._complain("events are on disk no more: %s", error)
            return False
        return True

    def first(self, limit: int) -> tuple[int, list[Message]]:
        """The oldest messages, and the place up to which they reach; none as long as they cannot be read."""
        if self._file is None or not self.waiting:
            return self._published, []
        try:
            rows = self._file.read(self._published, limit, self._last)
        except sqlite3.Error as error:
            self._failing_since = self._failing_since or monotonic()
            self._pause_until = monotonic() + (TRY_SECONDS if self.is_stuck else _PAUSE_SECONDS)
            self._complain(f"{self._path} cannot be read now: %s", error)
            return self._published, []
        self._failing_since = None
        self._unreadable.update(place for place, message in rows if message is None)
        messages = [message for _, message in rows if message is not None]
        if not messages:
            self.remove(rows[-1][0])
        return rows[-1][0], messages

    def names(self, limit: int) -> list[Name]:
        """Of the oldest messages; fewer where they cannot be read."""
        try:
            return self._file.names(self._published, limit) if self._file else []
        except sqlite3.Error:
            return []

    def remove(self, place: int) -> None:
        """Forget everything up to ``place``: it is published, or cannot be read.

        It is not read again, even if the disk does not let it be deleted now.
        """
        self._published = max(place, self._published)
        if unreadable := {each for each in self._unreadable if each <= place}:
            log.warning("%s is broken: %d events in it are lost", self._path, len(unreadable))
            self._unreadable -= unreadable
            self.lost += len(unreadable)
        if self._file is None:
            return
        try:
            self._bytes -= self._file.delete(self._published, self.doubt.since)
        except sqlite3.Error as error:
            log.debug("%s: what is published stays in it for now: %s", self._path, error)
        else:
            self._deleted, self._kept = self._published, self.doubt.since

    def keep_doubt(self) -> None:
        """Note in the file, if it can be, that what it has may be further back in the stream than it says."""
        since = self.doubt.since
        if self._file is None or since is None or self._kept is None:
            return
        if self._kept.created == since.created and self._kept.seq <= since.seq:
            return
        try:
            self._file.keep(since)
            self._kept = since
        except sqlite3.Error as error:
            log.debug("%s cannot be written now: %s", self._path, error)

    def close(self) -> None:
        """Release the file, and remove it if nothing is left in it."""
        if self._file is None:
            return
        if self.waiting:
            self._release()
            return
        try:
            self._file.remove()
        except OSError as error:
            log.debug("%s stays: %s", self._path, error)
        self._release()
        self._path, self._kept = _new_path(self._path.parent), None
        self._published = self._deleted = self._last = self._bytes = 0

    def _release(self) -> None:
        if self._file is not None:
            self._file.close()
        self._file = None

    def _restore(self) -> None:
        """Where the file is gone while it is open, write what is in it into another."""
        if self._file is None or self._file.is_there:
            return
        new = Spool.fresh(self._path.parent, self._max_bytes)
        new.doubt = self.doubt
        place = self._published
        while place < self._last:
            rows = self._file.read(place, _PAGE, self._last)
            if not new.append([message for _, message in rows if message is not None]):
                new._published = new._last
                new.close()
                raise OSError(f"{self._path} is gone")
            place = rows[-1][0]
        log.warning("%s was gone: what was in it is written anew", self._path)
        self.lost += self.waiting - new.waiting
        self._release()
        self._path, self._file, self._kept, self._bytes = new._path, new._file, new._kept, new._bytes
        self._published, self._deleted, self._last = 0, 0, new._last
        self._unreadable.clear()

    def _complain(self, text: str, error: Exception) -> None:
        log.log(self._tone, text, error)
        self._tone = logging.DEBUG


def _new_path(directory: Path) -> Path:
    return directory / f"{os.getpid()}-{uuid4().hex}.sqlite"


def _written(path: Path) -> float:
    """When; a file that its process has removed since it was found comes first, and is empty."""
    try:
        return path.stat().st_mtime
    except FileNotFoundError:
        return 0.0
