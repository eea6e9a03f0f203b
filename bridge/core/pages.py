"""What was read and encoded for one connection, for the next one that is to be given the same."""

from typing import Final, NamedTuple

from bridge.core.cursor import Likeness
from bridge.core.entry import Entry
from bridge.core.segment import Page

_MOST: Final = 16
"""Pages that are kept: 4 MiB. Who asked the stream for the same is answered one after the other."""


class Sheet(NamedTuple):
    """A page as it is written: its parts, each with the bytes that are sent."""

    page: Page
    writes: list[tuple[list[Entry], bytes]]


class Pages:
    """The last few pages of one flush.

    After a restart thousands come back to the same place: what they missed is read and joined once.
    """

    __slots__ = ("_recent",)

    def __init__(self) -> None:
        self._recent: dict[Likeness, Sheet] = {}

    def find(self, likeness: Likeness | None) -> Sheet | None:
        """What another connection that was alike was given."""
        return None if likeness is None else self._recent.get(likeness)

    def keep(self, likeness: Likeness | None, sheet: Sheet) -> None:
        """Remember it, unless somebody else would be given something else."""
        if likeness is None or likeness in self._recent or not sheet.page.is_common:
            return
        if len(self._recent) == _MOST:
            del self._recent[next(iter(self._recent))]
        self._recent[likeness] = sheet
