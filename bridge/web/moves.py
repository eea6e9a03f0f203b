"""Clients that move from bridge to bridge: where they were before, they are let go of."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final
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
"""An answer that took longer, and says nothing for sure, is asked for again."""
_REMEMBERED: Final = 10_000
"""Judgements; their answers are under way for a moment only."""

Tell = Callable[[str, bytes], Awaitable[None]]


class Moves:
    """Tells the other bridges who has come here, and hears it of them.

    Of a client's connections the one that was opened last remains. No clock is compared with that of another
    bridge: of two the one with the smaller id judges, and asks the other how old its connection is. That is
    known up to the time that the answer took. Nothing is judged of a connection that is gone meanwhile, so
    that news which come late let nobody go. Where a message is lost, the older connection stays until it is
    stale, as that of any client that is gone.
    """

    def __init__(self, hub: Hub, clock: Callable[[], float] | None = None) -> None:
        self._hub = hub
        self._clock = clock or asyncio.get_running_loop().time
        self._id = uuid4().hex
        self._news: list[Arrival | Holding | Release] = []
        self._are_news = asyncio.Event()
        self._released: dict[tuple[str, str, float], None] = {}
        """Connections elsewhere that were judged the older ones: client, bridge, when they were opened."""

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

        Of one that was judged the older, a second answer says the same: else both would be let go of.
        """
        judged = (here.client_id, bridge_id, there.opened_at)
        earliest, latest = there.asked_at - there.age, self._clock() - there.age
        if earliest < here.opened_at < latest and latest - earliest > _SURE_SECONDS:
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
