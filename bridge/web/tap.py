"""The operation that lets an operator watch one connection live, wherever in the cluster it is."""

from collections.abc import AsyncGenerator
from contextlib import aclosing, suppress
from typing import Final

import structlog
from aiohttp import web
from pydantic import BaseModel, ConfigDict

from bridge.web.backlog import Backlog, Dropped
from bridge.web.desk import EXPLAIN, Desk
from bridge.web.errors import UnknownClientError, refuse
from bridge.web.fleet import Fleet
from bridge.web.operation import Nothing, Operation
from bridge.web.tapped import ALIVE_SECONDS, Tap, line
from contracts.cluster import Explain, Tapping
from contracts.tapping import TapLine

log = structlog.get_logger(__name__)

_HEADERS: Final = {"Content-Type": "application/x-ndjson", "Cache-Control": "no-store"}
VERB: Final = "tap"
_MAX_TAPS: Final = 32
"""On one bridge at once."""


async def overhear(desk: Desk, question: bytes) -> AsyncGenerator[bytes, None]:
    """The lines about a client of this bridge; none about another."""
    wish = Tapping.model_validate_json(question)
    hub = desk.shore.hub
    connection = hub.connections.get(wish.client_id)
    if connection is None:
        return
    tap = Tap(hub, connection, desk.instance, explain=wish.explain)
    with tap.listening():
        yield tap.first()
        with suppress(EOFError):
            while True:
                for one in await tap.lines():
                    yield one


class Taps:
    """The taps that are read from one bridge."""

    def __init__(self, desk: Desk, fleet: Fleet) -> None:
        self._desk = desk
        self._fleet = fleet
        self.open = 0

    async def anywhere(self, wish: Tapping) -> AsyncGenerator[bytes, None]:
        """The lines about a client. Raises `UnknownClientError`, or `OSError` where there is no NATS."""
        instance = await self._find(wish.client_id)
        question = wish.model_dump_json().encode()
        if instance == self._desk.instance:
            source = overhear(self._desk, question)
        else:
            source = self._elsewhere(instance, question)
        async with aclosing(source) as lines:
            async for one in lines:
                yield one

    async def _find(self, client_id: str) -> str:
        answers, cluster = await self._fleet.ask(EXPLAIN, Explain(client_id=client_id))
        found = [answer.connection for _, answer in answers if answer.connection is not None]
        if not found:
            raise UnknownClientError(client_id, cluster)
        return min(found, key=lambda connection: connection.duration_seconds).instance

    async def _elsewhere(self, instance: str, question: bytes) -> AsyncGenerator[bytes, None]:
        backlog: Backlog[bytes] = Backlog()
        lost = line(TapLine(kind="lost", instance=instance))
        last = b""

        def take(data: bytes | None) -> None:
            nonlocal last
            if data is None:
                backlog.close(None if b'"kind":"closed"' in last[:20] else lost)
            else:
                last = data
                backlog.put(data, len(data))

        async with self._fleet.others.follow(instance, VERB, question, take):
            while True:
                try:
                    news = await backlog.take(ALIVE_SECONDS)
                except EOFError:
                    return
                match news:
                    case None:
                        yield line(TapLine(kind="alive"))
                    case Dropped(count):
                        yield line(TapLine(kind="dropped", count=count))
                    case bytes():
                        yield news


class Watching(BaseModel):
    """What is to be seen."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    explain: bool = False
    """Also the events that the client is not sent, each with the parts of its view that decline it."""


async def _tap(request: web.Request, watching: Watching, _: Nothing) -> web.StreamResponse:
    taps = request.app[TAPS]
    if taps.open >= _MAX_TAPS:
        raise refuse(503, "too_many_taps", f"{_MAX_TAPS} connections are tapped already", Retry_After="10")
    client_id = request.match_info["client_id"]
    taps.open += 1
    try:
        async with aclosing(taps.anywhere(Tapping(client_id=client_id, explain=watching.explain))) as lines:
            return await _stream(request, lines)
    except UnknownClientError as error:
        raise error.refusal from None
    except OSError as error:
        raise refuse(503, "cluster_unavailable", str(error), Retry_After="1") from None
    finally:
        taps.open -= 1


async def _stream(request: web.Request, lines: AsyncGenerator[bytes, None]) -> web.StreamResponse:
    """Write lines as they come, to whoever reads as slowly as they like."""
    first = await anext(lines, None)
    if first is None:
        raise refuse(404, "unknown_client", "the connection has just ended")
    response = web.StreamResponse(headers=_HEADERS)
    await response.prepare(request)
    log.info("connection tapped", client_id=request.match_info["client_id"], remote=request.remote)
    try:
        await response.write(first)
        async for one in lines:
            await response.write(one)
        await response.write_eof()
    except ConnectionError:
        pass
    return response


TAPS: Final = web.AppKey("TAPS", Taps)

OPERATIONS: Final = (
    Operation(
        name="tap",
        method="GET",
        path="/connections/{client_id}/tap",
        summary="Watch live what a client is sent, one JSON object a line",
        act=_tap,
        query=Watching,
        body=Nothing,
        answer=TapLine,
        media_type="application/x-ndjson",
        refusals=(404, 503),
    ),
)
