"""The accounts of one worker: what was published, what waits, and what will never arrive."""

from collections.abc import Callable, Iterable

from bridge.crew.outbox import Outbox
from bridge.crew.spool import Spool


class Accounts:
    """Counts messages; ``spools`` are those of this process."""

    def __init__(self, outbox: Outbox, spools: Callable[[], Iterable[Spool]]) -> None:
        self._outbox = outbox
        self._spools = spools
        self.published = 0
        """Acknowledged by the stream."""
        self.refused = 0
        """Too large for the stream, or of a family that it does not have."""
        self.denied = 0
        """Not allowed to be published, by NATS' permissions."""
        self.not_spooled = 0
        """Neither NATS nor the disk took them in time."""

    @property
    def on_disk(self) -> int:
        """Messages that wait for the stream in spools."""
        return sum(spool.waiting for spool in self._spools())

    def losses(self) -> dict[str, int]:
        """Messages that will never arrive, so far, by the reason."""
        return {
            "shed": self._outbox.shed,
            "not_spooled": self.not_spooled + sum(spool.lost for spool in self._spools()),
            "refused": self.refused,
            "denied": self.denied,
        }

    def totals(self) -> dict[str, int]:
        """What a pulse tells of them."""
        return {
            "published": self.published,
            "lost": sum(self.losses().values()),
            "waiting": len(self._outbox),
            "on_disk": self.on_disk,
        }
