"""Clients that move from bridge to bridge: where they were before, they are let go of."""

import asyncio
from collections.abc import Awaitable, Callable
from math import inf
from typing import Final, NamedTuple
from uuid import uuid4

import structlog
from pydantic import ValidationError

from bridge.core.connection import Connection
from bridge.core.hub import Hub
from bridge.core.socket import CloseCode
from contracts.cluster import Arrival, Holding, Release, Takeover

log = structlog.get_logger(__name__)

VERB: Final = "takeover"
_MOST: Final = 500
"""Clients that one message tells of: however long their ids are, NATS takes it."""
_SURE_SECONDS: Final = 1.0
"""Answers that took longer, and say nothing for sure, are asked for again however often."""
_MOST_ASKED: Final = 8
"""Of two connections that were opened within the time that an answer takes any may remain."""
_REMEMBERED: Final = 10_000
"""Judgements; their answers are under way for a moment only."""


class _Bounds(NamedTuple):
    """Between which times of our clock a connection elsewhere was opened."""

    earliest: float = -inf
    latest: float = inf
    answers: int = 0

    def narrowed(self, earliest: float, latest: float) -> "_Bounds":
        """With one answer more."""
        return _Bounds(max(self.earliest, earliest), min(self.latest, latest), self.answers + 1)

    def leave_open(self, opened_at: float) -> bool:
        """Whether it may still be the older or the newer one, and asking again may tell."""
        is_unsure = self.answers < _MOST_ASKED or self.latest - self.earliest > _SURE_SECONDS
        return self.earliest < opened_at < self.latest and is_unsure


Tell = Callable[[str, bytes], Awaitable[None]]


class Moves:
    """Tells the other bridges who has come here, and hears it of them.

    Of a client's connections the one that was opened last remains. No clock is compared with that of another
    bridge: of two the one with the smaller id judges, and asks the other how old its connection is. That is
    known up to the time that the answer took, and asked again if that is not enough. Nothing is judged of a
    connection that is gone meanwhile, so that news which come late let nobody go. Where a message is lost,
    the older connection stays until it is stale, as that of any client that is gone.
    """

    def __init__(self, hub: Hub, clock: Callable[[], float] | None = None) -> None:
        self._hub = hub
        self._clock = clock or asyncio.get_running_loop().time
        self._id = uuid4().hex
        self._news: list[Arrival | Holding | Release] = []
        self._are_news = asyncio.Event()
        self._released: dict[tuple[str, str, float], None] = {}
        """Connections elsewhere that were judged the older ones: client, bridge, when they were opened."""
        self._bounds: dict[tuple[str, str, float], _Bounds] = {}
        """What is known of those that are asked for again."""

    def came(self, connection: Connection) -> None:
        """A client is connected here from now on. It does not wait until this is told."""
        if connection.is_known:
            self._say(Arrival(client_id=connection.client_id))

    async def tell_for_ever(self, tell: Tell) -> None:
        """All that there is to say since the message before is said in one."""
        while True:
            await self._are_news.wait()
            news, self._news = self._news[:_MOST], self._news[_MOST:]
            if not self._news:
                self._are_news.clear()
            message = Takeover(bridge_id=self._id, sent_at=self._clock(), news=news)
            await tell(VERB, message.model_dump_json().encode())

    def hear(self, data: bytes) -> None:
        """Somebody else tells something."""
        try:
            told = Takeover.model_validate_json(data)
        except ValidationError:
            log.warning("a bridge tells what this one cannot read", verb=VERB)
            return
        for one in told.news:
            here = self._hub.connections.get(one.client_id)
            if here is not None and one.to in {None, self._id}:
                self._hear_of(here, one, told)

    def _hear_of(self, here: Connection, one: Arrival | Holding | Release, told: Takeover) -> None:
        match one:
            case Arrival() if self._id < told.bridge_id:
                self._say(Arrival(client_id=one.client_id, to=told.bridge_id))
            case Arrival():
                self._say(self._holding(here, told))
            case Holding():
                self._judge(here, one, told.bridge_id)
            case Release():
                if here.opened_at == one.opened_at:
                    self._let_go(here)

    def _holding(self, here: Connection, told: Takeover) -> Holding:
        return Holding(
            client_id=here.client_id,
            to=told.bridge_id,
            asked_at=told.sent_at,
            age=self._clock() - here.opened_at,
            opened_at=here.opened_at,
        )

    def _judge(self, here: Connection, there: Holding, bridge_id: str) -> None:
        """The other connection was opened ``age`` seconds before a time between the question and now.

        While that leaves open which is older, it is asked again: each answer narrows it.
        Of one that was judged the older, a second answer says the same: else both would be let go of.
        """
        judged = (here.client_id, bridge_id, there.opened_at)
        bounds = self._bounds.pop(judged, _Bounds()).narrowed(
            there.asked_at - there.age, self._clock() - there.age
        )
        earliest, latest, _ = bounds
        if bounds.leave_open(here.opened_at):
            self._bounds[judged] = bounds
            if len(self._bounds) > _REMEMBERED:
                del self._bounds[next(iter(self._bounds))]
            self._say(Arrival(client_id=here.client_id, to=bridge_id))
        elif judged not in self._released and here.opened_at < (earliest + latest) / 2:
            self._let_go(here)
        else:
            self._released[judged] = None
            if len(self._released) > _REMEMBERED:
                del self._released[next(iter(self._released))]
            self._say(Release(client_id=here.client_id, to=bridge_id, opened_at=there.opened_at))

    def _let_go(self, here: Connection) -> None:
        self._hub.close(here, CloseCode.REPLACED, "the client connected again")

    def _say(self, one: Arrival | Holding | Release) -> None:
        self._news.append(one)
        self._are_news.set()
