"""Where events that are addressed to one client are, also when the ring has forgotten them.

Such an event concerns its client whatever its subject, which is all that the stream can be asked for. Without
this list a client that looks back beyond the ring would have to read everything.
"""

from collections import deque
from collections.abc import Iterator
from typing import Final

from bridge.core.entry import Entry
from contracts.subjects import Subject

_MAX_REMEMBERED: Final = 65_536
"""About 10 MB; more than that are forgotten from the oldest on."""


class Addressed:
    """The places of the log's addressed events after ``known_from``, by client."""

    __slots__ = ("_by_client", "_most", "_order", "known_from")

    def __init__(self, known_from: int, most: int = _MAX_REMEMBERED) -> None:
        self.known_from = known_from
        self._most = most
        self._order: deque[tuple[int, str]] = deque()
        self._by_client: dict[str, deque[tuple[int, Subject]]] = {}

    def add(self, entry: Entry, client_id: str) -> None:
        """An event for ``client_id``, newer than all before."""
        self._by_client.setdefault(client_id, deque()).append((entry.seq, entry.subject))
        self._order.append((entry.seq, client_id))
        if len(self._order) > self._most:
            self._forget()

    def subjects(self, client_id: str, after: int, upto: int) -> Iterator[Subject]:
        """Where the client's events in (``after``, ``upto``] were published."""
        return (subject for seq, subject in self._by_client.get(client_id, ()) if after < seq <= upto)

    def _forget(self) -> None:
        self.known_from, client_id = self._order.popleft()
        places = self._by_client[client_id]
        places.popleft()
        if not places:
            del self._by_client[client_id]
