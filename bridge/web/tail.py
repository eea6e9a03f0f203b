"""A live view in a terminal: a client of the bridge that resumes by itself."""

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

from aiohttp import (
    ClientError,
    ClientSession,
    InvalidURL,
    NonHttpUrlClientError,
    WSMsgType,
    WSServerHandshakeError,
)

from contracts import WebSocketEvent, parse_server_message
from contracts.messages import Error, Gap, Message
from contracts.payloads.state import ConnectionEstablished, ConnectionHeartbeat
from contracts.types import EventType

_FIRST_PAUSE: Final = 0.5
_LONGEST_PAUSE: Final = 10.0
_PING_SECONDS: Final = 20.0
"""A bridge that answers no ping for half of this is gone, though nothing says so."""
_MAX_MESSAGE: Final = 16 * 1024**2
_FINAL: Final = {400, 403, 404, 405}
_MAX_DATA: Final = 160
"""Characters of an event's data in its line."""


class TailRefusedError(OSError):
    """The bridge will not show what was asked for; the message says why."""


@dataclass(slots=True)
class _Place:
    """Where in which log the next connection goes on."""

    since: int | None
    epoch: str | None = None
    current: str | None = None
    """The log that this connection reads: another one than ``epoch`` where that is gone."""


async def tail(
    url: str, subscriptions: Iterable[str], *, since: int | None, out: Callable[[str], object]
) -> None:
    """Write a line to ``out`` for every event, for ever. ``url``: the bridge's, with its prefix.

    A subscription that is refused raises `TailRefusedError`; a lost connection is made again.
    """
    place = _Place(since)
    pause = _FIRST_PAUSE
    async with ClientSession() as session:
        while True:
            try:
                await _follow(session, url, list(subscriptions), place, out)
                pause = _FIRST_PAUSE
            except WSServerHandshakeError as error:
                if error.status in _FINAL:
                    raise TailRefusedError(
                        f"{url} answers {error.status}: is it a bridge, with this prefix?"
                    ) from None
                out(f"-- the bridge answers {error.status}; trying again in {pause:g} s")
            except (InvalidURL, NonHttpUrlClientError):
                raise TailRefusedError(f"{url} is no address of a bridge") from None
            except ClientError as error:
                out(f"-- {error}; trying again in {pause:g} s")
            await asyncio.sleep(pause)
            pause = min(pause * 2, _LONGEST_PAUSE)


async def _follow(
    session: ClientSession, url: str, subscriptions: list[str], place: _Place, out: Callable[[str], object]
) -> None:
    """One connection's life."""
    connecting = session.ws_connect(f"{url}/ws/custom", max_msg_size=_MAX_MESSAGE, heartbeat=_PING_SECONDS)
    async with connecting as socket:
        cursor = {"since": place.since, "epoch": place.epoch}
        await socket.send_json({"action": "subscribe", "subscriptions": subscriptions} | cursor)
        async for message in socket:
            if message.type is WSMsgType.TEXT:
                _show(parse_server_message(message.data), place, out)
        out(f"-- connection closed ({socket.close_code}); coming back")


def _show(message: WebSocketEvent | Message, place: _Place, out: Callable[[str], object]) -> None:
    """Write what a person wants to see of a message, and remember the place."""
    match message:
        case WebSocketEvent(event_type=EventType.CONNECTION_ESTABLISHED | EventType.CONNECTION_HEARTBEAT):
            _remember(message, place)
        case WebSocketEvent():
            place.since, place.epoch = message.seq, place.current
            out(_line(message))
        case Gap():
            out(f"-- events {message.from_} to {message.to} are gone ({message.reason})")
        case Error():
            raise TailRefusedError(f"refused: {message.field or message.code} {message.message}")
        case _:
            pass


def _remember(message: WebSocketEvent, place: _Place) -> None:
    data = message.data
    if isinstance(data, ConnectionEstablished):
        place.current = data.epoch
        if place.since is None:
            place.since, place.epoch = data.cursor, data.epoch
    elif isinstance(data, ConnectionHeartbeat):
        place.since, place.epoch = data.cursor, data.epoch


def _line(event: WebSocketEvent) -> str:
    """Time, place in the log, type, ids and data of an event, in one line."""
    ids = " ".join(filter(None, (event.execution_id, event.task_id, event.agent_id)))
    data = event.data.model_dump_json(exclude_none=True)
    if len(data) > _MAX_DATA:
        data = f"{data[:_MAX_DATA]}…"
    return f"{event.timestamp:%H:%M:%S} {event.seq:>8} {event.event_type:<28} {ids} {data}"
