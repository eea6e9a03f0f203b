"""Whether the stream still is what was read: the same one, and with the same message at the place reached."""

from datetime import UTC, datetime, timedelta
from typing import Final, Literal, NamedTuple

from nats.aio.client import Client
from nats.js.api import StreamInfo
from nats.js.errors import NotFoundError

Verdict = Literal["same", "behind", "another"]

_NOTHING_YET: Final = 0
_ZERO: Final = datetime(1970, 1, 1, tzinfo=UTC)
_ROUNDING: Final = timedelta(milliseconds=1)


class Place(NamedTuple):
    """The last message that was taken from a stream."""

    seq: int = _NOTHING_YET
    stored_ns: int = 0


async def verdict(client: Client, info: StreamInfo, place: Place) -> Verdict:
    """Compare the stream with what was taken from it.

    A stream that lost its end (a machine lost its power, a backup was restored) keeps its creation time and
    gives its numbers again, to other messages: it is ``another`` one. While it has not come to the place yet
    it is ``behind``, as a new leader in a cluster may be for a moment.
    """
    if place.seq == _NOTHING_YET:
        return "same"
    if info.state.last_seq < place.seq:
        return "behind"
    try:
        found = await client.jetstream().get_msg(str(info.config.name), seq=place.seq)
    except NotFoundError:
        return "same"
    stored = _ZERO + timedelta(microseconds=place.stored_ns // 1000)
    is_same = found.time is not None and abs(found.time - stored) < _ROUNDING
    return "same" if is_same else "another"
