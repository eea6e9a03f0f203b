"""The audit: what was changed, in a log of its own and as events, and how often operators asked for what."""

import asyncio
import json
import logging
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

import structlog
from aiohttp import web

from bridge.core.counters import Counters
from bridge.web.errors import UnknownClientError
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
    target: str | None = None
    remote: str | None = None
    """Who asked over HTTP; None: the application that embeds the bridge."""
    principal: str | None = None
    parameters: dict[str, object] = field(default_factory=dict)
    """What was asked for, and what came of it: grows until the act is over."""


_going_on: ContextVar[Act | None] = ContextVar("_going_on", default=None)


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

    def failed(self, error: Exception) -> None:
        """What somebody asked for was not done."""
        self._counters.admin_failures[_outcome(error)] += 1

    @contextmanager
    def recording(self, act: Act) -> Iterator[Act]:
        """Record what is done meanwhile, and how it ended.

        An act within an act is a part of it: it is not recorded by itself, and adds to the other's
        parameters.
        """
        whole = _going_on.get()
        if whole is not None:
            yield whole
            return
        token = _going_on.set(act)
        try:
            yield act
        except BaseException as error:
            self._write(act, _outcome(error))
            raise
        finally:
            _going_on.reset(token)
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


def _outcome(error: BaseException) -> str:
    """The code of what went wrong."""
    match error:
        case web.HTTPException():
            return _code_of(error)
        case UnknownClientError():
            return "unknown_client"
        case ContractError():
            return "invalid_request"
        case OSError():
            return "unavailable"
        case asyncio.CancelledError():
            return "cancelled"
        case _:
            return "internal"


def _code_of(refusal: web.HTTPException) -> str:
    """The ``code`` in its body; what aiohttp itself refuses has none."""
    try:
        return str(json.loads(refusal.text or "")["code"])
    except (ValueError, LookupError, TypeError):
        return "http"


AUDIT: Final = web.AppKey("AUDIT", Audit)
