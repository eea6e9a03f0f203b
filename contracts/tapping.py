"""The lines of a tap: what one client is sent, and what it is not, and why."""

from typing import Any, Literal

from pydantic import AwareDatetime

from contracts.operations import Body


class TapLine(Body):
    """One line, told apart by ``kind``; the fields of other kinds are absent."""

    kind: Literal["tapping", "sent", "ping", "declined", "dropped", "alive", "closed", "lost"]
    """``tapping`` is the first. ``dropped``: so many lines are missing here, since they came faster than they
    were read. ``alive``: nothing happened for a while. The last is ``closed``, when the connection ends, or
    ``lost``, when its bridge says nothing any more."""
    at: AwareDatetime | None = None
    client_id: str | None = None
    instance: str | None = None
    bytes: int | None = None
    """Of what was sent, compressed if it was."""
    message: Any = None
    """What was sent, as JSON: an event, an answer, a heartbeat, or an array of events."""
    text: str | None = None
    """What was sent, where it is no JSON, or too large to be shown: then its beginning."""
    seq: int | None = None
    """Of an event that was declined."""
    event_type: str | None = None
    subject: str | None = None
    declined_by: list[str] | None = None
    """All parts of the view that decline it: ``addressed`` to another client, ``subscription``, ``types``,
    ``min_priority``, ``agents``, ``tasks``."""
    count: int | None = None
    """Of lines that were dropped."""
    code: int | None = None
    reason: str | None = None
