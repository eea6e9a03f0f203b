"""One place of the log: an event ready to be sent, or the news that events are missing."""

from typing import NamedTuple, Self

from bridge.core.frames import frame, payload_of
from contracts.codec import Decoded
from contracts.messages import Gap
from contracts.subjects import Subject
from contracts.subscriptions import audience_of
from contracts.types import EventPriority

_OVERHEAD = 370
"""Bytes a place takes besides its frame.

What tracemalloc says 20,000 decoded events of 480 bytes add to a process, in the log and its postings, less
their frames, CPython 3.11: 259 each where they share execution and crew, 328 with ten events to an execution,
367 with an agent and a task id of their own. Where every event has an execution and a crew of its own it is
890, and a ring of such events takes up to 1.6 times its bytes.
"""

NO_SUBJECT = Subject("_", "_", "_", "_")


class Entry(NamedTuple):
    """What the groups and cursors need to know of an event, and the frame that all of them send."""

    seq: int
    subject: Subject
    audience: Subject
    """What a view has to select: the subject, or the subscription that the event is addressed to."""
    event_type: str
    priority: EventPriority
    agent_id: str | None
    task_id: str | None
    client_id: str | None
    """For this client only."""
    frame: bytes
    """The event's JSON as one WebSocket text frame."""
    stored_ns: int
    """When the stream stored it, in nanoseconds since 1970; 0 for a gap."""
    is_for_all: bool = False
    """For everybody, whatever their view."""
    is_gap: bool = False
    """The frame is a ``gap`` message, not an event."""
    has_ttl: bool = False
    """Its publisher said after what time it is to go."""

    @classmethod
    def of_event(cls, decoded: Decoded, seq: int) -> Self:
        """The place of a decoded event."""
        event = decoded.event
        audience = decoded.subject if event.audience is None else _addressed(event.audience)
        return cls(
            seq,
            decoded.subject,
            audience,
            event.event_type,
            event.priority,
            event.agent_id,
            event.task_id,
            event.client_id,
            frame(decoded.wire),
            decoded.stored_ns,
            audience is NO_SUBJECT,
            has_ttl=decoded.has_ttl,
        )

    @classmethod
    def of_gap(cls, gap: Gap, *, is_for_all: bool = True) -> Self:
        """The place that announces what is missing before and up to it.

        Not for all is what a read of the stream found missing: it is for those who asked.
        """
        return cls(
            gap.to,
            NO_SUBJECT,
            NO_SUBJECT,
            "gap",
            EventPriority.CRITICAL,
            None,
            None,
            None,
            frame(gap.to_json().encode()),
            0,
            is_for_all,
            is_gap=True,
        )

    @property
    def payload(self) -> bytes:
        """The JSON text inside the frame."""
        return payload_of(self.frame)

    @property
    def size(self) -> int:
        """Bytes of memory the place takes."""
        return len(self.frame) + _OVERHEAD


def _addressed(audience: str) -> Subject:
    """The audience in a subject's place, which the views select that cover it; for everyone, none."""
    pattern = audience_of(audience)
    return NO_SUBJECT if pattern is None else Subject(*pattern)
