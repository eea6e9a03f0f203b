"""Who may connect now: a bound on connections at once, and on new ones a second."""

from typing import Literal, NamedTuple

Why = Literal["too_many_connections", "too_fast"]

FULL_SECONDS = 10.0
"""When to ask again where there is no room: nobody knows when somebody leaves."""


class Refusal(NamedTuple):
    """A client that has to come again."""

    why: Why
    retry_after: float
    """In so many seconds there may be a place."""


class TokenBucket:
    """Lets ``rate`` a second pass, and as many at once after a quiet second.

    Who is not let through is told to come when those before it have: a crowd then does not come back all
    at once. ``now`` is in seconds of any clock that only grows.
    """

    __slots__ = ("_at", "_level", "_rate", "_waiting")

    def __init__(self, rate: float) -> None:
        self._rate = rate
        self._level = max(rate, 1.0)
        self._waiting = 0.0
        self._at: float | None = None

    def take(self, now: float) -> float:
        """0 for who may pass; else in how many seconds to come again."""
        passed = self._rate * (0.0 if self._at is None else now - self._at)
        self._at = now
        self._level = min(self._level + passed, max(self._rate, 1.0))
        self._waiting = max(self._waiting - passed, 0.0)
        if self._level >= 1:
            self._level -= 1
            return 0.0
        self._waiting += 1
        return self._waiting / self._rate


class Admission:
    """Decides for each client that wants in. ``room``: connections at once, ``rate``: new ones a second."""

    def __init__(self, *, room: int, rate: float) -> None:
        self._room = room
        self._bucket = TokenBucket(rate)

    def ask(self, connected: int, now: float) -> Refusal | None:
        """None for who may come in, beside the ``connected`` that are here."""
        if connected >= self._room:
            return Refusal("too_many_connections", FULL_SECONDS)
        wait = self._bucket.take(now)
        return Refusal("too_fast", wait) if wait else None
