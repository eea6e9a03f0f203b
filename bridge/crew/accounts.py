"""The accounts of one worker: what was published, what waits, and what will never arrive."""

from collections.abc import Sequence

from bridge.crew.backlog import Backlog
from bridge.crew.message import Message
from bridge.crew.outbox import Outbox


class Accounts:
    """Counts messages."""

    def __init__(self, outbox: Outbox, backlog: Backlog) -> None:
        self._outbox = outbox
        self._backlog = backlog
        self.taken: Sequence[Message] = ()
        """On their way: taken from the outbox, and neither acknowledged nor on disk."""
        self.published = 0
        """Acknowledged by the stream."""
        self.refused = 0
        """Too large for the stream, or of a family that it does not have."""
        self.denied = 0
        """Not allowed to be published, by NATS' permissions."""
        self.not_spooled = 0
        """Neither NATS nor the disk took them in time."""

    @property
    def waiting(self) -> int:
        """Messages that are in memory only, on their way or not."""
        return len(self._outbox) + len(self.taken)

    @property
    def waiting_bytes(self) -> int:
        """What these take."""
        return self._outbox.bytes_waiting + sum(message.size for message in self.taken)

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
            "waiting": self.waiting,
            "on_disk": self.on_disk,
        }
