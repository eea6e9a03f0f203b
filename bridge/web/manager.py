"""The connections of the whole cluster, for operators and for applications that embed the bridge."""

from operator import attrgetter
from typing import Final

from aiohttp import web

from bridge.web.desk import CLEAN_UP, DISCONNECT, EXPLAIN, SURVEY
from bridge.web.fleet import Fleet
from bridge.web.merge import merged
from contracts.cluster import CleanUp, Disconnect, Explain, Survey
from contracts.operations import (
    Connections,
    Coverage,
    Disconnected,
    Explained,
    Removed,
)


class UnknownClientError(LookupError):
    """No bridge that answered has a connection of the client; ``cluster`` says which answered."""

    def __init__(self, client_id: str, cluster: Coverage) -> None:
        super().__init__(client_id)
        self.cluster = cluster


class ConnectionManager:
    """Acts on connections wherever in the cluster they are."""

    def __init__(self, fleet: Fleet) -> None:
        self._fleet = fleet

    @property
    def instance(self) -> str:
        """The name of this bridge."""
        return self._fleet.desk.instance

    @property
    def peers(self) -> list[str]:
        """The names of the other bridges heard of a moment ago."""
        return self._fleet.others.peers

    async def connections(self, survey: Survey) -> Connections:
        """Who is connected: one page of the list, and numbers about all."""
        answers, cluster = await self._fleet.ask(SURVEY, survey)
        return Connections(data=merged(list(answers.values()), survey.limit), cluster=cluster)

    async def explain(self, client_id: str) -> Explained:
        """One connection. Raises `UnknownClientError`.

        Where the client is connected more than once, having changed bridges, its newest connection.
        """
        answers, cluster = await self._fleet.ask(EXPLAIN, Explain(client_id=client_id))
        found = [answer.connection for answer in answers.values() if answer.connection is not None]
        if not found:
            raise UnknownClientError(client_id, cluster)
        return Explained(data=max(found, key=attrgetter("opened_at")), cluster=cluster)

    async def disconnect(self, client_id: str, code: int, reason: str) -> Disconnected:
        """End all connections of a client. Raises `UnknownClientError`."""
        question = Disconnect(client_id=client_id, code=code, reason=reason)
        answers, cluster = await self._fleet.ask(DISCONNECT, question)
        instances = sorted(instance for instance, answer in answers.items() if answer.ended)
        if not instances:
            raise UnknownClientError(client_id, cluster)
        return Disconnected(
            client_id=client_id, instances=instances, code=code, reason=reason, cluster=cluster
        )

    async def clean_up(self, silent_seconds: float | None = None) -> Removed:
        """End the connections from which nothing was heard for so long, or for ``BRIDGE_STALE_SECONDS``."""
        answers, cluster = await self._fleet.ask(CLEAN_UP, CleanUp(silent_seconds=silent_seconds))
        removed = [connection for answer in answers.values() for connection in answer.removed]
        return Removed(removed=sorted(removed, key=attrgetter("client_id")), cluster=cluster)


CONNECTIONS: Final = web.AppKey("CONNECTIONS", ConnectionManager)
