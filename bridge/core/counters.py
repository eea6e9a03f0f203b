"""What happened, in plain integers; the metrics read them when asked."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from bridge.core.entry import Entry
from bridge.core.histogram import Histogram

FLUSH_EVENTS: Final = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000)
AGE_MICROSECONDS: Final = tuple(
    1000 * ms for ms in (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000, 30_000, 60_000)
)


@dataclass(slots=True)
class Counters:
    """Totals since the start. Keys are names from closed lists, never ids or subjects."""

    events_in: Counter[str] = field(default_factory=Counter)
    """Events accepted, by family."""
    rejected: Counter[str] = field(default_factory=Counter)
    """Stored messages that are not events, by the first bad field of the envelope."""
    delivered: Counter[str] = field(default_factory=Counter)
    """Events written to sockets, by family."""
    bytes_out: int = 0
    """Bytes of events written to sockets."""
    writes: int = 0
    """Calls of ``write`` that delivered events."""
    messages_out: int = 0
    """Events and control messages written to sockets."""
    opened: Counter[str] = field(default_factory=Counter)
    """Connections opened, by endpoint."""
    refused: Counter[str] = field(default_factory=Counter)
    """Clients that were not let in, by code."""
    silent: Counter[str] = field(default_factory=Counter)
    """TCP connections ended because no request came, by reason."""
    closed: Counter[int] = field(default_factory=Counter)
    """Connections closed, by close code."""
    commands: Counter[str] = field(default_factory=Counter)
    """Commands carried out, by action."""
    errors: Counter[str] = field(default_factory=Counter)
    """Errors answered, by code."""
    recoveries: Counter[str] = field(default_factory=Counter)
    """Cursors that clients came with, by what became of them."""
    gaps: Counter[str] = field(default_factory=Counter)
    """Gaps announced, by reason: ``too_old`` counts for each connection, what the stream lost counts once."""
    shared_requests: int = 0
    """Times that a connection needed of the stream's past what had been asked for already."""
    fell_behind: int = 0
    """Times that a full socket left its group."""
    admin_calls: Counter[str] = field(default_factory=Counter)
    """Requests of operators, by operation."""
    admin_failures: Counter[str] = field(default_factory=Counter)
    """Those of them that were refused, by code."""
    stale: int = 0
    """Connections closed because nothing was heard from them."""
    stalled: int = 0
    """Connections closed because they took nothing."""
    flush_events: Histogram = field(default_factory=lambda: Histogram(FLUSH_EVENTS))
    """Events that one flush joined for a group."""
    event_age: Histogram = field(default_factory=lambda: Histogram(AGE_MICROSECONDS))
    """Microseconds from the stream to the last socket of a group, of the oldest event of a flush."""

    def delivery(self, entries: Sequence[Entry], size: int, times: int = 1) -> None:
        """``entries``, as ``size`` bytes, were written to ``times`` sockets."""
        self.writes += times
        self.bytes_out += size * times
        self.messages_out += len(entries) * times
        delivered = self.delivered
        for entry in entries:
            if not entry.is_gap:
                delivered[entry.subject.family] += times

    def flush(self, entries: Sequence[Entry], now: int) -> None:
        """``entries`` have reached every socket of a group at ``now``, in nanoseconds since 1970.

        A gap has no age, and clocks that differ make none below zero.
        """
        self.flush_events.observe(len(entries))
        stored = entries[0].stored_ns
        if stored:
            self.event_age.observe(max(now - stored, 0) // 1000)
