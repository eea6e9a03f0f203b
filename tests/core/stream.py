"""An honest stream for tests of the core: it holds what was published, and answers when it is told to."""

from bridge.core.entry import Entry
from bridge.core.history import Chunk, Request, with_gaps


class FakeStream:
    """Everything from ``first`` on; what the hub has asked for waits in ``asked``."""

    def __init__(self) -> None:
        self.asked: list[Request] = []
        self.reset(1)

    def reset(self, first: int) -> None:
        """Another stream."""
        self.first = first
        self.entries: list[Entry] = []
        self.removed: set[int] = set()

    def forget(self, first: int) -> None:
        """Retention takes everything before ``first``."""
        self.first = max(self.first, first)

    def remove(self, *seqs: int) -> None:
        """An operator, or a rule of the stream's, takes these away."""
        self.removed.update(seqs)

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
        entries, holes = self._without_removed([entry for entry in selected if entry.seq <= upto])
        told = with_gaps(entries, holes)
        return Chunk(request.epoch, request.patterns, request.after, upto, told, gone, holes)

    def _without_removed(self, selected: list[Entry]) -> tuple[list[Entry], list[tuple[int, int]]]:
        """What is left, and what was to last and is gone, one stretch between any two that are left."""
        left: list[Entry] = []
        holes: list[tuple[int, int]] = []
        is_hole = False
        for entry in selected:
            if entry.seq not in self.removed:
                left.append(entry)
                is_hole = False
            elif not entry.event_type.endswith(".progress"):
                holes[-1:] = [(holes[-1][0], entry.seq)] if is_hole else [*holes[-1:], (entry.seq, entry.seq)]
                is_hole = True
        return left, holes
