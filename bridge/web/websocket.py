"""The five WebSocket endpoints: what a client is subscribed to from the start."""

import asyncio
from collections.abc import Awaitable, Callable
from time import time_ns
from typing import Final, NamedTuple
from uuid import uuid4

import structlog
from aiohttp import web

from bridge.core.connection import Connection
from bridge.core.deflate import WINDOW_BITS
from bridge.core.frames import frame
from bridge.core.start import Found
from bridge.core.view import View
from bridge.web.errors import refuse
from bridge.web.plain import Plain
from bridge.web.query import Query, parse_query
from bridge.web.session import GOODBYE_SECONDS, Peer, Session
from bridge.web.shore import SHORE, Limits, Shore
from contracts.errors import ContractError
from contracts.events import WebSocketEvent
from contracts.messages import Recovery
from contracts.subscriptions import GLOBAL, METRICS, Subscription, crew, execution, parse_subscription
from contracts.types import EventType

log = structlog.get_logger(__name__)


class _Client(NamedTuple):
    """Who will have a connection."""

    client_id: str
    is_known: bool


Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
Subscriptions = Callable[[web.Request], list[Subscription]]

ENDPOINTS: Final[dict[str, tuple[str, Subscriptions]]] = {
    "executions": ("/ws/executions/{id}", lambda request: [execution(request.match_info["id"])]),
    "crews": ("/ws/crews/{id}", lambda request: [crew(request.match_info["id"])]),
    "global": ("/ws/global", lambda _: [parse_subscription(GLOBAL)]),
    "metrics": ("/ws/metrics", lambda _: [parse_subscription(METRICS)]),
    "custom": ("/ws/custom", lambda _: []),
}
"""By name: the path, and what a connection there is subscribed to."""


def _handler(endpoint: str, subscriptions: Subscriptions) -> Handler:
    async def handle(request: web.Request) -> web.StreamResponse:
        shore = request.app[SHORE]
        shore.admit(request)
        return await serve(shore, request, endpoint, *_asked(shore, request, subscriptions))

    return handle


def _asked(
    shore: Shore, request: web.Request, subscriptions: Subscriptions
) -> tuple[list[Subscription], Query]:
    try:
        query = parse_query(request.query)
        return subscriptions(request), query
    except ContractError as error:
        raise bad_request(shore, error) from None


def bad_request(shore: Shore, error: ContractError) -> web.HTTPException:
    """The answer to a client that asks for what there cannot be."""
    shore.hub.counters.refused["invalid_request"] += 1
    return refuse(400, "invalid_request", error.reason, error.field)


async def serve(
    shore: Shore, request: web.Request, endpoint: str, subscriptions: list[Subscription], query: Query
) -> web.StreamResponse:
    """A client that was admitted, from its handshake to its end."""
    client = _Client(query.client_id or uuid4().hex, query.client_id is not None)
    found = await shore.find(client, _view(subscriptions, query), query.start)
    session = await _shake_hands(shore, request)
    connection = _connection(shore, session, endpoint, client, subscriptions, query)
    with shore.serving(connection, session):
        _open(shore, connection, request.remote, found)
        # Thousands of connections spend their lives below: what brought them here is let go.
        del client, found, subscriptions, query
        try:
            limits = shore.limits
            await session.run(
                shore.hub,
                connection,
                shore.seek,
                max_errors=limits.max_errors,
                max_bytes=limits.max_message_bytes,
            )
        finally:
            log.info(
                "connection closed",
                code=session.close_code,
                events=connection.events_sent,
                client_id=connection.client_id,
                endpoint=endpoint,
            )
    return session.response


def _view(subscriptions: list[Subscription], query: Query) -> View:
    return View(frozenset(subscription.pattern for subscription in subscriptions), query.filter, query.batch)


def _connection(
    shore: Shore,
    session: Session,
    endpoint: str,
    client: _Client,
    subscriptions: list[Subscription],
    query: Query,
) -> Connection:
    """The connection as the client asked for it, not taken in yet."""
    connection = Connection(client.client_id, endpoint, session, asyncio.get_running_loop().time())
    connection.is_known, connection.opened_ns = client.is_known, time_ns()
    connection.next_heartbeat += shore.limits.heartbeat_seconds
    connection.subscriptions = {subscription.name: subscription for subscription in subscriptions}
    connection.filter, connection.batch = query.filter, query.batch
    connection.deflate = int(session.response.compress) >= WINDOW_BITS
    return connection


def _open(shore: Shore, connection: Connection, remote: str | None, found: Found) -> None:
    """Take the connection in, and say so."""
    recovery = shore.hub.open(
        connection,
        found.since,
        found.epoch,
        found.chunk,
        is_verified=found.is_verified,
        is_owed=found.is_owed,
    )
    connection.write(_established(shore, connection, recovery), 1)
    shore.hub.counters.messages_out += 1
    shore.moves.came(connection)
    log.info("connection opened", remote=remote, client_id=connection.client_id, endpoint=connection.endpoint)


async def _shake_hands(shore: Shore, request: web.Request) -> Session:
    response = web.WebSocketResponse(
        autoping=False,
        compress=shore.limits.compress,
        max_msg_size=_room(shore.limits),
        timeout=GOODBYE_SECONDS,
    )
    if not response.can_prepare(request):
        shore.hub.counters.refused["not_a_websocket"] += 1
        raise refuse(400, "not_a_websocket", "only a WebSocket can connect here")
    try:
        writer = await response.prepare(request)
    except ConnectionResetError:
        raise _gone() from None
    transport = request.transport
    if transport is None:
        raise _gone()
    transport.set_write_buffer_limits(high=shore.limits.buffer_bytes)
    return Session(response, writer, transport, Peer(request.remote, request.headers.get("User-Agent")))


def _room(limits: Limits) -> int:
    """Bytes of a frame that aiohttp refuses before it has read them; the session judges what is below.

    What cannot be compressed is a little larger when a client tries.
    """
    largest = limits.max_message_bytes
    return largest + (largest // 16 + 64 if limits.compress else 1)


def _gone() -> web.HTTPException:
    """Who waited for its place, and went away meanwhile, hears nothing of this; and nobody logs it."""
    return refuse(400, "not_a_websocket", "the client went away during the handshake")


def _established(shore: Shore, connection: Connection, recovery: Recovery | None) -> bytes:
    """The first message: who the client is, and where in which log."""
    log_ = shore.hub.log
    cursor = connection.resume_point(log_.head)
    position = log_.position(cursor)
    data = {
        "client_id": connection.client_id,
        "endpoint": connection.endpoint,
        "epoch": log_.anchor,
        "head": log_.head,
        "cursor": cursor,
        "subscriptions": list(connection.subscriptions),
        "heartbeat_seconds": shore.limits.heartbeat_seconds,
        "resumable": True,
    }
    if position is not None:
        data["position"] = str(position)
    if recovery is not None:
        data["recovery"] = recovery.model_dump(by_alias=True, exclude_none=True)
    event = WebSocketEvent.create(EventType.CONNECTION_ESTABLISHED, data)
    return frame(event.to_json().encode())


_ABOUT: Final = {
    "executions": "one execution",
    "crews": "one crew, all its executions",
    "global": "everything",
    "metrics": "the health events of bridges",
    "custom": "what the client subscribes to",
}

ROUTES: Final = tuple(
    Plain(
        name=f"watch_{name}",
        path=path,
        summary=f"WebSocket: {_ABOUT[name]}",
        act=_handler(name, subscriptions),
        query=Query,
        answers={101: ""},
        refusals=(400, 403, 421, 503),
    )
    for name, (path, subscriptions) in ENDPOINTS.items()
)
