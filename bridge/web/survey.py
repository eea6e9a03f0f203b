"""A look at all connections of this bridge, in slices: whoever is served meanwhile shall not notice."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable
from heapq import nsmallest
from typing import Final

from bridge.core.connection import Connection
from bridge.web.shore import Shore
from bridge.web.summary import summary
from contracts.cluster import Survey, Surveyed
from contracts.operations import InstanceUptime
from contracts.subscriptions import parse_subscription

MAX_COUNTED: Final = 1000
"""Names in a count of subscriptions: the most frequent ones."""
_SLICE: Final = 256
"""Connections that are looked at in one go: a millisecond or two."""

Condition = Callable[[Connection], bool]


async def in_slices(connections: Iterable[Connection]) -> AsyncIterator[Connection]:
    """Those of now that are still there when their turn comes."""
    for number, connection in enumerate(tuple(connections), 1):
        if connection.is_open:
            yield connection
        if number % _SLICE == 0:
            await asyncio.sleep(0)


async def survey(shore: Shore, instance: str, question: Survey) -> Surveyed:
    """How many there are, and the next of those that are asked for."""
    now = asyncio.get_running_loop().time()
    conditions = list(_conditions(shore, question))
    counts: Counter[str] = Counter()
    seconds, matching, later = 0.0, 0, list[Connection]()
    after = question.after or ("", "")
    async for connection in in_slices(shore.hub.connections.values()):
        seconds += now - connection.opened_at
        counts.update(list(connection.subscriptions))
        if all(holds(connection) for holds in conditions):
            matching += 1
            if (connection.client_id, instance) > after:
                later.append(connection)
    page = nsmallest(question.limit, later, key=lambda connection: connection.client_id)
    return Surveyed(
        uptime=_uptime(shore, instance),
        subscription_counts=dict(counts.most_common(MAX_COUNTED)),
        connection_seconds=seconds,
        matching=matching,
        connections=[summary(shore, instance, connection) for connection in page],
    )


def _conditions(shore: Shore, question: Survey) -> Iterable[Condition]:
    """Those that are asked for, the cheap ones first."""
    log = shore.hub.log
    if question.endpoint is not None:
        yield lambda connection: connection.endpoint == question.endpoint
    if question.principal is not None:
        yield lambda connection: shore.peer_of(connection).principal == question.principal
    if question.subscription is not None:
        pattern = parse_subscription(question.subscription).pattern
        yield lambda connection: any(s.pattern == pattern for s in connection.subscriptions.values())
    if question.min_lag:
        yield lambda connection: log.head - connection.resume_point(log.head) >= question.min_lag


def _uptime(shore: Shore, instance: str) -> InstanceUptime:
    hub = shore.hub
    return InstanceUptime(
        instance=instance,
        active_connections=len(hub.connections),
        uptime_seconds=round(shore.uptime, 3),
        connections_opened=hub.counters.opened.total(),
        connections_closed=hub.counters.closed.total(),
        messages_sent=hub.counters.messages_out,
        bytes_sent=hub.counters.bytes_out,
    )
