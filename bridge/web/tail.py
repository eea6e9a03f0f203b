"""A live view in a terminal: a client of the bridge that resumes by itself."""

import asyncio
import ssl
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from random import uniform
from socket import EAI_AGAIN
from time import monotonic
from typing import Annotated, Any, Final, NoReturn

from aiohttp import (
    ClientConnectorDNSError,
    ClientConnectorError,
    ClientError,
    ClientSession,
    ClientWebSocketResponse,
    ClientWSTimeout,
    InvalidURL,
    NonHttpUrlClientError,
    WebSocketError,
    WSMessage,
    WSMsgType,
    WSServerHandshakeError,
)
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from contracts import ContractError, WebSocketEvent, parse_server_message
from contracts.messages import Error, Gap, Message, Recovery, Subscribed
from contracts.payloads.state import ConnectionEstablished, ConnectionHeartbeat

_FIRST_PAUSE: Final = 0.5
_LONGEST_PAUSE: Final = 10.0
_LONGEST_TOLD: Final = 300.0
"""Seconds that a bridge may tell us to stay away."""
_LASTING_SECONDS: Final = 5.0
"""A connection that held so long was a good one: the next pause is the first again."""
_HANDSHAKE_SECONDS: Final = 12.0
"""A bridge asks the stream for up to 10 seconds before it answers."""
_PATIENCE_SECONDS: Final = 10.0
"""A heartbeat may come so much later than it is due."""
_PING_SECONDS: Final = 20.0
"""A bridge that answers no ping for half of this is gone, though nothing says so."""
_GOODBYE: Final = ClientWSTimeout(ws_close=2.0)
_MAX_MESSAGE: Final = 16 * 1024**2
_PASSING_STATUS: Final = {408, 425, 429, *range(500, 600)}
_PASSING_CODES: Final = {"unavailable", "busy"}
_TOO_LARGE: Final = 1009
_FOR_GOOD: Final = {_TOO_LARGE, *range(4500, 5000)}
_TOLD_OTHERWISE: Final = {"too_old", "too_many", "unverified"}
"""A gap follows; or a number was given by hand, which says nothing of what was seen before."""
_MAX_DATA: Final = 160
"""Characters of an event's data in its line."""

Say = Callable[[str], object]


class TailRefusedError(OSError):
    """The bridge will not show what was asked for; the message says why."""


class _Ended(Exception):  # noqa: N818 - it is no fault of ours
    """The connection is over; the next is to be tried, not before ``told`` seconds have passed."""

    def __init__(self, why: str, told: float = 0.0) -> None:
        super().__init__(why)
        self.told = min(told, _LONGEST_TOLD)


class _Told(BaseModel):
    """What a bridge that goes says in its reason."""

    model_config = ConfigDict(strict=True)

    retry_after_ms: Annotated[float, Field(ge=0, allow_inf_nan=False)]


@dataclass(slots=True)
class _Place:
    """Where the next connection goes on."""

    since: int | str | None
    was_there: bool = False
    """Whether a bridge has answered."""
    is_granted: bool = False
    """Whether this connection gives what was asked for. Before that it moves nothing."""
    early: set[str | None] = field(default_factory=set)
    """Positions of what came for everyone before that: it comes again."""

    @property
    def start(self) -> dict[str, Any]:
        """As a subscription names it."""
        return {"since": self.since}

    def move(self, position: str | None) -> None:
        """Everything up to ``position`` was shown; None: that is not known."""
        if position is not None and (self.is_granted or self.since is None):
            self.since = position

    def is_again(self, position: str | None) -> bool:
        """Whether the event there was shown already."""
        if self.is_granted and position in self.early:
            self.early.remove(position)
            return True
        if not self.is_granted:
            self.early.add(position)
        return False


async def tail(
    url: str, subscriptions: Iterable[str], *, since: int | str | None, out: Say, note: Say
) -> NoReturn:
    """Show every event, for ever. ``url``: the bridge's, with its prefix; ``since``: a seq or a position.

    ``out`` is given a line for each event and each gap, ``note`` one for each lost connection, which is
    made again. What another try cannot better raises `TailRefusedError`.
    """
    place, names, failures = _Place(since), list(subscriptions), 0
    async with ClientSession() as session:
        while True:
            began, place.is_granted = monotonic(), False
            try:
                await _follow(session, url, names, place, out)
            except _Ended as end:
                is_good = place.is_granted and monotonic() - began > _LASTING_SECONDS
                failures = 0 if is_good else failures + 1
                pause = max(end.told, _pause(failures))
                note(f"-- {end}; trying again in {pause:.1f} s")
            await asyncio.sleep(pause)


def _pause(failures: int) -> float:
    """Seconds: more after each failure, and not the same for all who were cut off together."""
    return min(_FIRST_PAUSE * 2.0 ** min(failures, 10), _LONGEST_PAUSE) * uniform(0.5, 1.0)  # noqa: S311


async def _follow(session: ClientSession, url: str, names: list[str], place: _Place, out: Say) -> NoReturn:
    """One connection's life; its end is raised."""
    try:
        async with asyncio.timeout(_HANDSHAKE_SECONDS):
            socket = await session.ws_connect(
                f"{url}/ws/custom", max_msg_size=_MAX_MESSAGE, heartbeat=_PING_SECONDS, timeout=_GOODBYE
            )
        async with socket:
            await _listen(socket, names, place, out)
    except WSServerHandshakeError as error:
        raise _refusal(url, error) from None
    except (InvalidURL, NonHttpUrlClientError, UnicodeError):
        raise TailRefusedError(f"{url} is no address of a bridge") from None
    except TimeoutError:
        raise _Ended("the bridge says nothing") from None
    except ClientError as error:
        if not place.was_there and _is_for_good(error):
            raise TailRefusedError(str(error)) from None
        raise _Ended(str(error)) from None


def _refusal(url: str, error: WSServerHandshakeError) -> Exception:
    """What an answer other than a WebSocket means."""
    if error.status not in _PASSING_STATUS:
        return TailRefusedError(f"{url} answers {error.status}: is it a bridge, with this prefix?")
    told = error.headers.get("Retry-After", "") if error.headers else ""
    seconds = float(told) if told.isascii() and told.isdigit() else 0.0
    return _Ended(f"the bridge answers {error.status}", seconds)


def _is_for_good(error: ClientError) -> bool:
    """A name that nobody knows and a certificate that is not right: who was never there will not come."""
    if isinstance(error, ClientConnectorDNSError):
        return error.errno != EAI_AGAIN
    return isinstance(error, ClientConnectorError) and isinstance(error.os_error, ssl.SSLError)


async def _listen(socket: ClientWebSocketResponse, names: list[str], place: _Place, out: Say) -> NoReturn:
    patience = _HANDSHAKE_SECONDS
    while True:
        received = await socket.receive(timeout=patience)
        if received.type is not WSMsgType.TEXT:
            raise _end(received)
        try:
            message = parse_server_message(received.data)
        except ContractError as error:
            out(f"-- a message that this version cannot read: {error}")
            continue
        _show(message, place, out)
        if (first := _greeting(message)) is not None:
            patience = (first.heartbeat_seconds or patience) + _PATIENCE_SECONDS
            place.was_there = True
            if place.since is None:
                place.move(first.position)
            await socket.send_json({"action": "subscribe", "subscriptions": names} | place.start)


def _greeting(message: WebSocketEvent | Message) -> ConnectionEstablished | None:
    """The bridge's own first message, which has no ``seq``."""
    if isinstance(message, WebSocketEvent) and message.seq is None:
        return message.data if isinstance(message.data, ConnectionEstablished) else None
    return None


def _end(message: WSMessage) -> Exception:
    """Why there are no more messages."""
    if message.type is WSMsgType.CLOSE:
        code, reason = int(message.data), str(message.extra or "")
    elif isinstance(message.data, WebSocketError):
        code, reason = int(message.data.code), str(message.data)
    else:
        return _Ended("connection lost")
    if code in _FOR_GOOD:
        return TailRefusedError(f"the connection was ended for good: {code} {reason}")
    return _Ended(f"connection closed ({code})", _told(reason))


def _told(reason: str) -> float:
    """Seconds to stay away; a proxy or an operator may have said anything."""
    try:
        return _Told.model_validate_json(reason).retry_after_ms / 1000
    except ValidationError:
        return 0.0


def _show(message: WebSocketEvent | Message, place: _Place, out: Say) -> None:
    """Write what a person wants to see of a message, and remember the place."""
    match message:
        case WebSocketEvent(seq=None):
            if isinstance(message.data, ConnectionHeartbeat):
                place.move(message.data.position)
        case WebSocketEvent():
            place.move(message.position)
            if not place.is_again(message.position):
                out(_line(message))
        case Gap():
            out(f"-- events {message.from_} to {message.to} are gone ({message.reason})")
        case Subscribed():
            place.is_granted = True
            _judge(message.recovery, out)
        case Error() if message.code in _PASSING_CODES:
            raise _Ended(message.message)
        case Error():
            raise TailRefusedError(f"refused: {message.field or message.code} {message.message}")
        case _:
            pass


def _judge(recovery: Recovery | None, out: Say) -> None:
    if recovery and not recovery.recovered and recovery.reason not in _TOLD_OTHERWISE:
        out(f"-- the events go on elsewhere ({recovery.reason}): some may be missing")


def _line(event: WebSocketEvent) -> str:
    """Time, place in the log, type, ids and data of an event, in one line."""
    ids = " ".join(filter(None, (event.execution_id, event.task_id, event.agent_id)))
    data = event.data.model_dump_json(exclude_none=True)
    if len(data) > _MAX_DATA:
        data = f"{data[:_MAX_DATA]}…"
    return f"{event.timestamp:%H:%M:%S} {event.seq:>8} {event.event_type:<28} {ids} {data}"
