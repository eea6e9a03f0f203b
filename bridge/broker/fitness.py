"""Whether a stream can carry the events: what of it would lose some, what is merely other than set up."""

from collections.abc import Iterator
from typing import Final, NamedTuple

import structlog
from nats.js.api import DiscardPolicy, PersistMode, RetentionPolicy, StorageType, StreamConfig, StreamInfo

from bridge.broker.stream import StreamSettings, missing_subjects

log = structlog.get_logger(__name__)

_FAR: Final = 10
"""A stream that keeps less than one part in so many of what was asked for was not made for these events."""
_LARGE_EVENT: Final = 64 * 1024
_DUPLICATES_SECONDS: Final = 120.0
"""NATS' default: a publisher that was cut off comes back within this time, mostly."""
_LEAST_CONSUMERS: Final = 2
"""One that reads what comes, one that reads what was."""
LARGEST_SEQ: Final = 2**53 - 1
"""The largest number up to which JavaScript, and JSON as many read it, tell all from each other."""
TOO_LARGE: Final = (
    "its sequence numbers reach 2^53, and browsers cannot tell such from each other: make a new stream, and "
    "name it in BRIDGE_STREAM_NAME"
)


class Finding(NamedTuple):
    """Something about a stream that was not asked for."""

    what: str
    remedy: str
    """What to change."""

    def __str__(self) -> str:
        return f"{self.what}: {self.remedy}"


class UnfitStreamError(ValueError):
    """The stream would lose events; the message says in one line why, and what to change."""

    def __init__(self, name: str, findings: list[Finding]) -> None:
        super().__init__(f"the stream {name} would lose events: {'; '.join(map(str, findings))}")


def judge(info: StreamInfo, settings: StreamSettings, *, is_start: bool) -> None:
    """A bad stream stops the start; later, who is served is served on, whatever became of the stream."""
    config = info.config
    bad = [*losses(config, settings), *_numbered_too_high(info.state.last_seq)]
    if bad and is_start:
        raise UnfitStreamError(settings.name, bad)
    if bad:
        log.error("the stream loses events", stream=settings.name, why=list(map(str, bad)))
    elif is_start and (other := differences(config, settings)):
        log.info("the stream is used as it is", stream=settings.name, other=list(map(str, other)))


def losses(config: StreamConfig, settings: StreamSettings) -> list[Finding]:
    """What would lose events, or never let any in."""
    return [*_never_in(config, settings), *_taken_away(config), *_kept_too_little(config, settings)]


def differences(config: StreamConfig, settings: StreamSettings) -> list[Finding]:
    """What is other than set up, or than a bridge would make it, and loses nothing."""
    return [*_other_bounds(config, settings), *_other_ways(config, settings)]


def _numbered_too_high(last_seq: int) -> Iterator[Finding]:
    if last_seq >= LARGEST_SEQ:
        what, _, remedy = TOO_LARGE.partition(": ")
        yield Finding(what, remedy)


def _never_in(config: StreamConfig, settings: StreamSettings) -> Iterator[Finding]:
    if config.mirror is not None:
        yield Finding("it mirrors another stream", "name that one in BRIDGE_STREAM_NAME")
        return
    if config.sealed:
        yield Finding("it is sealed", "name another one in BRIDGE_STREAM_NAME")
    missing = missing_subjects(config, settings.subjects)
    if missing:
        yield Finding(f"it does not take all of {', '.join(missing)}", "add these to its subjects")
    if config.no_ack:
        yield Finding("it acknowledges nothing, so publishers wait for ever", "set its no_ack to false")
    if config.allow_msg_counter:
        yield Finding(
            "it counts, and refuses all that is no number", "name another one in BRIDGE_STREAM_NAME"
        )
    if config.subject_transform is not None:
        yield Finding("it stores events under other subjects", "remove its subject_transform")
    if config.discard == DiscardPolicy.NEW and _is_bounded(config):
        yield Finding("it refuses new events when it is full", "set its discard to old")
    if 0 < (config.max_consumers or 0) < _LEAST_CONSUMERS:
        yield Finding(
            f"it allows {config.max_consumers} consumer, so that nobody could look back",
            "raise its max_consumers, or set it to -1",
        )


def _taken_away(config: StreamConfig) -> Iterator[Finding]:
    if config.retention is not None and config.retention != RetentionPolicy.LIMITS:
        yield Finding(
            f"its retention is {RetentionPolicy(config.retention).value}: what was read is deleted",
            "name another one, with retention limits, in BRIDGE_STREAM_NAME",
        )
    if config.max_msgs_per_subject > 0:
        yield Finding(
            f"it keeps {config.max_msgs_per_subject} events of each subject",
            "set its max_msgs_per_subject to -1",
        )


def _kept_too_little(config: StreamConfig, settings: StreamSettings) -> Iterator[Finding]:
    age, size = config.max_age or 0, config.max_bytes or 0
    if 0 < age * _FAR < settings.max_age_seconds:
        yield _too_little(f"it keeps events for {age:g} s", "max_age", "MAX_AGE_SECONDS")
    if 0 < size * _FAR < settings.max_bytes:
        yield _too_little(f"it keeps {size} bytes", "max_bytes", "MAX_BYTES")
    if config.storage == StorageType.MEMORY and settings.storage == "file":
        yield Finding(
            "it is in memory, and gone when NATS restarts",
            "make it anew, or set BRIDGE_STREAM_STORAGE=memory",
        )
    if (config.num_replicas or 1) < settings.replicas:
        yield _too_little(f"it has {config.num_replicas} replicas", "num_replicas", "REPLICAS")


def _too_little(what: str, field: str, setting: str) -> Finding:
    return Finding(what, f"raise its {field}, or lower BRIDGE_STREAM_{setting}")


def _other_bounds(config: StreamConfig, settings: StreamSettings) -> Iterator[Finding]:
    for name, is_, wanted in (
        ("max_age", config.max_age or 0, settings.max_age_seconds),
        ("max_bytes", max(config.max_bytes or 0, 0), settings.max_bytes),
        ("num_replicas", config.num_replicas or 1, settings.replicas),
    ):
        if is_ != wanted:
            yield Finding(f"its {name} is {is_ or 'without bound'}, not {wanted}", "it stays so")
    if config.max_msgs is not None and config.max_msgs > 0:
        yield Finding(f"it keeps {config.max_msgs} events at most", "it stays so")


def _other_ways(config: StreamConfig, settings: StreamSettings) -> Iterator[Finding]:
    if config.storage == StorageType.FILE and settings.storage == "memory":
        yield Finding("it is in files, not in memory", "it stays so")
    if not config.allow_msg_ttl:
        yield Finding(
            "short-lived events stay as long as others",
            "set its allow_msg_ttl to true, which nats-server 2.11 and newer know",
        )
    yield from _other_duplicates(config.duplicate_window or 0.0)
    if config.max_msg_size is not None and 0 < config.max_msg_size < _LARGE_EVENT:
        yield Finding(f"it refuses events above {config.max_msg_size} bytes", "raise its max_msg_size")
    if (config.max_consumers or 0) > 0:
        yield Finding(
            f"it allows {config.max_consumers} consumers, and a bridge takes up to 1 + BRIDGE_HISTORY_READS",
            "raise its max_consumers where that is too few",
        )
    if config.allow_rollup_hdrs:
        yield Finding(
            "publishers may delete what is before their events", "set its allow_rollup_hdrs to false"
        )
    if config.persist_mode == PersistMode.ASYNC:
        yield Finding(
            "it acknowledges events before they are stored", "make it anew, without the persist_mode async"
        )


def _other_duplicates(seconds: float) -> Iterator[Finding]:
    """Streams with sources have no window of their own since nats-server 2.14."""
    if seconds >= _DUPLICATES_SECONDS:
        return
    what = f"it knows duplicates for {seconds:g} s only" if seconds else "it knows no duplicates"
    yield Finding(f"{what}: an event that is sent again may be stored twice", "raise its duplicate_window")


def _is_bounded(config: StreamConfig) -> bool:
    bounds = (config.max_bytes, config.max_msgs, config.max_msgs_per_subject)
    return any(bound is not None and bound > 0 for bound in bounds)
