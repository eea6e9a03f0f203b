"""A stretch of the log under the views that held there, and one step of reading it."""

from dataclasses import dataclass, replace
from typing import NamedTuple

from bridge.core.entry import Entry
from bridge.core.view import View
from contracts.messages import GapReason


@dataclass(frozen=True, slots=True)
class Segment:
    """The events in (``after``, ``upto``] that all ``views`` want and no segment of ``unless`` gives."""

    views: tuple[View, ...]
    after: int
    upto: int | None = None
    """None: on and on, with the head."""
    begin: int = 0
    """What lies between ``after`` and it is not given: it is more than may be asked for."""
    unless: tuple["Segment", ...] = ()
    owed: int = 0
    """What the stream has lost up to there was gone when the client came: nobody promised it."""
    is_backfill: bool = False
    """Looks back for a subscription that came later; addressed events, which need none, are not for it."""

    def wants(self, entry: Entry) -> bool:
        """Whether the segment gives an entry that is addressed to this client or to nobody."""
        if entry.seq <= max(self.after, self.begin) or (self.upto is not None and entry.seq > self.upto):
            return False
        if entry.is_gap and not entry.is_for_all:
            return entry.seq > self.owed
        if entry.client_id is not None:
            return not self.is_backfill
        if not entry.is_for_all and not all(view.wants(entry) for view in self.views):
            return False
        return not any(past.wants(entry) for past in self.unless)

    def narrowed(self, view: View, head: int) -> "Segment":
        """What of it is left when from ``head`` on another view holds: it has to please both."""
        views = self.views if view in self.views else (*self.views, view)
        return replace(self, views=views, upto=head if self.upto is None else self.upto)

    def covered(self) -> "Segment":
        """The events that it gives or leaves to others, which are all given by somebody.

        Segments that others exclude are kept in this form: else each would keep all that were before it.
        """
        return replace(self, unless=())


class Page(NamedTuple):
    """One step of reading: these entries, and with them everything up to ``upto`` is given."""

    entries: list[Entry]
    upto: int
    lost: tuple[int, int] | None = None
    """First and last ``seq`` of a stretch that will not be given."""
    why: GapReason = "too_old"
    """``too_old``: the stretch is in the log no more, neither here nor in the stream."""
    is_common: bool = True
    """Whether nothing in it was passed over, or given, because of whom it is addressed to."""
