"""Which crew workers are there, as their pulses say, and what they have published and lost."""

from dataclasses import dataclass
from typing import Final

from contracts.payloads.state import SystemHealthCheck

SILENT_SECONDS: Final = 90.0
"""Three pulses: a worker that was not heard for so long, and did not say goodbye, is lost."""
MAX_WORKERS: Final = 10_000
"""Known at once; more are not counted."""


@dataclass(slots=True)
class _Worker:
    heard: float
    published: int
    waiting: int


class Workers:
    """Told of every pulse; ``now`` is in seconds of any clock that only grows."""

    def __init__(self) -> None:
        self._workers: dict[str, _Worker] = {}
        self.published = 0
        """Messages that workers have put into the stream."""
        self.lost = 0
        """Workers that fell silent without a goodbye."""

    def __len__(self) -> int:
        """How many are there."""
        return len(self._workers)

    @property
    def waiting(self) -> int:
        """Events that wait in workers, in memory or on disk."""
        return sum(worker.waiting for worker in self._workers.values())

    def heard(self, pulse: SystemHealthCheck, now: float) -> None:
        """A pulse has come."""
        if pulse.instance is None or (pulse.instance not in self._workers and len(self) >= MAX_WORKERS):
            return
        known = self._workers.pop(pulse.instance, None)
        published = pulse.published or 0
        self.published += max(published - (known.published if known else 0), 0)
        if pulse.status != "down":
            waiting = (pulse.waiting or 0) + (pulse.on_disk or 0)
            self._workers[pulse.instance] = _Worker(now, published, waiting)

    def forget_silent(self, now: float) -> None:
        """Count those as lost that were not heard for too long; they are in the order of their last pulse."""
        while self._workers:
            instance, worker = next(iter(self._workers.items()))
            if now - worker.heard <= SILENT_SECONDS:
                return
            del self._workers[instance]
            self.lost += 1
