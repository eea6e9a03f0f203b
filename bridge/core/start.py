"""Where in the log a client wants to begin, as it says it, and as it turns out to be."""

from dataclasses import dataclass
from typing import Protocol, Self

from bridge.core.history import Chunk
from contracts.positions import StreamPosition, anchor_of


class Addressee(Protocol):
    """Whose cursor it is: a `Connection`, or who will have one."""

    @property
    def client_id(self) -> str: ...
    @property
    def is_known(self) -> bool:
        """Whether the client chose its id."""
        ...


@dataclass(frozen=True, slots=True)
class Start:
    """What a client asked for: one of ``since``, ``time_ns`` and ``last``, or nothing: from now on."""

    since: int | None = None
    epoch: str | None = None
    """What ``since`` is a place of; None: of whatever stream there is."""
    mark: StreamPosition | None = None
    """What the client knows to have been in the stream, at ``since`` or before."""
    time_ns: int | None = None
    """Events that the stream stored then or later; in nanoseconds since 1970."""
    last: int | None = None
    """So many of the newest events."""

    @classmethod
    def at(cls, since: int | str, epoch: str | None) -> Self:
        """A position, or the ``seq`` of a pair with its epoch. What is neither raises `ContractError`."""
        created, mark = (None, None) if epoch is None else anchor_of(epoch)
        if isinstance(since, int):
            return cls(since, created, mark)
        position = StreamPosition.parse(since)
        return cls(position.seq, created, position)

    @property
    def is_place(self) -> bool:
        """Whether anything was asked for."""
        return (self.since, self.time_ns, self.last) != (None, None, None)


@dataclass(frozen=True, slots=True)
class Found:
    """A place in the log, and what of the past was read to judge it."""

    since: int | None = None
    epoch: str | None = None
    chunk: Chunk | None = None
    is_found: bool = True
    """False where the stream did not answer."""
    is_verified: bool = True
    """False where ``since`` may be the number of something else by now."""
    is_owed: bool = True
    """False where the client has not been there before: it gets what there is, and no gap for what was."""
