"""Installing the tap: the one line that a worker adds."""

import logging
import os
import threading
from pathlib import Path
from typing import Final, NamedTuple

from bridge.crew.arguments import check, check_directory, differing
from bridge.crew.connection import Options
from bridge.crew.content import Content
from bridge.crew.crew_names import CrewId
from bridge.crew.draft import MAX_EVENT_BYTES, Policy, Redact
from bridge.crew.message import STREAM
from bridge.crew.outbox import MAX_BYTES
from bridge.crew.state_directory import default_directory
from bridge.crew.tap import Delivery, Tap

log = logging.getLogger(__name__)

_installing: Final = threading.Lock()


class _Installed(NamedTuple):
    tap: Tap
    delivery: Delivery
    policy: Policy
    wrap: bool


_installed: Final[list[_Installed]] = []


def install(
    nats_url: str = "nats://127.0.0.1:4222",
    *,
    stream: str = STREAM,
    content: Content = "cut",
    redact: Redact | None = None,
    source: str = "crewai",
    crew_id: CrewId = None,
    wrap: bool = True,
    spool_directory: str | os.PathLike[str] | None = None,
    max_queue_bytes: int = MAX_BYTES,
    max_event_bytes: int = MAX_EVENT_BYTES,
    end_wait_seconds: float = 5.0,
    exit_wait_seconds: float = 5.0,
    nats_options: Options | None = None,
) -> Tap:
    """Publish everything that CrewAI does in this process from now on.

    A second call with the same arguments returns the same tap. Returns at once, whether NATS answers or not.
    Raises only what is wrong with the call: `TypeError` or `ValueError` for an argument that means nothing,
    `ValueError` also for one that differs from those of a tap that is not closed, `ModuleNotFoundError`
    where there is no ``crewai``.

    ``nats_url`` is one server or several with commas between them: ``nats://``, ``tls://``, ``ws://``, ``wss://``.

    ``content``: ``cut`` lets 2,000 characters of each result, answer and argument out and no prompts,
    ``full`` also prompts and 100,000 characters of each text, ``none`` only lengths. ``redact`` is called
    with an event's type and data and returns the data to publish. ``crew_id`` is what all crews are called,
    or a function that is given a crew; where it returns None, and by default, a crew is called what its
    author named it, else by CrewAI's ``key``, which is of its agents and tasks. ``wrap=False`` registers a
    listener instead of wrapping the event bus: CrewAI then calls it on a pool of threads, in no certain
    order.
    ``end_wait_seconds`` bounds how long the end of an execution waits for its events to be safe.
    ``nats_options`` are further arguments of ``nats.connect``: credentials, TLS. ``spool_directory`` is where
    events wait for NATS; what one worker leaves behind there, the next to start publishes. The default is a
    place for each stream of each server.
    """
    if spool_directory is not None:
        check_directory(Path(spool_directory))
    delivery = Delivery(
        nats_url,
        stream,
        nats_options,
        default_directory(str(nats_url), str(stream)) if spool_directory is None else Path(spool_directory),
        max_queue_bytes,
        end_wait_seconds,
        exit_wait_seconds,
    )
    policy = Policy(content, redact, max_event_bytes, source, crew_id)
    check(delivery, policy)
    return _the_tap(delivery, policy, wrap=wrap)


def _the_tap(delivery: Delivery, policy: Policy, *, wrap: bool) -> Tap:
    """The one that there is, or a new one where there is none or it is closed."""
    with _installing:
        if _installed and not _installed[0].tap.closed:
            _refuse_another(_installed[0], _Installed(_installed[0].tap, delivery, policy, wrap))
        else:
            _installed[:] = [_Installed(_tap(delivery, policy, wrap=wrap), delivery, policy, wrap)]
        return _installed[0].tap


def _refuse_another(before: _Installed, now: _Installed) -> None:
    """A process has one tap: with other arguments, the caller's events would go where he does not look."""
    others = [*differing(before.delivery, now.delivery), *differing(before.policy, now.policy)]
    if before.wrap != now.wrap:
        others.append("wrap")
    if others:
        raise ValueError(
            f"a tap is installed already, with another {', '.join(others)}: close() that one first"
        )


def _tap(delivery: Delivery, policy: Policy, *, wrap: bool) -> Tap:
    from bridge.crew import bus  # noqa: PLC0415  # Imports CrewAI, which takes seconds.

    tap = Tap(delivery, policy, bus.ledger(policy.crew_id))
    tap.attach((bus.wrap if wrap else bus.listen)(tap.record))
    return tap
