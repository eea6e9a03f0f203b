"""What a client is owed: the slow, obvious model that the promise is held against."""

import json
from collections import deque
from collections.abc import Callable, Set
from dataclasses import dataclass
from typing import Final

from bridge.core.connection import Connection
from bridge.core.cursor import MAX_GIVEN
from bridge.core.delivery import MAX_BATCH
from tests.core.parts import FakeSocket, Json, frames


@dataclass(frozen=True)
class Fact:
    """What the model knows of one place of the log; a gap has a ``first``."""

    seq: int
    event_type: str = ""
    crew: str | None = None
    execution: str | None = None
    agent: str | None = None
    priority: str = "low"
    addressee: str | None = None
    audience: str | None = None
    first: int | None = None

    @property
    def is_passing(self) -> bool:
        return self.first is None and self.event_type.endswith(".progress")


Wants = Callable[[Fact], bool]
VIEWS: Final[dict[str, Wants]] = {
    "global": lambda fact: True,
    "execution_e1": lambda fact: fact.execution == "e1",
    "execution_e2": lambda fact: fact.execution == "e2",
    "crew_c1": lambda fact: fact.crew == "c1",
    "task_updates": lambda fact: fact.event_type.startswith("task."),
    "task.completed": lambda fact: fact.event_type == "task.completed",
    "task.*.c1.>": lambda fact: fact.event_type.startswith("task.") and fact.crew == "c1",
    "custom.note.*.e2": lambda fact: fact.event_type == "custom.note" and fact.execution == "e2",
    "*.progress.c2.e1": lambda fact: (
        (fact.event_type, fact.crew, fact.execution) == ("task.progress", "c2", "e1")
    ),
}
COVERING: Final = {
    "everyone": set(VIEWS),
    "global": {"global"},
    "execution_e1": {"global", "execution_e1"},
    "crew_c1": {"global", "crew_c1"},
    "task_updates": {"global", "task_updates"},
    "task.completed": {"global", "task_updates", "task.completed"},
    "task.*.c1.*": {"global", "task_updates", "crew_c1", "task.*.c1.>"},
    "*.progress.c2.e1": {"global", "execution_e1", "*.progress.c2.e1"},
}
"""By audience: who hears it, being subscribed to that or more."""
FILTERS: Final[list[tuple[Json, Wants]]] = [
    ({}, lambda fact: True),
    ({"types": ["task.*"]}, lambda fact: fact.event_type.startswith("task.")),
    ({"min_priority": "high"}, lambda fact: fact.priority in {"high", "critical"}),
    ({"agents": ["a1"]}, lambda fact: fact.agent == "a1"),
]


class Client:
    """What one connection is owed, in the order in which it must come."""

    def __init__(
        self, connection: Connection, socket: FakeSocket, subscriptions: list[str], flt: int
    ) -> None:
        self.connection = connection
        self.socket = socket
        self.subscriptions = set(subscriptions)
        self.filter = flt
        self.owed: deque[Fact] = deque()
        self.given: set[int] = set()
        self.unclaimed: set[int] = set()
        """What was there before it, and it asked only for what is kept: it may be gone without a word."""
        self.answers: list[Json] = []
        self.changes = 0
        self.is_bounded = False
        """It may look back only so far."""
        self.is_away = False
        """Its socket was reported full, and it was not told that there is room since."""
        self._read = 0
        self._gone = 0
        self._removed: Set[int] = frozenset()

    def wants(self, fact: Fact, subscriptions: set[str] | None = None) -> bool:
        """Whether it is for the client, which has these subscriptions, or its own."""
        names = self.subscriptions if subscriptions is None else subscriptions
        if fact.addressee is not None:
            return fact.addressee == self.connection.client_id
        if fact.first is not None or fact.audience == "everyone":
            return True
        if not FILTERS[self.filter][1](fact):
            return False
        if fact.audience is not None:
            return not names.isdisjoint(COVERING[fact.audience])
        return any(VIEWS[name](fact) for name in names)

    def view_changed(self) -> None:
        """What is not wanted any more must not come any more."""
        self.changes += 1
        self.owed = deque(fact for fact in self.owed if self.wants(fact))

    def look_back(self, past: list[Fact], added: set[str]) -> None:
        """What was not given, and will not be, of what is added comes after what is owed already."""
        known = self.given | {fact.seq for fact in self.owed}
        self.owed.extend(
            fact
            for fact in past
            if fact.seq not in known and fact.addressee is None and self.wants(fact, added)
        )

    def hear(self, first: int, floor: int, removed: Set[int] = frozenset()) -> None:
        """Read what came, and hold it against what is owed.

        ``first``: the oldest that the stream has, but for what is ``removed``. ``floor``: the ring has what
        comes after it.
        """
        self._gone = min(first - 1, floor)
        self._removed = {seq for seq in removed if seq <= floor}
        for data in self.socket.written[self._read :]:
            for payload in frames(data):
                self._take(payload, first)
        self._read = len(self.socket.written)

    def _take(self, payload: bytes, first: int) -> None:
        message = json.loads(payload)
        if not isinstance(message, list):
            self._hear_one(message, first)
            return
        assert self.connection.batch
        assert len(payload) <= MAX_BATCH or len(message) == 1
        for one in message:
            assert "event_type" in one
            self._hear_one(one, first)

    def _hear_one(self, message: Json, first: int) -> None:
        if "event_type" in message:
            self._given(Fact(message["seq"]))
        elif message["type"] != "gap":
            self.answers.append(message)
        elif message["reason"] == "retention":
            self._given(Fact(message["to"], first=message["from"]))
        elif message["reason"] == "too_many":
            assert self.is_bounded or self.changes > MAX_GIVEN / 2
            assert not any(message["from"] <= fact.seq <= message["to"] for fact in self.owed)
        else:
            self._lost(message["from"], message["to"], first)

    def forgive(self, gone: int, until: Callable[[Fact], bool] = lambda _: False) -> None:
        """What was to last for minutes only, and is neither in the ring nor in the stream, is owed no more.

        ``gone``: everything up to it is in neither. Ends with the first fact of which ``until`` is true.
        """
        while self.owed and not until(self.owed[0]) and self._may_be_missing(self.owed[0], gone):
            self.owed.popleft()

    def _may_be_missing(self, fact: Fact, gone: int) -> bool:
        if fact.seq in self._removed:
            return fact.is_passing or fact.seq in self.unclaimed
        return fact.is_passing and fact.seq <= gone

    def _given(self, heard: Fact) -> None:
        self.forgive(self._gone, lambda fact: fact.seq == heard.seq)
        assert self.owed, f"{heard} is not owed"
        fact = self.owed.popleft()
        assert (heard.seq, heard.first) == (fact.seq, fact.first)
        assert fact.seq not in self.given
        self.given.add(fact.seq)

    def _lost(self, first: int, last: int, oldest: int) -> None:
        is_removed = {first, last} <= self._removed
        assert 1 <= first <= last < oldest or is_removed, "what is said to be lost is still there"
        self.forgive(self._gone, lambda fact: first <= fact.seq <= last)
        while self.owed and first <= self.owed[0].seq <= last:
            fact = self.owed.popleft()
            assert fact.seq < oldest or fact.seq in self._removed
