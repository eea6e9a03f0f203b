"""Why an event is not for a connection: which parts of its view decline it."""

from typing import Literal

from bridge.core.connection import Connection
from bridge.core.entry import Entry
from contracts.filters import EventFilter

Part = Literal["addressed", "subscription", "types", "min_priority", "agents", "tasks"]
"""``addressed``: the event is for another client. The last four are parts of the filter."""


def declined_by(connection: Connection, entry: Entry) -> list[Part]:
    """Every part of what holds now for the connection that declines ``entry``; none if it gets it."""
    if entry.client_id is not None:
        return [] if entry.client_id == connection.client_id else ["addressed"]
    if entry.is_for_all:
        return []
    parts: list[Part] = [] if connection.view.selects(entry.audience) else ["subscription"]
    return parts + _filtered_by(connection.view.filter, entry)


def _filtered_by(wanted: EventFilter, entry: Entry) -> list[Part]:
    lowest = wanted.min_priority
    verdicts: list[tuple[Part, bool]] = [
        ("types", wanted.wants_type(entry.event_type)),
        ("min_priority", lowest is None or entry.priority.rank >= lowest.rank),
        ("agents", wanted.agents is None or entry.agent_id in wanted.agents),
        ("tasks", wanted.tasks is None or entry.task_id in wanted.tasks),
    ]
    return [part for part, holds in verdicts if not holds]
