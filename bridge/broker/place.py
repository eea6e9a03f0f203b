"""Whether the stream still is what was read: the same one, and with the same message at the place reached."""

from datetime import UTC, datetime, timedelta
from typing import Final, Literal, NamedTuple

from nats.aio.client import Client
from nats.js.api import StreamInfo
from nats.js.errors import NotFoundError

from bridge.broker.api import ask, look_at
from bridge.broker.stream import AGES_APART

Verdict = Literal["same", "behind", "another"]

_NOTHING_YET: Final = 0
_ZERO: Final = datetime(1970, 1, 1, tzinfo=UTC)
_ROUNDING: Final = timedelta(milliseconds=1)


class Place(NamedTuple):
    """The last message that was taken from a stream."""

    seq: int = _NOTHING_YET
    stored_ns: int = 0


class Void(NamedTuple):
    """After ``after`` and up to ``upto`` there was nothing, or nothing any more, when it was looked for."""

    after: int = 0
    upto: int = 0


async def verdict(client: Client, info: StreamInfo, place: Place, void: Void) -> Verdict:
    """Compare the stream with what was taken from it, and with the void that was found behind that.

    A stream that lost its end (a machine lost its power, a backup was restored) keeps its creation time and
    gives its numbers again, to other messages: it is ``another`` one. While it has not come to the place yet
    it is ``behind``, as a new leader in a cluster may be for a moment.
    """
    if info.state.last_seq < max(place.seq, void.upto):
        return "behind"
    if void.after < void.upto and await _is_filled(client, info, void):
        return "another"
    if place.seq == _NOTHING_YET:
        return "same"
    try:
        found = await client.jetstream().get_msg(str(info.config.name), seq=place.seq)
    except NotFoundError:
        return "same"
    stored = _ZERO + timedelta(microseconds=place.stored_ns // 1000)
    is_same = found.time is not None and abs(found.time - stored) < _ROUNDING
    return "same" if is_same else "another"


async def _is_filled(client: Client, info: StreamInfo, void: Void) -> bool:
    """Whether there is something where nothing was.

    A copy of the stream forgets by timers of its own: what another has longer is too old for anybody.
    """
    name, config = str(info.config.name), info.config
    try:
        request = {"seq": void.after + 1, "next_by_subj": ">"}
        message = (await ask(client, f"STREAM.MSG.GET.{name}", request))["message"]
    except NotFoundError:
        return False
    if message["seq"] > void.upto:
        return False
    if not config.max_age or (config.num_replicas or 1) == 1:
        return True
    age = (await look_at(client, name)).now - datetime.fromisoformat(message["time"])
    return age < timedelta(seconds=config.max_age) - AGES_APART
