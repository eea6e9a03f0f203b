"""What JetStream says around a message: the acknowledgement subject, and its control messages."""

from collections.abc import Mapping
from datetime import datetime
from typing import NamedTuple

MARKER_REASON = "Nats-Marker-Reason"
"""The header of a delete marker."""
TTL = "Nats-TTL"
"""The header of a message that goes by itself, or ``never``, whatever the age limit of the stream."""
_NEVER = "never"
_PREFIX = "$JS.ACK."
_V1_TOKENS = 9
_NANOSECONDS = 1_000_000_000
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


def nanoseconds_of(time: str) -> int:
    """A time as JetStream's API writes it, in nanoseconds since 1970, all of them.

    RFC 3339 in UTC, with up to nine digits of a second's fraction, which `datetime` cuts to six.
    """
    whole, _, fraction = time.removesuffix("Z").partition(".")
    seconds = int(datetime.fromisoformat(f"{whole}+00:00").timestamp())
    return seconds * _NANOSECONDS + int(fraction.ljust(9, "0") or 0)


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


def is_delete_marker(headers: Mapping[str, str] | None, payload: bytes) -> bool:
    """Whether the server stored this itself, for a subject's last message that expired or was removed.

    It does where the stream has a ``subject_delete_marker_ttl`` (nats-server 2.11 and later).
    """
    return not payload and headers is not None and MARKER_REASON in headers


def has_ttl(headers: Mapping[str, str] | None) -> bool:
    """Whether the message's publisher said after what time it is to go."""
    return headers is not None and headers.get(TTL, _NEVER) != _NEVER


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
