"""Positions in the stream, as clients keep them and come back with them: ``<seq>-<when it was stored>``."""

import re
from datetime import datetime
from typing import Annotated, Final, NamedTuple, Self

from pydantic import Field, StringConstraints, ValidationError, ValidatorFunctionWrapHandler, WrapValidator

from contracts.errors import ContractError

_FORM: Final = r"[0-9]{1,16}-[0-9a-f]{1,16}"
_POSITION: Final = re.compile(_FORM)
_ANCHORED: Final = re.compile(rf"([^-]+)-({_FORM})")

_MICROSECONDS: Final = 1_000_000
_LATEST: Final = 9 * 10**18
"""In the year 2255: the server counts in 64 bits, and takes what is later for what is long ago."""


def nanoseconds(time: datetime) -> int:
    """A moment as the stream counts it: since 1970. Nothing is stored before, nor for centuries to come."""
    return min(max(round(time.timestamp() * _MICROSECONDS) * 1000, 0), _LATEST)


class StreamPosition(NamedTuple):
    """A message of the stream, by its number and by when it was stored.

    A stream that lost its end (a machine lost its power, a backup was restored) gives the lost numbers again,
    to other messages, which are stored later. So the number alone does not say what was there; both do, and
    are the same for every bridge.

    >>> str(StreamPosition(812, 1_795_521_600_123_456_789))
    '812-18eae7a7d1b57d15'
    """

    seq: int
    """Everything up to here lies behind whoever names the position. 0: nothing does."""
    stored_ns: int
    """When the message ``seq`` was stored, in nanoseconds since 1970; for 0, when the stream was made."""

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read what `str` wrote. Anything else raises `ContractError`."""
        if _POSITION.fullmatch(text) is None:
            raise ContractError("position", "must be <seq>-<time in base 16>, as the bridge says it")
        seq, _, stored = text.partition("-")
        return cls(int(seq), int(stored, 16))

    def __str__(self) -> str:
        return f"{self.seq}-{self.stored_ns:x}"


def anchored(epoch: str, position: StreamPosition | None) -> str:
    """The ``epoch`` as clients are told it: with a position that shows whether the stream lost its end."""
    return epoch if position is None else f"{epoch}-{position}"


def anchor_of(epoch: str) -> tuple[str, StreamPosition | None]:
    """Take apart what `anchored` put together, or an epoch alone."""
    found = _ANCHORED.fullmatch(epoch)
    return (epoch, None) if found is None else (found[1], StreamPosition.parse(found[2]))


def _whole(value: object, handler: ValidatorFunctionWrapHandler) -> object:
    """One complaint about the value, where pydantic has one for each member of the union."""
    try:
        return handler(value)
    except ValidationError:
        raise ValueError("must be a position, as the bridge says it, or a seq, from 0") from None


Since = Annotated[
    Annotated[int, Field(ge=0)] | Annotated[str, StringConstraints(pattern=rf"^{_FORM}$")],
    WrapValidator(_whole),
]
"""Where a client wants to go on: a position, or the ``seq`` alone."""
