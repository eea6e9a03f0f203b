"""A server on a real port that plays a bridge, or a proxy before one: it says what a test tells it."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import Any

from websockets.asyncio.server import ServerConnection, serve
from websockets.http11 import Request, Response


class Visit:
    """One connection of a client."""

    def __init__(self, socket: ServerConnection) -> None:
        self.socket = socket
        self.is_over = asyncio.Event()

    async def say(self, message: dict[str, Any] | list[dict[str, Any]]) -> None:
        """Send a message."""
        await self.socket.send(json.dumps(message))

    async def heard(self) -> Any:
        """The next command."""
        async with asyncio.timeout(10):
            return json.loads(await self.socket.recv())

    async def close(self, code: int, reason: str = "") -> None:
        """End the connection, and wait until the client knows."""
        await self.socket.close(code, reason)
        self.is_over.set()


class Peer:
    """Whoever connects is a `Visit`; ``answers`` are given first, to as many handshakes.

    ``page``: the HTML at ``/``.
    """

    def __init__(self, page: str = "") -> None:
        self.url = ""
        self._page = page
        self.answers: list[tuple[int, dict[str, str]]] = []
        self._visits: asyncio.Queue[Visit] = asyncio.Queue()

    async def visit(self, seconds: float = 20) -> Visit:
        """The next connection."""
        async with asyncio.timeout(seconds):
            return await self._visits.get()

    async def _serve(self, socket: ServerConnection) -> None:
        visit = Visit(socket)
        self._visits.put_nowait(visit)
        await visit.is_over.wait()

    def _answer(self, socket: ServerConnection, request: Request) -> Response | None:
        if request.path == "/":
            response = socket.respond(HTTPStatus.OK, self._page)
            del response.headers["Content-Type"]
            response.headers["Content-Type"] = "text/html; charset=utf-8"
            return response
        if not self.answers:
            return None
        status, headers = self.answers.pop(0)
        response = socket.respond(HTTPStatus(status), "")
        response.headers.update(headers)
        return response

    @asynccontextmanager
    async def running(self) -> AsyncIterator["Peer"]:
        """Listens as long as this lasts."""
        server = await serve(self._serve, "127.0.0.1", 0, process_request=self._answer)
        host, port = next(iter(server.sockets)).getsockname()
        self.url = f"http://{host}:{port}"
        try:
            yield self
        finally:
            server.close()
            while not self._visits.empty():
                self._visits.get_nowait().is_over.set()


def position(seq: int) -> str:
    """Where the event ``seq`` is."""
    return f"{seq}-5f"


def established(cursor: int, **more: Any) -> dict[str, Any]:
    """A bridge's first message."""
    data = {"client_id": "c", "epoch": "e", "head": cursor, "cursor": cursor, "heartbeat_seconds": 25}
    data["position"] = position(cursor)
    return _own("connection.established", data | more)


def heartbeat(cursor: int) -> dict[str, Any]:
    """A bridge's heartbeat."""
    data = {"epoch": "e", "head": cursor, "cursor": cursor, "position": position(cursor)}
    return _own("connection.heartbeat", data)


def event(seq: int, **more: Any) -> dict[str, Any]:
    """A task that was completed, as it comes to a client."""
    return {"seq": seq, "position": position(seq)} | _own("task.completed", {"result": str(seq)}) | more


def _own(event_type: str, data: dict[str, Any]) -> dict[str, Any]:
    ids = {"event_id": "i", "timestamp": "2026-01-01T00:00:00Z", "priority": "normal"}
    return {"event_type": event_type, "data": data} | ids


UNAVAILABLE = {"type": "error", "code": "unavailable", "message": "the stream does not answer; try again"}
SUBSCRIBED = {"type": "subscribed", "subscriptions": ["global"]}
