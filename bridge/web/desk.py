"""What this bridge answers about its own connections, whoever asks: an operator, or another bridge."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

from bridge.core.connection import Connection
from bridge.core.frames import frame
from bridge.core.hub import Hub
from bridge.core.reach import reach
from bridge.web.arrival import has_come
from bridge.web.shore import Shore
from bridge.web.summary import details
from bridge.web.survey import in_slices, survey
from contracts.cluster import (
    Cleaned,
    CleanUp,
    Delivered,
    Disconnect,
    Ended,
    Explain,
    Explanation,
    Reached,
    Send,
    Survey,
    Surveyed,
)
from contracts.cluster import Reach as ReachQuestion
from contracts.operations import Body, RemovedConnection
from contracts.subscriptions import parse_subscription


class Desk:
    """Answers for one bridge. ``seconds``: how long it waits for an event to come."""

    def __init__(self, shore: Shore, instance: str, *, seconds: float) -> None:
        self.shore = shore
        self.instance = instance
        self._seconds = seconds

    @property
    def _hub(self) -> Hub:
        return self.shore.hub

    async def survey(self, question: Survey) -> Surveyed:
        """How many there are, and the next of those that are asked for."""
        return await survey(self.shore, self.instance, question)

    async def explain(self, question: Explain) -> Explanation:
        """Everything about one client."""
        connection = self._hub.connections.get(question.client_id)
        if connection is None:
            return Explanation(connection=None)
        return Explanation(connection=details(self.shore, self.instance, connection))

    async def disconnect(self, question: Disconnect) -> Ended:
        """End one client's connection."""
        connection = self._hub.connections.get(question.client_id)
        if connection is not None:
            self._hub.close(connection, question.code, question.reason)
        return Ended(ended=connection is not None)

    async def clean_up(self, question: CleanUp) -> Cleaned:
        """End the stale ones."""
        stale = self.shore.sweep(question.silent_seconds)
        return Cleaned(
            removed=[
                RemovedConnection(
                    client_id=connection.client_id,
                    instance=self.instance,
                    endpoint=connection.endpoint,
                    silent_seconds=round(silence, 3),
                )
                for connection, silence in stale
            ]
        )

    async def send(self, question: Send) -> Delivered:
        """Send a text to whom it is for, outside the log: who is not there, or has no room, misses it."""
        data = frame(question.text.encode())
        reached = skipped = 0
        async for connection in in_slices(self._addressees(question)):
            if connection.socket.buffered() > self.shore.limits.buffer_bytes:
                skipped += 1
            else:
                connection.write(data, 1)
                reached += 1
        self._hub.counters.messages_out += reached
        return Delivered(reached=reached, skipped=skipped)

    def _addressees(self, question: Send) -> list[Connection]:
        connections = self._hub.connections
        if question.client_id is not None:
            return [connections[question.client_id]] if question.client_id in connections else []
        if question.subscription is None:
            return list(connections.values())
        pattern = parse_subscription(question.subscription).pattern
        return [connection for connection in connections.values() if connection.view.selects(pattern)]

    async def reach(self, question: ReachQuestion) -> Reached:
        """Whom an event is for, as soon as it has come."""
        hub = self._hub
        if question.epoch != hub.log.created or not await has_come(hub, question.seq, self._seconds):
            return Reached(reached=0, behind=0, is_known=False)
        reached, behind = reach(hub, question.seq)
        return Reached(reached=reached, behind=behind, is_known=True)


Q = TypeVar("Q", bound=Body)
A = TypeVar("A", bound=Body)


@dataclass(frozen=True, slots=True)
class Verb(Generic[Q, A]):
    """One thing that bridges ask each other."""

    name: str
    question: type[Q]
    answer: type[A]
    act: Callable[[Desk, Q], Awaitable[A]]

    def at(self, desk: Desk) -> Callable[[bytes], Awaitable[bytes]]:
        """What another bridge calls, with the bytes that it sends."""

        async def answer(question: bytes) -> bytes:
            asked = self.question.model_validate_json(question)
            return (await self.act(desk, asked)).model_dump_json().encode()

        return answer


SURVEY: Final = Verb("survey", Survey, Surveyed, Desk.survey)
EXPLAIN: Final = Verb("explain", Explain, Explanation, Desk.explain)
DISCONNECT: Final = Verb("disconnect", Disconnect, Ended, Desk.disconnect)
CLEAN_UP: Final = Verb("clean_up", CleanUp, Cleaned, Desk.clean_up)
REACH: Final = Verb("reach", ReachQuestion, Reached, Desk.reach)
SEND: Final = Verb("send", Send, Delivered, Desk.send)


def answerers(desk: Desk) -> dict[str, Callable[[bytes], Awaitable[bytes]]]:
    """All that other bridges may ask of this one, by verb."""
    return {verb.name: verb.at(desk) for verb in (SURVEY, EXPLAIN, DISCONNECT, CLEAN_UP, REACH, SEND)}
