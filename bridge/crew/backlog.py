"""The backlog: all that waits on disk, of this process and of those that have ended."""

import logging
from pathlib import Path
from time import monotonic
from typing import Final

from bridge.crew.doubt import Name
from bridge.crew.spool import MOST_ADOPTED, Spool

_SEARCH_SECONDS: Final = 60.0
"""How often files are looked for that were left, or could not be read before."""
_MOST_NAMES: Final = 20_000
_MOST_SUBJECTS: Final = 256


class Backlog:
    """The spools below a directory, in the order in which they are published."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._adopted: list[Spool] = []
        self._search_at = 0.0
        self._lost_before = 0
        self.own = Spool.fresh(directory)
        """Where this process puts what cannot be sent."""

    @property
    def waiting(self) -> int:
        """Messages on disk."""
        return sum(spool.waiting for spool in (self.own, *self._adopted))

    @property
    def lost(self) -> int:
        """Messages that were in files which broke."""
        return self._lost_before + sum(spool.lost for spool in (self.own, *self._adopted))

    def next(self) -> Spool | None:
        """The spool to publish from; None if nothing waits, or nothing can be read now."""
        if self.own.is_stuck:
            stuck, self.own = self.own, Spool.fresh(self._directory)
            self.own.doubt.since = stuck.doubt.since
            self._adopted.append(stuck)
        if self.own.waiting:
            return self.own if self.own.is_ready else None
        return next((spool for spool in self._adopted if spool.is_ready), None)

    def search(self) -> None:
        """Adopt what others have left, if it is time to look, and there is room for it."""
        if self.own.waiting or monotonic() < self._search_at:
            return
        tone = logging.DEBUG if self._search_at else logging.WARNING
        self._search_at = monotonic() + _SEARCH_SECONDS
        self._lost_before += sum(spool.lost for spool in self._adopted if not spool.waiting)
        self._adopted = [spool for spool in self._adopted if spool.waiting]
        self._adopted += Spool.left_behind(self._directory, MOST_ADOPTED - len(self._adopted), tone)
        for spool in self._adopted:
            spool.doubt.ahead = self._names

    def _names(self) -> list[Name]:
        """Of what others left, in its order: as many as a search can be for."""
        names: list[Name] = []
        subjects: set[str] = set()
        for spool in self._adopted:
            for name in spool.names(_MOST_NAMES - len(names)):
                subjects.add(name[1])
                if len(subjects) > _MOST_SUBJECTS:
                    return names
                names.append(name)
        return names

    def passed(self, spool: Spool) -> None:
        """Release a spool if all that was in it is published, and look for more if there may be."""
        if spool.waiting:
            return
        spool.close()
        if len(self._adopted) == MOST_ADOPTED and not any(each.waiting for each in self._adopted):
            self._search_at = min(self._search_at, monotonic())
        self.search()

    def close(self) -> None:
        """Release all files; what is in them waits for another process."""
        for spool in (self.own, *self._adopted):
            spool.close()
