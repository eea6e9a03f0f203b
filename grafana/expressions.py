"""PromQL in words: the few forms that the dashboards' expressions have."""

from typing import Final

PREFIX: Final = "crew_bridge_"
CHOSEN: Final = 'job=~"$job", instance=~"$instance"'
"""The bridges chosen at the top of a dashboard."""
WINDOW: Final = "[$__rate_interval]"
_OF_ANY: Final = ("process_", "python_")
"""Metrics that other programs have, too, which may be in the same job."""
_OF_BRIDGES: Final = f" and on (job, instance) {PREFIX}info"


def metric(name: str, *matchers: str) -> str:
    """The series of our metric ``name``, of the bridges chosen; a name with a colon is a recorded one."""
    full = name if ":" in name or name.startswith(_OF_ANY) else PREFIX + name
    return f"{full}{{{', '.join((CHOSEN, *matchers))}}}"


def total(name: str, *matchers: str, by: str = "instance") -> str:
    """A gauge, summed by a label."""
    return f"sum by ({by}) ({metric(name, *matchers)})"


def rate(name: str, *matchers: str, by: str = "instance") -> str:
    """How fast a counter grows a second, summed by a label."""
    growth = f"rate({metric(name, *matchers)}{WINDOW})"
    return f"sum by ({by}) ({growth}{_OF_BRIDGES if name.startswith(_OF_ANY) else ''})"


def of_bridges(name: str) -> str:
    """A gauge that any program may have, of bridges only."""
    return metric(name) + _OF_BRIDGES


def seen(name: str, *matchers: str, by: str) -> str:
    """What the stream brings a second. Every bridge sees all of it: the largest number is the true one."""
    return f"max by ({by}) (rate({metric(name, *matchers)}{WINDOW}))"


def per_minute(name: str, *matchers: str, by: str) -> str:
    """As `seen`, a minute."""
    return f"60 * {seen(name, *matchers, by=by)}"


def quantile(share: float, name: str, *matchers: str, by: str = "instance") -> str:
    """Where ``share`` of a histogram's values lie below, by a label."""
    buckets = metric(f"{name}_bucket", *matchers)
    return f"histogram_quantile({share}, sum by ({by}, le) (rate({buckets}{WINDOW})))"


def mean(name: str, *matchers: str, by: str = "instance") -> str:
    """The average of a histogram's values, by a label."""
    return f"{rate(f'{name}_sum', *matchers, by=by)} / {rate(f'{name}_count', *matchers, by=by)}"
