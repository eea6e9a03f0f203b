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
from contracts.cluster import Arrival, Arrivals

log = structlog.get_logger(__name__)

VERB: Final = "came"
_MOST: Final = 1000
"""Clients that one message tells of: however long their ids are, NATS takes it."""

Tell = Callable[[str, bytes], Awaitable[None]]


class Moves:
    """Tells the other bridges who has come here, and hears it of them.

    Of a client's connections the one that was opened last remains, by the bridges' clocks: two moves at once
    end exactly one of two connections. Where clocks differ, or a message is lost, the older connection stays
    until it is stale, as that of any client that is gone.
    """

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._id = uuid4().hex
        self._news: list[Arrival] = []
        self._are_news = asyncio.Event()

    def came(self, connection: Connection) -> None:
        """A client is connected here from now on. It does not wait until this is told."""
        if connection.is_known:
            self._news.append(Arrival(client_id=connection.client_id, at_ns=connection.opened_ns))
            self._are_news.set()

    async def tell_for_ever(self, tell: Tell) -> None:
        """All that have come since the message before are told of in one."""
        while True:
            await self._are_news.wait()
            news, self._news = self._news[:_MOST], self._news[_MOST:]
            if not self._news:
                self._are_news.clear()
            await tell(VERB, Arrivals(bridge_id=self._id, clients=news).model_dump_json().encode())

    def hear(self, data: bytes) -> None:
        """Somebody else tells who has come there."""
        try:
            arrivals = Arrivals.model_validate_json(data)
        except ValidationError:
            log.warning("a bridge tells what this one cannot read", verb=VERB)
            return
        for arrival in arrivals.clients:
            here = self._hub.connections.get(arrival.client_id)
            if here is not None and (here.opened_ns, self._id) < (arrival.at_ns, arrivals.bridge_id):
                self._hub.close(here, CloseCode.REPLACED, "the client connected again")
