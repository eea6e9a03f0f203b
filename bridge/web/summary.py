"""A connection as operators see it: in one line, or explained."""

import asyncio
from datetime import UTC, datetime, timedelta
from time import time_ns

from bridge.core.connection import Connection
from bridge.core.lag import lag_of
from bridge.web.shore import Shore
from contracts.operations import ConnectionDetails, ConnectionSummary


def summary(shore: Shore, instance: str, connection: Connection) -> ConnectionSummary:
    """What a list shows."""
    head = shore.hub.log.head
    cursor = connection.resume_point(head)
    return ConnectionSummary(
        client_id=connection.client_id,
        instance=instance,
        endpoint=connection.endpoint,
        principal=shore.peer_of(connection).principal,
        subscriptions=list(connection.subscriptions),
        duration_seconds=round(asyncio.get_running_loop().time() - connection.opened_at, 3),
        cursor=cursor,
        lag=max(head - cursor, 0),
        buffered_bytes=connection.socket.buffered(),
        events_sent=connection.events_sent,
        messages_sent=connection.messages_sent,
        bytes_sent=connection.bytes_sent,
    )


def details(shore: Shore, instance: str, connection: Connection) -> ConnectionDetails:
    """Everything that is known of it."""
    log, peer = shore.hub.log, shore.peer_of(connection)
    lag = lag_of(connection, log, time_ns())
    beat = connection.next_heartbeat - shore.limits.heartbeat_seconds
    return ConnectionDetails(
        **dict(summary(shore, instance, connection)),
        state=_state(shore, connection),
        lag_events=lag.events,
        lag_bytes=lag.bytes,
        lag_milliseconds=lag.milliseconds,
        lag_is_exact=lag.is_exact,
        patterns=sorted(map(str, connection.view.patterns)),
        filter=connection.filter,
        batch=connection.batch,
        group_size=0 if connection.group is None else len(connection.group),
        epoch=log.created,
        head=log.head,
        opened_at=_at(connection.opened_at),
        last_heartbeat=_at(beat) if beat > connection.opened_at else None,
        last_heard=_at(connection.last_heard),
        commands_refused=connection.errors,
        remote=peer.remote,
        user_agent=peer.user_agent,
    )


def _state(shore: Shore, connection: Connection) -> str:
    if connection.group is not None:
        return "live"
    if connection.waits_for is not None:
        return "looking_back"
    return "waiting" if shore.is_full(connection) else "reading"


def _at(moment: float) -> datetime:
    """A moment of the event loop's clock as a time of day."""
    return datetime.now(UTC) - timedelta(seconds=asyncio.get_running_loop().time() - moment)
