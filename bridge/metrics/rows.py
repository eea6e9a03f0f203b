"""How a number is written for Prometheus: every name begins with ``crew_bridge_``."""

from collections.abc import Mapping

from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)

from bridge.core.histogram import Histogram
from bridge.metrics.labels import Label

_PREFIX = "crew_bridge_"


def gauge(name: str, text: str, value: float, **labels: str) -> Metric:
    """What goes up and down."""
    family = GaugeMetricFamily(_PREFIX + name, text, labels=list(labels))
    family.add_metric(list(labels.values()), value)
    return family


def gauges(name: str, text: str, label: Label, values: Mapping[str, float]) -> Metric:
    """What goes up and down, by a label."""
    family = GaugeMetricFamily(_PREFIX + name, text, labels=[label.name])
    for key, value in {**dict.fromkeys(label.values, 0), **values}.items():
        family.add_metric([key], value)
    return family


def counter(name: str, text: str, value: float) -> Metric:
    """What only goes up."""
    return CounterMetricFamily(_PREFIX + name, text, value=value)


def counters(name: str, text: str, label: Label, values: Mapping[str, int]) -> Metric:
    """What only goes up, by a label."""
    family = CounterMetricFamily(_PREFIX + name, text, labels=[label.name])
    for key, value in {**dict.fromkeys(label.values, 0), **values}.items():
        family.add_metric([key], value)
    return family


def histogram(name: str, text: str, values: Histogram, *, unit: float = 1) -> Metric:
    """A distribution; ``unit`` is what one of its integers is in the unit that the name says.

    The classic form: no Prometheus reads native histograms from the text that its Python client writes.
    """
    family = HistogramMetricFamily(_PREFIX + name, text)
    family.add_metric([], _buckets(values, unit), sum_value=values.total * unit)
    return family


def histograms(name: str, text: str, label: Label, values: Mapping[str, Histogram], *, unit: float) -> Metric:
    """Distributions, by one label."""
    family = HistogramMetricFamily(_PREFIX + name, text, labels=[label.name])
    for key, value in values.items():
        family.add_metric([key], _buckets(value, unit), sum_value=value.total * unit)
    return family


def _buckets(values: Histogram, unit: float) -> list[tuple[str, float]]:
    return [
        ("+Inf" if bound is None else f"{bound * unit:g}", float(count))
        for bound, count in values.cumulative()
    ]
