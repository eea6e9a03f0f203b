"""A client of the bridge that shares no code with it: ``websockets`` and the standard library."""

import asyncio
import json
import urllib.error
import urllib.request
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Self
from urllib.parse import urlencode

from websockets.asyncio.client import ClientConnection, connect

from bridge.service import Running
from tests.waiting import soon

PREFIX = "/api/v1/websocket"
Json = dict[str, Any]


class Listener:
    """One WebSocket connection: what it was told first, and what comes."""

    def __init__(self, socket: ClientConnection, established: Json) -> None:
        self.socket = socket
        self.established = established
        self.first: Json = established["data"]

    async def message(self) -> Json:
        """The next message that is not a heartbeat."""
        while True:
            async with asyncio.timeout(10):
                message = json.loads(await self.socket.recv())
            if not isinstance(message, dict) or message.get("event_type") != "connection.heartbeat":
                return message  # type: ignore[no-any-return]  # whatever JSON it is, a test looks into it

    async def events(self, count: int) -> list[Json]:
        """The next ``count`` events; anything else between them fails."""
        events = [await self.message() for _ in range(count)]
        assert all("event_type" in event for event in events), events
        return events

    async def ask(self, command: Json | str | bytes) -> Json:
        """Send a command; the next control message."""
        await self.socket.send(json.dumps(command) if isinstance(command, dict) else command)
        while "type" not in (message := await self.message()):
            pass
        return message

    async def nothing_more(self) -> bool:
        """Whether nothing is under way: the answer to a ping comes next."""
        await self.socket.send('{"action":"ping","id":"nothing more"}')
        return (await self.message()).get("id") == "nothing more"


class Client:
    """Speaks HTTP and WebSocket with one bridge."""

    def __init__(self, bridge: Running) -> None:
        self.url = bridge.url
        self.nats_url = bridge.nats_url

    @classmethod
    async def of(cls, bridge: Running) -> Self:
        """A client of a bridge that is ready."""
        client = cls(bridge)
        await soon(client.is_ready)
        return client

    async def is_ready(self) -> bool:
        """Whether it has caught up with the stream."""
        return (await self.get("/readyz"))[0] == 200

    async def get(self, path: str) -> tuple[int, Any]:
        """Status and body of a GET; JSON is parsed."""
        return await self.send("GET", path)

    async def send(
        self, method: str, path: str, body: Json | bytes | None = None, **headers: str
    ) -> tuple[int, Any]:
        """Status and body of any request; JSON is parsed."""
        data = json.dumps(body).encode() if isinstance(body, dict) else body
        address = self.url + path
        request = urllib.request.Request(address, data, headers, method=method)  # noqa: S310 - the bridge's
        return await asyncio.to_thread(_send, request)

    @asynccontextmanager
    async def connect(self, endpoint: str, **query: object) -> AsyncIterator[Listener]:
        """Connect to ``ws/<endpoint>``, such as ``executions/e1``."""
        address = f"{self.url.replace('http', 'ws', 1)}{PREFIX}/ws/{endpoint}?{urlencode(query)}"
        async with connect(address, max_size=None, compression=None) as socket:
            yield Listener(socket, json.loads(await socket.recv()))


def _send(request: urllib.request.Request) -> tuple[int, Any]:
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310 - the bridge that the test started
            return answer.status, _body(answer.read())
    except urllib.error.HTTPError as error:
        with error:
            return error.code, _body(error.read())


def _body(data: bytes) -> Any:
    try:
        return json.loads(data)
    except ValueError:
        return data.decode()
