"""Installing the tap: the one line that a worker adds."""

import logging
import os
import threading
from pathlib import Path
from typing import Final

from bridge.crew.content import TEXT_CHARS, Content
from bridge.crew.draft import MAX_EVENT_BYTES, MIN_BYTES, Policy, Redact
from bridge.crew.link import Options
from bridge.crew.message import STREAM
from bridge.crew.outbox import MAX_BYTES
from bridge.crew.spool import default_directory
from bridge.crew.tap import Delivery, Tap

log = logging.getLogger(__name__)

_installing: Final = threading.Lock()
_installed: Final[list[Tap]] = []


def install(
    nats_url: str = "nats://127.0.0.1:4222",
    *,
    stream: str = STREAM,
    content: Content = "cut",
    redact: Redact | None = None,
    source: str = "crewai",
    wrap: bool = True,
    spool_directory: str | os.PathLike[str] | None = None,
    max_queue_bytes: int = MAX_BYTES,
    max_event_bytes: int = MAX_EVENT_BYTES,
    end_wait_seconds: float = 5.0,
    exit_wait_seconds: float = 5.0,
    nats_options: Options | None = None,
) -> Tap:
    """Publish everything that CrewAI does in this process from now on; a second call returns the same tap.

    Returns at once, whether NATS answers or not. Raises only what is wrong with the call: `ValueError` for an
    argument that means nothing, `ModuleNotFoundError` where there is no ``crewai``.

    ``content``: ``cut`` lets 2,000 characters of each result, answer and argument out and no prompts,
    ``full`` also prompts and 100,000 characters of each text, ``none`` only lengths. ``redact`` is called
    with an event's type and data and returns the data to publish. ``wrap=False`` registers a listener
    instead of wrapping the event bus: CrewAI then calls it on a pool of threads, in no certain order.
    ``end_wait_seconds`` bounds how long the end of an execution waits for its events to be safe.
    ``nats_options`` are further arguments of ``nats.connect``: credentials, TLS. Workers whose events go to
    different servers need a ``spool_directory`` each: what one leaves behind, the next to start publishes.
    """
    _refuse_nonsense(content, max_queue_bytes=max_queue_bytes, max_event_bytes=max_event_bytes)
    delivery = Delivery(
        nats_url,
        stream,
        nats_options,
        Path(spool_directory) if spool_directory else default_directory(),
        max_queue_bytes,
        end_wait_seconds,
        exit_wait_seconds,
    )
    return _the_tap(delivery, Policy(content, redact, max_event_bytes, source), wrap=wrap)


def _refuse_nonsense(content: str, **sizes: int) -> None:
    """Here and now: found out later it would cost every event of every crew."""
    if content not in TEXT_CHARS:
        raise ValueError(f"content must be one of {', '.join(TEXT_CHARS)}")
    if too_small := [name for name, size in sizes.items() if size < MIN_BYTES]:
        raise ValueError(f"{too_small[0]} must be at least {MIN_BYTES}")


def _the_tap(delivery: Delivery, policy: Policy, *, wrap: bool) -> Tap:
    """The one that there is, or a new one where there is none or it is closed."""
    with _installing:
        if not _installed or _installed[0].closed:
            _installed[:] = [_tap(delivery, policy, wrap=wrap)]
        return _installed[0]


def _tap(delivery: Delivery, policy: Policy, *, wrap: bool) -> Tap:
    from bridge.crew import bus  # noqa: PLC0415  # Imports CrewAI, which takes seconds.

    tap = Tap(delivery, policy, bus.ledger())
    tap.attach((bus.wrap if wrap else bus.listen)(tap.record))
    return tap
