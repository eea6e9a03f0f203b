"""What JetStream says around a message: the acknowledgement subject, and its control messages."""

from collections.abc import Mapping
from typing import NamedTuple

_PREFIX = "$JS.ACK."
_V1_TOKENS = 9
_V2_EXTRA = 2
"""Later servers put a domain and an account hash behind the prefix."""


class Delivered(NamedTuple):
    """Where a delivered message is in its stream and consumer."""

    stream_seq: int
    consumer_seq: int
    stored_ns: int
    pending: int
    """Messages of the consumer behind this one."""


def parse_reply(reply: str) -> Delivered:
    """Read ``$JS.ACK[.<domain>.<account>].<stream>.<consumer>.<delivered>.<seq>.<seq>.<ns>.<pending>``.

    Anything else raises `ValueError`.
    """
    tokens = reply.split(".")
    if len(tokens) != _V1_TOKENS:
        del tokens[2 : 2 + _V2_EXTRA]
    if not is_stored(reply) or len(tokens) < _V1_TOKENS:
        raise ValueError("not a JetStream reply subject")
    return Delivered(int(tokens[5]), int(tokens[6]), int(tokens[7]), int(tokens[8]))


class Control(NamedTuple):
    """A message that carries no event: an idle heartbeat, or a flow control request."""

    last_consumer_seq: int | None
    """On a heartbeat: the last message that was sent to this consumer."""
    last_stream_seq: int | None
    """On a heartbeat: the place in the stream up to which there is nothing more to send."""
    answer_to: str | None
    """Where an empty message is wanted before more is sent."""


def is_stored(reply: str) -> bool:
    """Whether a message with this reply subject is one that the stream holds, whatever its headers say."""
    return reply.startswith(_PREFIX)


def parse_control(headers: Mapping[str, str] | None, reply: str) -> Control | None:
    """The control message, None if the message is an event."""
    if is_stored(reply) or not headers or headers.get("Status") != "100":
        return None
    last, place = headers.get("Nats-Last-Consumer"), headers.get("Nats-Last-Stream")
    return Control(
        None if last is None else int(last),
        None if place is None else int(place),
        reply or headers.get("Nats-Consumer-Stalled"),
    )
