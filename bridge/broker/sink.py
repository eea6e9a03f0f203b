"""Where the feed brings the stream."""

from typing import Protocol

from contracts.codec import StoredMessage
from contracts.messages import GapReason
from contracts.positions import StreamPosition


class Sink(Protocol):
    """Who takes what the feed brings. Called in order, never waits, never raises."""

    def begin(self, epoch: str, floor: int, end: StreamPosition, looked_ns: int) -> None:
        """The stream is new to us: what follows are its messages after ``floor``.

        ``end``: its last message, given or not, there or gone; ``looked_ns``: when that was so, by
        its own clock in nanoseconds since 1970.
        """
        ...

    def resume(self, looked_ns: int) -> None:
        """The stream is read on from where it was left, and was looked at then: it is the same up to there.

        What it lost behind that, which others may have read, nobody here can know.
        """
        ...

    def message(self, message: StoredMessage) -> None:
        """The next message."""
        ...

    def skip(self, last: int, stored_ns: int) -> None:
        """The stream holds nothing more up to ``last``, and what it held came here or expired.

        ``stored_ns``: when ``last``, which is no event, was stored; 0 if there is nothing at all.
        """
        ...

    def gap(self, first: int, last: int, reason: GapReason) -> None:
        """The messages ``first``..``last`` are gone from the stream and never came here."""
        ...
