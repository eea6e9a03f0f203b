"""What becomes of an event, by what NATS answers when it is published.

| NATS says | the event |
|---|---|
| stored, or stored already | is published |
| too large for server, account or stream (our own count, 10054, 10077, 10097, ``-ERR``) | is passed over |
| may not be published on its subject (``-ERR`` Permissions Violation) | is passed over |
| its subject is full (10077, with ``discard_new_per_subject``) | is passed over |
| nobody takes its subject, or another stream does (503, 10060) | is passed over, if the stream is there |
| the stream is full, sealed or offline; account or server is at its limit (`_WAIT`) | waits |
| nothing: no leader, no quorum, a disk that fails | waits |
| anything else | is tried for a minute, then passed over |

What waits is tried again, every 2 s at most, in its order; the tap of a worker meanwhile keeps events on
disk. What is passed over is counted and reported, and nothing behind it waits.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Final


class Outcome(StrEnum):
    """What to do with an event that was answered with an error."""

    WAIT = "wait"
    """Try again until it is taken: the stream or the server takes none now."""
    PASS_OVER = "pass_over"  # noqa: S105 - no password
    """Give this one up, and go on: it will never be taken."""
    ASK = "ask"
    """Pass it over if the stream is there and not for its subject; else wait for the stream."""
    TRY_FOR_A_WHILE = "try_for_a_while"
    """Try again for `TRY_SECONDS`, then pass it over: an answer that is not known."""


class Reason(StrEnum):
    """Why an event was passed over."""

    TOO_LARGE = "too_large"
    DENIED = "denied"
    NO_SUBJECT = "no_subject"
    REFUSED = "refused"


TRY_SECONDS: Final = 60.0
NO_RESPONDERS: Final = 503
"""The status of an answer where nobody listens to a subject."""
_STORE_FAILED: Final = 10077
_TOO_LARGE: Final = frozenset({10054, 10097})
_ASK: Final = frozenset({NO_RESPONDERS, 10060})
_WAIT: Final = frozenset(
    {
        10002,  # the account's limits are reached
        10008,  # JetStream temporarily unavailable
        10009,  # not the leader
        10023,  # insufficient resources
        10028,  # no memory left
        10035,  # no such account
        10039,  # JetStream is off for the account
        10047,  # no storage left
        10053,  # the stream's limits
        10063,  # a replica that is behind
        10076,  # JetStream is off
        _STORE_FAILED,
        10109,  # sealed
        10118,  # offline
        10120,  # no limits for its tier
        10158,  # the same id is being stored
        10166,  # no time to live: a new connection asks again whether the stream has it
        10167,  # too many requests
        10169,  # a stream of counters
        10194,  # offline, with the reason
    }
)
"""Codes of the JetStream API, from nats-server's ``errors.json`` (2.15)."""
_OF_ONE_EVENT: Final = {"message too large": Reason.TOO_LARGE, "per subject": Reason.REFUSED}
"""What a failed store says where it concerns one event only."""
_LETHAL: Final = {
    "maximum payload": Reason.TOO_LARGE,
    "maximum control line": Reason.TOO_LARGE,
    "invalid publish subject": Reason.REFUSED,
}
"""What a server says before it ends the connection, because of one message."""
_HEADERS_BEGIN: Final = b"NATS/1.0\r\n"


def outcome(code: int, description: str) -> tuple[Outcome, Reason]:
    """What to do with an event that was answered with this error, and the reason if it is given up."""
    if code in _TOO_LARGE:
        return Outcome.PASS_OVER, Reason.TOO_LARGE
    if code in _ASK:
        return Outcome.ASK, Reason.NO_SUBJECT
    if code == _STORE_FAILED:
        for text, reason in _OF_ONE_EVENT.items():
            if text in description:
                return Outcome.PASS_OVER, reason
    return (Outcome.WAIT if code in _WAIT else Outcome.TRY_FOR_A_WHILE), Reason.REFUSED


def lethal(text: str) -> Reason | None:
    """Why a server ends a connection, if it is for one message; ``text`` is of its ``-ERR``, in any case."""
    return next((reason for part, reason in _LETHAL.items() if part in text.lower()), None)


def sent_size(payload: bytes, headers: Mapping[str, str]) -> int:
    """Bytes that count against ``max_payload``: the payload and the headers, as they are sent."""
    lines = sum(len(name.encode()) + len(value.encode()) + len(b": \r\n") for name, value in headers.items())
    return len(_HEADERS_BEGIN) + lines + len(b"\r\n") + len(payload)
