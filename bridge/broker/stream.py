"""The stream that holds the events: made where there is none, taken as it is where there is one."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Literal

import structlog
from nats.aio.client import Client
from nats.js.api import DiscardPolicy, StorageType, StreamConfig, StreamInfo
from nats.js.errors import APIError, NotFoundError

log = structlog.get_logger(__name__)

_TTL_SINCE = (2, 11)
"""The first nats-server that knows per-message TTLs."""
_METADATA_SINCE = (2, 10)
_DUPLICATES_SECONDS: Final = 600.0
"""For so long the stream knows an event again whose acknowledgement was lost: nats-server keeps the ids in
memory, about 200 bytes each. Its own two minutes are less than an outage often takes."""
AGES_APART: Final = timedelta(seconds=2)
"""So much earlier than the leader a replica may forget what is too old: each goes by timers of its own."""
_INACTIVE_SECONDS: Final = 30.0
"""The server forgets a consumer of ours that nobody uses after so long."""
_INVALID: Final = 10052
"""JetStream's error code for a stream that may not be as it is wanted; its words say why."""
_WINDOW_LIMIT: Final = re.compile(r"duplicates window .* server limit of ((?:[0-9.]+(?:h|ms|m|s))+)$")
_GO_UNITS: Final = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}
_FORMS = ("*", "*.*.*")
"""What follows the family in the two forms of a subject: bare, and with both ids."""
_OURS: Final = {"crew-bridge": "makes this stream, and adds subjects to it"}
"""On streams that a bridge made: a later one, with more families, may widen them."""


@dataclass(frozen=True, slots=True)
class StreamSettings:
    """How the stream is made."""

    name: str
    subjects: tuple[str, ...]
    """What it takes: ``<family>.>`` stands for the two forms that subjects of a family have."""
    max_bytes: int
    max_age_seconds: float
    replicas: int
    storage: Literal["file", "memory"]


async def ensure_stream(client: Client, settings: StreamSettings) -> StreamInfo:
    """The stream, made now if there is none; one that a bridge made is widened. NATS errors pass through."""
    manager = client.jetstream()
    try:
        info = await manager.stream_info(settings.name)
    except NotFoundError:
        info = await _make(client, settings)
        log.info("stream created", stream=settings.name, subjects=len(settings.subjects))
    missing = missing_subjects(info.config, settings.subjects)
    if missing and _is_ours(info.config):
        info = await manager.update_stream(info.config, subjects=_widened(info.config, missing))
        log.info("stream takes more subjects", stream=settings.name, subjects=info.config.subjects)
    return info


def inactive_seconds(config: StreamConfig) -> float:
    """How long consumers of ours may be unused: no longer than the stream's ``consumer_limits`` let them."""
    limits = config.consumer_limits
    return min(_INACTIVE_SECONDS, (limits and limits.inactive_threshold) or _INACTIVE_SECONDS)


async def _make(client: Client, settings: StreamSettings) -> StreamInfo:
    """The stream, which knows duplicates for as long as we want, or as the server lets it."""
    config, manager = _config(client, settings), client.jetstream()
    try:
        return await manager.add_stream(config)
    except APIError as error:
        limit = _WINDOW_LIMIT.match(error.description or "") if error.err_code == _INVALID else None
        if limit is None:
            raise
    window = _seconds(limit[1])
    log.warning("the server limits how long a stream knows duplicates", stream=settings.name, seconds=window)
    return await manager.add_stream(config, duplicate_window=window)


def _seconds(duration: str) -> float:
    """A duration as Go writes it: ``1h2m0.5s``."""
    parts = re.findall(r"([0-9.]+)(h|ms|m|s)", duration)
    return sum(float(number) * _GO_UNITS[unit] for number, unit in parts)


def epoch_of(info: StreamInfo) -> str:
    """The stream's incarnation: its creation time in microseconds, in base 16.

    Every bridge on the same stream computes the same.
    """
    created = info.created
    if not isinstance(created, datetime):
        raise TypeError("the server did not say when the stream was made")
    return format(int(created.timestamp() * 1_000_000), "x")


def is_of(info: StreamInfo, epoch: str) -> bool:
    """Whether the stream was made when ``epoch`` says."""
    return epoch_of(info) == epoch.partition("-")[0]


def missing_subjects(config: StreamConfig, wanted: Iterable[str]) -> list[str]:
    """Those of ``wanted`` that the stream does not take, or not wholly."""
    return [subject for subject in wanted if not all(_takes(config, form) for form in _forms(subject))]


def _forms(subject: str) -> Sequence[str]:
    """A whole family means the subjects that a family has; anything else means what it says."""
    family, _, rest = subject.partition(".")
    return [f"{family}.{form}" for form in _FORMS] if rest == ">" else [subject]


def _takes(config: StreamConfig, form: str) -> bool:
    return any(_covers(pattern, form) for pattern in config.subjects or [])


def _is_ours(config: StreamConfig) -> bool:
    return _OURS.keys() <= (config.metadata or {}).keys()


def _widened(config: StreamConfig, added: list[str]) -> list[str]:
    """Its subjects and those that it lacks; the server takes none that overlap."""
    kept = [old for old in config.subjects or [] if not any(_covers(new, old) for new in added)]
    return [*kept, *added]


def _config(client: Client, settings: StreamSettings) -> StreamConfig:
    version = (client.connected_server_version.major, client.connected_server_version.minor)
    return StreamConfig(
        name=settings.name,
        subjects=list(settings.subjects),
        storage=StorageType(settings.storage),
        num_replicas=settings.replicas,
        max_bytes=settings.max_bytes,
        max_age=settings.max_age_seconds,
        duplicate_window=min(_DUPLICATES_SECONDS, settings.max_age_seconds),
        discard=DiscardPolicy.OLD,
        allow_msg_ttl=version >= _TTL_SINCE or None,
        allow_direct=True,
        metadata=_OURS if version >= _METADATA_SINCE else None,
    )


def _covers(pattern: str, wanted: str) -> bool:
    """Whether a stream's subject takes everything that ``wanted`` stands for."""
    ours, theirs = pattern.split("."), wanted.split(".")
    if ours[-1] == ">" and len(theirs) >= len(ours):
        ours, theirs = ours[:-1], theirs[: len(ours) - 1]
    return len(ours) == len(theirs) and all(
        mine == other or (mine == "*" and other != ">") for mine, other in zip(ours, theirs, strict=True)
    )
