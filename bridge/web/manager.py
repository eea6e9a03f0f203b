"""The connections of the whole cluster, for operators and for applications that embed the bridge."""

from operator import attrgetter
from typing import Final

from aiohttp import web

from bridge.web.audit import Stream
from bridge.web.desk import CLEAN_UP, DISCONNECT, EXPLAIN, REACH, SURVEY
from bridge.web.errors import refuse
from bridge.web.fleet import Fleet
from bridge.web.merge import merged
from contracts.cluster import CleanUp, Disconnect, Explain, Reach, Survey
from contracts.events import WebSocketEvent
from contracts.operations import (
    Broadcast,
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

    @property
    def refusal(self) -> web.HTTPException:
        """The answer to who asked over HTTP."""
        where = "" if self.cluster.is_complete else " on the bridges that answered"
        return refuse(404, "unknown_client", f"no connection of this client{where}", cluster=self.cluster)


class ConnectionManager:
    """Acts on connections wherever in the cluster they are."""

    def __init__(self, fleet: Fleet, stream: Stream) -> None:
        self._fleet = fleet
        self._stream = stream

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

    async def publish(self, event: WebSocketEvent) -> Broadcast:
        """Put an event into the stream, and count whom it is for.

        Raises `OSError` where the stream does not take it, or does not say so.
        """
        seq = await self._stream.publish(event)
        question = Reach(epoch=self._fleet.desk.shore.hub.log.epoch, seq=seq)
        answers, cluster = await self._fleet.ask(REACH, question)
        return Broadcast(
            event_id=event.event_id,
            event_type=event.event_type,
            audience=event.audience or str(event.subject),
            sequence=seq,
            connections_reached=sum(answer.reached for answer in answers.values()),
            connections_behind=sum(answer.behind for answer in answers.values()),
            cluster=_late(cluster, {name for name, answer in answers.items() if not answer.is_known}),
        )

    async def clean_up(self, silent_seconds: float | None = None) -> Removed:
        """End the connections from which nothing was heard for so long, or for ``BRIDGE_STALE_SECONDS``."""
        answers, cluster = await self._fleet.ask(CLEAN_UP, CleanUp(silent_seconds=silent_seconds))
        removed = [connection for answer in answers.values() for connection in answer.removed]
        return Removed(removed=sorted(removed, key=attrgetter("client_id")), cluster=cluster)


def _late(cluster: Coverage, late: set[str]) -> Coverage:
    """Bridges to which an event did not come in time are missing from its answer."""
    if not late:
        return cluster
    answered = [name for name in cluster.answered if name not in late]
    return cluster.model_copy(update={"answered": answered, "missing": sorted({*cluster.missing, *late})})


CONNECTIONS: Final = web.AppKey("CONNECTIONS", ConnectionManager)
