"""Where the numbers come from."""

from dataclasses import dataclass

from bridge.archive import Archive
from bridge.broker.cluster import Cluster
from bridge.broker.connection import ConnectionEvents
from bridge.broker.feed import Feed
from bridge.broker.publisher import Publisher
from bridge.census import Census
from bridge.core.histogram import Histogram
from bridge.core.hub import Hub


@dataclass(frozen=True, slots=True)
class Sources:
    """The parts of a bridge that count."""

    hub: Hub
    feed: Feed
    nats: ConnectionEvents
    nats_history: ConnectionEvents
    """Of the connection by which the past is read."""
    cluster: Cluster
    archive: Archive
    publisher: Publisher
    census: Census
    loop_delay: Histogram
    """Microseconds, as are these:"""
    turns: Histogram
    pauses: Histogram
