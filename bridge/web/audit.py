"""The audit: what operators did, in a log of its own and as events, and how often they asked for what."""

import asyncio
import json
import logging
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol

import structlog
from aiohttp import web

from bridge.core.counters import Counters
from contracts.errors import ContractError
from contracts.events import WebSocketEvent
from contracts.types import EventType

log = structlog.get_logger(__name__)
record = structlog.wrap_logger(
    None,
    wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
    logger_factory_args=("audit",),
)
"""Written at every log level."""

DONE: Final = "done"


class Stream(Protocol):
    """Where events are kept."""

    async def publish(self, event: WebSocketEvent) -> int:
        """The event's ``seq``; `OSError` where it cannot be stored now."""
        ...


@dataclass(frozen=True, slots=True)
class Act:
    """What somebody asked for that changes something."""

    action: str
    target: str | None
    remote: str | None
    principal: str | None
    parameters: Mapping[str, object]


class Audit:
    """Keeps the record. ``spawn`` runs what need not be waited for."""

    def __init__(
        self,
        instance: str,
        stream: Stream,
        counters: Counters,
        spawn: Callable[[Coroutine[Any, Any, None]], object],
    ) -> None:
        self._instance = instance
        self._stream = stream
        self._spawn = spawn
        self._counters = counters
        self._turn = asyncio.Lock()

    def called(self, operation: str) -> None:
        """Somebody asks for something."""
        self._counters.admin_calls[operation] += 1

    def refused(self, code: str, act: Act | None) -> None:
        """A request failed; ``act`` if it would have changed something."""
        self._counters.admin_failures[code] += 1
        if act is not None:
            self._write(act, code)

    def done(self, act: Act) -> None:
        """Something was changed."""
        self._write(act, DONE)
        self._spawn(self._publish(self._event(act)))

    def _write(self, act: Act, outcome: str) -> None:
        record.bind(logger="audit").info(
            act.action,
            target=act.target,
            outcome=outcome,
            remote=act.remote,
            principal=act.principal,
            **act.parameters,
        )

    def _event(self, act: Act) -> WebSocketEvent:
        """Without the address: browsers read it."""
        data = {
            "action": act.action,
            "target": act.target,
            "outcome": DONE,
            "instance": self._instance,
            "principal": act.principal,
            "parameters": dict(act.parameters),
        }
        return WebSocketEvent.create(EventType.SYSTEM_ADMIN_ACTION, data)

    async def _publish(self, event: WebSocketEvent) -> None:
        """One after the other, in the order in which things were done."""
        try:
            async with self._turn:
                await self._stream.publish(event)
        except (OSError, ContractError) as error:
            log.warning("an operator's action was not published", error=str(error))


def code_of(refusal: web.HTTPException) -> str:
    """The ``code`` in its body; what aiohttp itself refuses has none."""
    try:
        return str(json.loads(refusal.text or "")["code"])
    except (ValueError, LookupError, TypeError):
        return "http"


AUDIT: Final = web.AppKey("AUDIT", Audit)
