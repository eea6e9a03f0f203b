"""The stream that holds the events: made where there is none, taken as it is where there is one."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

import structlog
from nats.aio.client import Client
from nats.js.api import DiscardPolicy, StorageType, StreamConfig, StreamInfo
from nats.js.errors import NotFoundError

log = structlog.get_logger(__name__)

_TTL_SINCE = (2, 11)
"""The first nats-server that knows per-message TTLs."""
_FORMS = ("*", "*.*.*")
"""What follows the family in the two forms of a subject: bare, and with both ids."""


@dataclass(frozen=True, slots=True)
class StreamSettings:
    """How the stream is made."""

    name: str
    families: tuple[str, ...]
    max_bytes: int
    max_age_seconds: float
    replicas: int
    storage: Literal["file", "memory"]


async def ensure_stream(client: Client, settings: StreamSettings) -> StreamInfo:
    """The stream, made now if there is none. NATS errors pass through."""
    manager = client.jetstream()
    try:
        info = await manager.stream_info(settings.name)
    except NotFoundError:
        info = await manager.add_stream(_config(client, settings))
        log.info("stream created", stream=settings.name, subjects=len(settings.families))
    else:
        _warn_of_missing(info, settings.families)
    return info


def epoch_of(info: StreamInfo) -> str:
    """The stream's incarnation: its creation time in microseconds, in base 16.

    Every bridge on the same stream computes the same.
    """
    created = info.created
    if not isinstance(created, datetime):
        raise TypeError("the server did not say when the stream was made")
    return format(int(created.timestamp() * 1_000_000), "x")


def _config(client: Client, settings: StreamSettings) -> StreamConfig:
    version = client.connected_server_version
    return StreamConfig(
        name=settings.name,
        subjects=_subjects(settings.families),
        storage=StorageType(settings.storage),
        num_replicas=settings.replicas,
        max_bytes=settings.max_bytes,
        max_age=settings.max_age_seconds,
        discard=DiscardPolicy.OLD,
        allow_msg_ttl=(version.major, version.minor) >= _TTL_SINCE or None,
        allow_direct=True,
    )


def _subjects(families: Iterable[str]) -> list[str]:
    return [f"{family}.>" for family in families]


def _warn_of_missing(info: StreamInfo, families: Iterable[str]) -> None:
    taken = info.config.subjects or []
    wanted = [f"{family}.{rest}" for family in families for rest in _FORMS]
    missing = [subject for subject in wanted if not any(_covers(pattern, subject) for pattern in taken)]
    if missing:
        log.warning(
            "the stream does not take these subjects", stream=info.config.name, missing=sorted(missing)
        )


def _covers(pattern: str, wanted: str) -> bool:
    """Whether a stream's subject takes everything that ``wanted``, written without ``>``, stands for."""
    ours, theirs = pattern.split("."), wanted.split(".")
    if ours[-1] == ">" and len(theirs) >= len(ours):
        ours, theirs = ours[:-1], theirs[: len(ours) - 1]
    return len(ours) == len(theirs) and all(
        mine in ("*", other) for mine, other in zip(ours, theirs, strict=True)
    )
