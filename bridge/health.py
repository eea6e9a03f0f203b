"""How this bridge is, told to everybody on the stream every few seconds."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import version
from time import monotonic, process_time
from typing import Any, Final, Self

from bridge.metrics import Sources
from contracts.errors import ContractError
from contracts.events import WebSocketEvent
from contracts.factories import create_system_event

COMPONENT: Final = "bridge"
_MICROSECONDS: Final = 1000
"""In a millisecond."""
_SHARE: Final = 0.99


class Health:
    """Makes ``system.health_check`` events: totals, and what happened since the event before."""

    def __init__(self, instance: str, sources: Sources, is_ready: Callable[[], bool]) -> None:
        self._instance = instance
        self._version = version("crew-bridge")
        self._sources = sources
        self._is_ready = is_ready
        self._started = monotonic()
        self._before = _Totals.of(sources)

    def event(self) -> WebSocketEvent:
        """How it is now."""
        now = _Totals.of(self._sources)
        before, self._before = self._before, now
        status = "ok" if self._is_ready() else "degraded"
        data = {"status": status, **self._state(), **now.sums(), **self._recent(before, now)}
        return create_system_event(COMPONENT, "health_check", source="bridge", data=data)

    def _state(self) -> dict[str, Any]:
        hub, feed = self._sources.hub, self._sources.feed
        return {
            "instance": self._instance,
            "version": self._version,
            "uptime_seconds": round(monotonic() - self._started, 3),
            "active_connections": len(hub.connections),
            "live_connections": hub.router.live,
            "feed_lag": feed.pending,
            "feed_lag_seconds": round(feed.lag_seconds, 3),
            "log_events": len(hub.log),
            "log_bytes": hub.log.bytes,
        }

    def _recent(self, before: "_Totals", now: "_Totals") -> dict[str, Any]:
        seconds = max(now.at - before.at, 0.001)
        age, delay = self._sources.hub.counters.event_age, self._sources.loop_delay
        return {
            "events_in_per_second": round((now.events_in - before.events_in) / seconds, 1),
            "events_delivered_per_second": round((now.delivered - before.delivered) / seconds, 1),
            "cpu_share": round((now.cpu - before.cpu) / seconds, 3),
            "event_age_p99_ms": _quantile_ms(age.bounds, before.ages, now.ages),
            "loop_delay_p99_ms": _quantile_ms(delay.bounds, before.delays, now.delays),
        }


@dataclass(frozen=True, slots=True)
class _Totals:
    """What only grows, at one time."""

    at: float
    cpu: float
    events_in: int
    delivered: int
    messages: int
    bytes: int
    ages: tuple[int, ...]
    delays: tuple[int, ...]

    @classmethod
    def of(cls, sources: Sources) -> Self:
        counters = sources.hub.counters
        return cls(
            at=monotonic(),
            cpu=process_time(),
            events_in=counters.events_in.total(),
            delivered=counters.delivered.total(),
            messages=counters.messages_out,
            bytes=counters.bytes_out,
            ages=tuple(counters.event_age.counts),
            delays=tuple(sources.loop_delay.counts),
        )

    def sums(self) -> dict[str, Any]:
        return {
            "events_in": self.events_in,
            "events_delivered": self.delivered,
            "messages_sent": self.messages,
            "bytes_sent": self.bytes,
        }


def _quantile_ms(bounds: Sequence[int], before: Sequence[int], now: Sequence[int]) -> float | None:
    """The bound, in milliseconds, under which all but one in a hundred lie; None if nothing happened.

    What lies above all bounds counts as the last one.
    """
    counts = [new - old for new, old in zip(now, before, strict=True)]
    left = sum(counts) * _SHARE
    if not left:
        return None
    for bound, count in zip(bounds, counts, strict=False):
        left -= count
        if left <= 0:
            return bound / _MICROSECONDS
    return bounds[-1] / _MICROSECONDS


async def tell_for_ever(
    health: Health, publish: Callable[[WebSocketEvent], Awaitable[object]], seconds: float
) -> None:
    """Publish how the bridge is, every so many seconds, 0 for never.

    ``publish`` counts what goes wrong with that; the next event makes up for it.
    """
    while seconds:
        await asyncio.sleep(seconds)
        with suppress(OSError, ContractError):
            await publish(health.event())
