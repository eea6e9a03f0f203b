"""The accounts of one worker: what was published, what waits, and what will never arrive."""

from bridge.crew.backlog import Backlog
from bridge.crew.outbox import Outbox


class Accounts:
    """Counts messages."""

    def __init__(self, outbox: Outbox, backlog: Backlog) -> None:
        self._outbox = outbox
        self._backlog = backlog
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
        return self._backlog.waiting

    def losses(self) -> dict[str, int]:
        """Messages that will never arrive, so far, by the reason."""
        return {
            "shed": self._outbox.shed,
            "not_spooled": self.not_spooled + self._backlog.lost,
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
