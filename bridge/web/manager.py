"""The connections of the whole cluster, for operators and for applications that embed the bridge."""

from collections.abc import Iterable
from operator import attrgetter
from typing import Any, Final

from aiohttp import web
from multidict import MultiDict
from pydantic_core import to_json

from bridge.core.socket import CloseCode
from bridge.web.audit import Act, Audit, Stream
from bridge.web.desk import CLEAN_UP, DISCONNECT, EXPLAIN, REACH, SEND, SURVEY
from bridge.web.errors import UnknownClientError
from bridge.web.fleet import Fleet
from bridge.web.merge import merged
from bridge.web.query import Query, parse_query
from bridge.web.shore import Shore
from bridge.web.websocket import bad_request, serve
from contracts.cluster import CleanUp, Delivered, Disconnect, Explain, Reach, Send, Survey
from contracts.errors import ContractError
from contracts.events import WebSocketEvent
from contracts.operations import (
    Broadcast,
    Connections,
    Coverage,
    Disconnected,
    Explained,
    Removed,
)
from contracts.subscriptions import EVERYONE, parse_subscription

_ASKED: Final = Query.model_fields.keys() - {"client_id"}
MAX_TEXT: Final = 256 * 1024
"""Characters of a message that is no event."""


class ConnectionManager:
    """Acts on connections wherever in the cluster they are.

    `disconnect`, `clean_up` and `broadcast_event` are audited, whoever calls them.
    """

    def __init__(self, fleet: Fleet, stream: Stream, audit: Audit) -> None:
        self._fleet = fleet
        self._stream = stream
        self._audit = audit

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
        return Connections(data=merged([answer for _, answer in answers], survey.limit), cluster=cluster)

    async def explain(self, client_id: str) -> Explained:
        """One connection. Raises `UnknownClientError`.

        Where the client is connected more than once, having changed bridges, its newest connection.
        """
        answers, cluster = await self._fleet.ask(EXPLAIN, Explain(client_id=client_id))
        found = [answer.connection for _, answer in answers if answer.connection is not None]
        if not found:
            raise UnknownClientError(client_id, cluster)
        return Explained(data=min(found, key=attrgetter("duration_seconds")), cluster=cluster)

    async def disconnect(
        self, client_id: str, code: int = CloseCode.DISCONNECTED, reason: str = ""
    ) -> Disconnected:
        """End all connections of a client. Raises `UnknownClientError`."""
        question = Disconnect(client_id=client_id, code=code, reason=reason)
        parameters: dict[str, object] = {"code": int(code), "reason": reason}
        with self._audit.recording(Act("disconnect", client_id, parameters=parameters)):
            answers, cluster = await self._fleet.ask(DISCONNECT, question)
            instances = sorted(instance for instance, answer in answers if answer.ended)
            if not instances:
                raise UnknownClientError(client_id, cluster)
        return Disconnected(
            client_id=client_id, instances=instances, code=code, reason=reason, cluster=cluster
        )

    async def connect(
        self, request: web.Request, subscriptions: Iterable[str] = (), *, client_id: str | None = None
    ) -> web.StreamResponse:
        """Serve a WebSocket request until its end: for a handler of your own, which returns what this does.

        The client begins with ``subscriptions``, and may change them. As on the bridge's own routes, the
        query says where to begin and what to get, but not who the client is. What its subscriptions, or its
        id, should not be raises `ContractError`; who may not connect is refused as those routes do.
        """
        shore = self._fleet.desk.shore
        shore.admit(request)
        chosen = [parse_subscription(name) for name in subscriptions]
        who = parse_query(MultiDict({} if client_id is None else {"client_id": client_id}))
        return await serve(shore, request, "application", chosen, _asked(shore, request, who))

    async def send_personal_message(self, message: str, client_id: str) -> bool:
        """Send a text to a client, at once; False if it is not connected, or has no room.

        Outside the log: a client that is away misses it. `send_event` reaches it when it resumes.
        """
        return bool((await self._send(Send(text=message, client_id=client_id))).reached)

    async def send_personal_json(self, data: object, client_id: str) -> bool:
        """As `send_personal_message`, with data as JSON."""
        return await self.send_personal_message(_json(data), client_id)

    async def broadcast_message(self, message: str, subscription: str | None = None) -> int:
        """Send a text to who has the subscription, or one that covers it, or to everyone; to how many.

        Outside the log, as `send_personal_message`. A subscription that cannot be raises `ContractError`.
        """
        if subscription is not None:
            parse_subscription(subscription)
        return (await self._send(Send(text=message, subscription=subscription))).reached

    async def broadcast_json(self, data: object, subscription: str | None = None) -> int:
        """As `broadcast_message`, with data as JSON."""
        return await self.broadcast_message(_json(data), subscription)

    async def send_event(self, event: WebSocketEvent, client_id: str) -> Broadcast:
        """Send an event to one client, through the stream: also when it resumes later.

        Raises `OSError` where the stream does not take it, or does not say so.
        """
        return await self._publish(_addressed(event, client_id=client_id, audience=None))

    async def broadcast_event(self, event: WebSocketEvent, subscription: str | None = None) -> Broadcast:
        """As `send_event`, to who has the subscription, or one that covers it, or to everyone."""
        action = "broadcast" if subscription is None else "broadcast_to_subscription"
        parameters: dict[str, object] = {"event_type": event.event_type}
        with self._audit.recording(Act(action, subscription, parameters=parameters)) as act:
            event = _addressed(event, client_id=None, audience=subscription or EVERYONE)
            sent = await self._publish(event)
            act.parameters.update(event_id=sent.event_id, sequence=sent.sequence)
        return sent

    async def get_connection_stats(self) -> dict[str, Any]:
        """Of the whole cluster, under the names that ``GET /connections`` gives them in ``data``.

        ``active_connections``, ``subscription_counts``, ``average_connection_duration`` (seconds), and
        ``uptime_statistics``.
        """
        listed = await self.connections(Survey(limit=0))
        return listed.data.model_dump(mode="json", exclude={"connections", "next", "matching"})

    async def _send(self, question: Send) -> Delivered:
        if len(question.text) > MAX_TEXT:
            raise ValueError(f"a message has at most {MAX_TEXT} characters")
        answers, _ = await self._fleet.ask(SEND, question)
        return Delivered(
            reached=sum(answer.reached for _, answer in answers),
            skipped=sum(answer.skipped for _, answer in answers),
        )

    async def _publish(self, event: WebSocketEvent) -> Broadcast:
        seq = await self._stream.publish(event)
        question = Reach(epoch=self._fleet.desk.shore.hub.log.created, seq=seq)
        answers, cluster = await self._fleet.ask(REACH, question)
        return Broadcast(
            event_id=event.event_id,
            event_type=event.event_type,
            audience=event.audience,
            client_id=event.client_id,
            sequence=seq,
            connections_reached=sum(answer.reached for _, answer in answers),
            connections_behind=sum(answer.behind for _, answer in answers),
            cluster=_late(cluster, {name for name, answer in answers if not answer.is_known}),
        )

    async def clean_up(self, silent_seconds: float | None = None) -> Removed:
        """End the connections from which nothing was heard for so long, or for ``BRIDGE_STALE_SECONDS``."""
        parameters: dict[str, object] = {} if silent_seconds is None else {"silent_seconds": silent_seconds}
        with self._audit.recording(Act("clean_up", parameters=parameters)) as act:
            answers, cluster = await self._fleet.ask(CLEAN_UP, CleanUp(silent_seconds=silent_seconds))
            removed = [connection for _, answer in answers for connection in answer.removed]
            act.parameters.update(removed=len(removed))
        return Removed(removed=sorted(removed, key=attrgetter("client_id")), cluster=cluster)


def _addressed(event: WebSocketEvent, **envelope: str | None) -> WebSocketEvent:
    """The same event, for somebody else."""
    fields = {name: getattr(event, name) for name in WebSocketEvent.model_fields}
    del fields["event_type"], fields["data"], fields["seq"]
    return WebSocketEvent.create(event.event_type, event.data, **(fields | envelope))


def _json(data: object) -> str:
    return to_json(data).decode()


def _late(cluster: Coverage, late: set[str]) -> Coverage:
    """Bridges to which an event did not come in time are missing from its answer."""
    if not late:
        return cluster
    answered = [name for name in cluster.answered if name not in late]
    return cluster.model_copy(update={"answered": answered, "missing": sorted({*cluster.missing, *late})})


CONNECTIONS: Final = web.AppKey("CONNECTIONS", ConnectionManager)


def _asked(shore: Shore, request: web.Request, who: Query) -> Query:
    """What the client asks for; the application may have parameters of its own beside."""
    own = MultiDict((name, value) for name, value in request.query.items() if name in _ASKED)
    try:
        return parse_query(own).model_copy(update={"client_id": who.client_id})
    except ContractError as error:
        raise bad_request(shore, error) from None
