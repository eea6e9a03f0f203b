"""A place in the log as a client names it: ``<epoch>-<seq>``, the ``id`` of an event in an event stream."""

import re
from datetime import datetime
from typing import Final, NamedTuple, Self

from contracts.errors import ContractError

_POSITION: Final = re.compile(r"([0-9A-Za-z][0-9A-Za-z-]{0,63})-([0-9]{1,19})")


_MICROSECONDS: Final = 1_000_000
_LATEST: Final = 9 * 10**18
"""In the year 2255: the server counts in 64 bits, and takes what is later for what is long ago."""


def nanoseconds(time: datetime) -> int:
    """A moment as the stream counts it: since 1970. Nothing is stored before, nor for centuries to come."""
    return min(max(round(time.timestamp() * _MICROSECONDS) * 1000, 0), _LATEST)


class Position(NamedTuple):
    """Everything up to ``seq`` of the stream's incarnation ``epoch`` lies behind the client."""

    epoch: str
    seq: int

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a ``Last-Event-ID``. Anything else raises `ContractError`."""
        found = _POSITION.fullmatch(text)
        if found is None:
            raise ContractError("Last-Event-ID", "must be <epoch>-<seq>")
        return cls(found[1], int(found[2]))

    def __str__(self) -> str:
        return f"{self.epoch}-{self.seq}"
