"""Where a client's cursor lies in the log, and what that means for it."""

from typing import NamedTuple

from bridge.core.history import Chunk
from bridge.core.log import Log
from contracts.messages import Recovery, RecoveryReason


class Place(NamedTuple):
    """A client has everything up to ``after``, and gets what comes after ``begin``."""

    after: int
    begin: int
    owed: int
    """Of what lies after it, what is gone for good is told."""
    reason: RecoveryReason | None
    """None for a client without a cursor: it begins at the head."""


def locate(
    log: Log, since: int | None, epoch: str | None, max_replay: int | None, chunk: Chunk | None = None
) -> Place:
    """The place of ``since``; 0 of no epoch in particular is before the oldest event that is kept.

    ``max_replay``: how many events of the log a client may look back. ``chunk``: what was read of the stream
    there, which alone says what of that is lost: other readers may have been told by other replicas.
    """
    after, reason = _judge(log, since, epoch, chunk)
    least = 0 if max_replay is None else log.head - max_replay
    has_been_there = reason in {"replayed", "too_old"} and (since, epoch) != (0, None)
    owed = after if has_been_there else log.head
    if reason is None or after >= least:
        return Place(after, after, owed, reason)
    return Place(after, least, owed, "stream_reset" if reason == "stream_reset" else "too_many")


def _judge(
    log: Log, since: int | None, epoch: str | None, chunk: Chunk | None
) -> tuple[int, RecoveryReason | None]:
    if since is None:
        return log.head, None
    if epoch is not None and epoch != log.epoch:
        return 0, "stream_reset"
    if since > log.head:
        return log.head, "unknown_cursor"
    oldest = min(_last_lost(log, since, chunk), log.floor)
    if since == 0 and epoch is None:
        return max(since, oldest), "replayed"
    is_loss = since < oldest and log.lasting.any_in(since, oldest)
    is_gap_to_come = max(since, log.floor) < log.newest_gap
    return since, "too_old" if is_loss or is_gap_to_come else "replayed"


def _last_lost(log: Log, since: int, chunk: Chunk | None) -> int:
    """The last ``seq`` that the stream has no more, as far as it was asked."""
    if chunk is None or chunk.epoch != log.epoch or not chunk.covers(since):
        return log.first - 1
    return since if chunk.lost is None else chunk.lost[1]


def recovery_of(after: int, head: int, count: int | None, reason: RecoveryReason) -> Recovery:
    """The answer: of what comes after ``after``, up to ``head``, ``count`` events follow."""
    if reason == "replayed" and count == 0:
        reason = "nothing_missed"
    recovered = reason in {"replayed", "nothing_missed"}
    return Recovery(recovered=recovered, reason=reason, from_=after + 1, to=head, count=count)
