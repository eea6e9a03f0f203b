"""What operators ask a bridge: how it is, and who is connected."""

import asyncio
from collections import Counter
from typing import Any

from aiohttp import web

from bridge.core.connection import Connection
from bridge.web.shore import SHORE, Shore


def routes(prefix: str) -> list[web.RouteDef]:
    """The administration routes under ``prefix``."""
    return [web.get(f"{prefix}/health", _health), web.get(f"{prefix}/connections", _connections)]


async def _health(request: web.Request) -> web.Response:
    shore = request.app[SHORE]
    return web.json_response(
        {
            "status": "healthy" if shore.is_ready else "degraded",
            "active_connections": len(shore.hub.connections),
            "total_messages_sent": shore.hub.counters.messages_out,
            "uptime_seconds": round(shore.uptime, 3),
            "last_cleanup": shore.last_cleanup and shore.last_cleanup.isoformat(),
        }
    )


async def _connections(request: web.Request) -> web.Response:
    shore = request.app[SHORE]
    now = asyncio.get_running_loop().time()
    connections = tuple(shore.hub.connections.values())
    durations = [now - connection.opened_at for connection in connections]
    return web.json_response(
        {
            "status": "success",
            "data": {
                "active_connections": len(connections),
                "subscription_counts": Counter(name for c in connections for name in c.subscriptions),
                "average_connection_duration": sum(durations) / len(durations) if durations else 0.0,
                "uptime_statistics": _uptime(shore),
                "connections": [_summary(shore, connection, now) for connection in connections],
            },
        }
    )


def _uptime(shore: Shore) -> dict[str, Any]:
    counters = shore.hub.counters
    return {
        "uptime_seconds": round(shore.uptime, 3),
        "connections_opened": counters.opened.total(),
        "connections_closed": counters.closed.total(),
        "messages_sent": counters.messages_out,
        "bytes_sent": counters.bytes_out,
    }


def _summary(shore: Shore, connection: Connection, now: float) -> dict[str, Any]:
    head = shore.hub.log.head
    cursor = connection.resume_point(head)
    return {
        "client_id": connection.client_id,
        "endpoint": connection.endpoint,
        "subscriptions": list(connection.subscriptions),
        "duration_seconds": round(now - connection.opened_at, 3),
        "cursor": cursor,
        "lag": head - cursor,
        "buffered_bytes": connection.socket.buffered(),
        "events_sent": connection.events_sent,
        "bytes_sent": connection.bytes_sent,
    }
