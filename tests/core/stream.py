"""An honest stream for tests of the core: it holds what was published, and answers when it is told to."""

from bridge.core.entry import Entry
from bridge.core.history import Chunk, Request


class FakeStream:
    """Everything from ``first`` on; what the hub has asked for waits in ``asked``."""

    def __init__(self) -> None:
        self.asked: list[Request] = []
        self.reset(1)

    def reset(self, first: int) -> None:
        """Another stream."""
        self.first = first
        self.entries: list[Entry] = []

    def forget(self, first: int) -> None:
        """Retention takes everything before ``first``."""
        self.first = max(self.first, first)

    def read(self, request: Request, most: int = 1_000_000) -> Chunk:
        """The truth at this moment, cut after ``most`` events."""
        lost = (request.after + 1, self.first - 1)
        selected = [
            entry
            for entry in self.entries
            if max(request.after, self.first - 1) < entry.seq <= request.upto
            and (entry.is_for_all or any(p.matches(entry.audience) for p in request.patterns))
        ]
        upto = selected[most - 1].seq if len(selected) >= most else max(request.upto, self.first - 1)
        gone = lost if lost[0] <= lost[1] else None
        return Chunk(request.epoch, request.patterns, request.after, upto, selected[:most], gone)
