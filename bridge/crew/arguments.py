"""Checks of what `install` is given: found out later, a mistake would cost every event of every crew."""

import os
import re
from collections.abc import Iterator
from dataclasses import fields
from inspect import signature
from pathlib import Path
from typing import Any, Final

from nats.aio.client import Client

from bridge.crew.content import TEXT_CHARS
from bridge.crew.draft import MIN_BYTES, Policy
from bridge.crew.identity import identifier
from bridge.crew.tap import Delivery
from contracts.servers import servers

MAX_WAIT_SECONDS: Final = 3_600.0
OWN_OPTIONS: Final = frozenset(
    {
        "servers", "allow_reconnect", "max_reconnect_attempts", "reconnect_time_wait", "ping_interval",
        "max_outstanding_pings", "error_cb", "closed_cb",
    }
)  # fmt: skip
"""Arguments of ``nats.connect`` that the order and the safety of events hang on."""
_STREAM: Final = re.compile(r"[^\s.*>/\\]{1,255}")
_UNCOMPARABLE: Final = frozenset({"nats_options", "redact"})
"""What is equal may look different: a TLS context or a function that was made again."""


def check(delivery: Delivery, policy: Policy) -> None:
    """Raise `ValueError`, or `TypeError` for what is not even of the right kind, that names the argument."""
    _check_names(delivery, policy)
    _check_sizes(delivery.max_queue_bytes, policy.max_event_bytes)
    for name in ("end_wait_seconds", "exit_wait_seconds"):
        _check_seconds(name, getattr(delivery, name))
    _check_options(delivery.nats_options)


def differing(before: Delivery | Policy, now: Delivery | Policy) -> Iterator[str]:
    """The names of the arguments that are certainly not the same."""
    for name in (field.name for field in fields(before)):
        one, other = getattr(before, name), getattr(now, name)
        is_comparable = name not in _UNCOMPARABLE and not (callable(one) and callable(other))
        if (one is None) != (other is None) or (is_comparable and one != other):
            yield name


def _check_names(delivery: Delivery, policy: Policy) -> None:
    _check_text("nats_url", delivery.nats_url)
    _check_text("stream", delivery.stream)
    _check_text("source", policy.source)
    try:
        servers(delivery.nats_url)
    except ValueError as error:
        raise ValueError(f"nats_url {error}") from None
    if not _STREAM.fullmatch(delivery.stream):
        raise ValueError("stream must be a stream's name: without spaces and any of . * > / \\")
    if policy.content not in TEXT_CHARS:
        raise ValueError(f"content must be one of {', '.join(TEXT_CHARS)}")
    if policy.redact is not None and not callable(policy.redact):
        raise TypeError("redact must be a function of an event's type and its data")
    _check_crew_id(policy.crew_id)


def _check_crew_id(crew_id: object) -> None:
    if isinstance(crew_id, str):
        if identifier(crew_id) is None:
            raise ValueError("crew_id must be a name, and not empty")
    elif crew_id is not None and not callable(crew_id):
        raise TypeError(f"crew_id must be a text or a function of a crew, not {type(crew_id).__name__}")


def _check_text(name: str, value: object) -> None:
    if not isinstance(value, str):
        raise TypeError(f"{name} must be a text, not {type(value).__name__}")


def _check_sizes(max_queue_bytes: Any, max_event_bytes: Any) -> None:
    sizes = {"max_queue_bytes": max_queue_bytes, "max_event_bytes": max_event_bytes}
    for name, size in sizes.items():
        if not isinstance(size, int):
            raise TypeError(f"{name} must be a whole number of bytes, not {type(size).__name__}")
        if size < MIN_BYTES:
            raise ValueError(f"{name} must be at least {MIN_BYTES}")
    if sizes["max_queue_bytes"] < sizes["max_event_bytes"]:
        raise ValueError("max_queue_bytes must be at least max_event_bytes")


def _check_seconds(name: str, value: object) -> None:
    if not isinstance(value, (int, float)):
        raise TypeError(f"{name} must be a number of seconds, not {type(value).__name__}")
    if not 0 <= value <= MAX_WAIT_SECONDS:
        raise ValueError(f"{name} must be from 0 to {MAX_WAIT_SECONDS:g} seconds")


def _check_options(options: Any) -> None:
    """Values cannot be judged here; names can."""
    known = signature(Client.connect).parameters.keys() - {"self"}
    given = set(options or ())
    if unknown := sorted(map(str, given - known)):
        raise ValueError(f"nats_options: nats.connect knows no {', '.join(unknown)}")
    if own := sorted(given & OWN_OPTIONS):
        raise ValueError(f"nats_options: {', '.join(own)} cannot be set, the tap does that itself")


def check_directory(directory: Path) -> None:
    """Raise `ValueError` for a ``spool_directory`` that neither is there nor can be made."""
    absolute = directory.absolute()
    there = next(path for path in (absolute, *absolute.parents) if os.path.exists(path))  # noqa: PTH110  # Never raises.
    if not there.is_dir():
        raise ValueError(f"spool_directory must be a directory: {there} is none")
    if not os.access(there, os.W_OK | os.X_OK):
        raise ValueError(f"spool_directory must be writable: {there} is not")
