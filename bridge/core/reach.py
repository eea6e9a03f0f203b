"""How many connections an event is for."""

from typing import NamedTuple

from bridge.core.hub import Hub
from bridge.core.view import View
from contracts.subscriptions import GLOBAL, parse_subscription

_EVERYTHING = View(frozenset({parse_subscription(GLOBAL).pattern}))


class Reach(NamedTuple):
    """Of the connections that there are now."""

    reached: int
    """It is for so many."""
    behind: int
    """Of these, so many read on in the log, and will come to it."""


def reach(hub: Hub, seq: int) -> Reach:
    """Whom the event at ``seq`` is for; nobody, where it is not in the ring."""
    entry = next(hub.log.after(seq - 1, _EVERYTHING), None)
    if entry is None or entry.seq != seq:
        return Reach(0, 0)
    wanted: dict[View, bool] = {}
    reached = behind = 0
    for connection in hub.connections.values():
        view = connection.view
        if view not in wanted:
            wanted[view] = entry.is_for_all or view.wants(entry)
        is_addressed = entry.client_id is None or entry.client_id == connection.client_id
        if is_addressed and (wanted[view] or entry.client_id is not None):
            reached += 1
            behind += connection.group is None and connection.cursor.position < seq
    return Reach(reached, behind)
