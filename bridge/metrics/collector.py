"""All rows together, and what the client library knows of the process."""

from collections.abc import Iterator
from importlib.metadata import version
from typing import Final

from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector
from prometheus_client.core import Metric
from prometheus_client.registry import Collector

from bridge.metrics.connections import connections
from bridge.metrics.crews import crews
from bridge.metrics.history import history
from bridge.metrics.rows import gauge
from bridge.metrics.sources import Sources
from bridge.metrics.stream import stream
from bridge.metrics.traffic import traffic

_SUBJECTS: Final = (traffic, connections, stream, history, crews)


def registry_of(sources: Sources) -> CollectorRegistry:
    """Everything that ``/metrics`` shows."""
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    PlatformCollector(registry=registry)
    GCCollector(registry=registry)
    registry.register(BridgeCollector(sources))
    return registry


class BridgeCollector(Collector):
    """All metrics of a bridge, named ``crew_bridge_*``."""

    def __init__(self, sources: Sources) -> None:
        self._sources = sources
        self._version = version("crew-bridge")

    def collect(self) -> Iterator[Metric]:
        """Prometheus asks."""
        yield gauge("info", "Constant 1, labelled with the version", 1, version=self._version)
        for subject in _SUBJECTS:
            yield from subject(self._sources)
