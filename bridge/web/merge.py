"""The answers of many bridges to one question, as one."""

from collections import Counter
from collections.abc import Sequence
from heapq import merge
from itertools import islice

from bridge.web.survey import MAX_COUNTED
from contracts.cluster import Surveyed
from contracts.operations import ConnectionsData, ConnectionSummary, UptimeStatistics


def merged(answers: Sequence[Surveyed], limit: int) -> ConnectionsData:
    """Counts of all, and the first ``limit`` connections of them together."""
    active = sum(answer.uptime.active_connections for answer in answers)
    seconds = sum(answer.connection_seconds for answer in answers)
    matching = sum(answer.matching for answer in answers)
    counts: Counter[str] = Counter()
    for answer in answers:
        counts.update(answer.subscription_counts)
    ordered = merge(*(answer.connections for answer in answers), key=_place)
    page = list(islice(ordered, limit))
    return ConnectionsData(
        active_connections=active,
        subscription_counts=dict(counts.most_common(MAX_COUNTED)),
        average_connection_duration=seconds / active if active else 0.0,
        uptime_statistics=_uptime(answers),
        matching=matching,
        connections=page,
        next="@".join(_place(page[-1])) if page and _has_more(answers, limit) else None,
    )


def _has_more(answers: Sequence[Surveyed], limit: int) -> bool:
    lengths = [len(answer.connections) for answer in answers]
    return sum(lengths) > limit or limit in lengths


def _place(connection: ConnectionSummary) -> tuple[str, str]:
    return connection.client_id, connection.instance


def _uptime(answers: Sequence[Surveyed]) -> UptimeStatistics:
    each = [answer.uptime for answer in answers]
    return UptimeStatistics(
        uptime_seconds=max(one.uptime_seconds for one in each),
        connections_opened=sum(one.connections_opened for one in each),
        connections_closed=sum(one.connections_closed for one in each),
        messages_sent=sum(one.messages_sent for one in each),
        bytes_sent=sum(one.bytes_sent for one in each),
        instances=sorted(each, key=lambda one: one.instance),
    )
