"""The numbers for Prometheus, read from plain counters when they are asked for.

Each module has the rows of one subject. A new number goes there, one row each; labels have values from closed
lists only.
"""

from bridge.metrics.collector import registry_of
from bridge.metrics.sources import Sources

__all__ = ["Sources", "registry_of"]
