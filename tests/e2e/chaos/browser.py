"""A browser that resumes by itself, and checks what it is given as it comes."""

import asyncio
import json
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from time import time
from typing import Any
from urllib.parse import urlencode

from tests.client import PREFIX
from tests.e2e.chaos.views import View
from tests.e2e.chaos.wire import Wire, connect

Address = Callable[[], tuple[str, int]]
_EVENT = b'{"seq":'
_CONNECT_SECONDS = 5.0
_PATIENCE_SECONDS = 5.0
"""Nothing heard for so much longer than a heartbeat's interval, which the bridge tells: cut off."""
_LONGEST_PAUSE = 3.0
_MARK_SECONDS = 0.5


@dataclass
class Shared:
    """What all browsers of a run know together."""

    payloads: dict[int, bytes] = field(default_factory=dict)
    """Each event as it was first given to anybody; everybody must be given the same."""
    epochs: set[str] = field(default_factory=set)
    seen: Counter[str] = field(default_factory=Counter)
    """Connections, refusals, close codes, recoveries: what happened."""
    problems: list[str] = field(default_factory=list)


class Browser:
    """Follows ``view`` at ``address``, which may be another one each time."""

    def __init__(
        self,
        name: str,
        view: View,
        address: Address,
        shared: Shared,
        random: Random,
        *,
        may_lose: bool = False,
    ) -> None:
        self.name = name
        self._may_lose = may_lose
        """Whether retention takes what was not read yet, so that not to recover is no fault."""
        self.view = view
        self._address = address
        self._shared = shared
        self._random = random
        self._wire: Wire | None = None
        self._retry_after = 0.0
        self._heartbeat = 0.0
        self.receive_buffer: int | None = None
        self._position: str | None = None
        """What it comes back with."""
        self.begin: int | None = None
        """The cursor of the first connection: what came after it is to be given."""
        self.cursor = 0
        """Everything of the view up to it was given."""
        self.seqs: list[int] = []
        self.gaps: list[tuple[int, int, str]] = []
        self.promises: list[tuple[int, int]] = []
        """From where to where it was told ``recovered``, as far as the connection came that was told so."""
        self._promised: dict[str, Any] | None = None
        self._marks: list[tuple[float, int]] = []
        """Now and then: the time, and the cursor then."""
        self.is_live = asyncio.Event()
        """Whether it is connected, and was told where it is."""

    async def run(self, *, mischief: float = 0.0) -> None:
        """Connect, again and again; ``mischief``: mean seconds between its own ideas: to cut, not to read."""
        pause = 0.1
        while True:
            wire = await self._connect()
            if wire is None:
                pause = min(pause * 2, _LONGEST_PAUSE)
                await asyncio.sleep(max(pause, self._retry_after) * self._random.uniform(0.5, 1.0))
                continue
            try:
                await self._stay(wire, mischief)
            finally:
                self.leave()
                wire.cut()
            self._shared.seen[f"closed {wire.code}"] += 1
            pause = 0.1
            await asyncio.sleep(self._random.uniform(0.02, 0.3))

    async def _connect(self) -> Wire | None:
        wire = None
        try:
            async with asyncio.timeout(_CONNECT_SECONDS):
                wire = await connect(self, self._address(), self._path(), receive_buffer=self.receive_buffer)
                self._wire = wire
                status = await wire.opened
        except (OSError, TimeoutError):
            self._shared.seen["unreachable"] += 1
            if wire is not None:
                wire.cut()  # else it may be let in later, beside the next one
            return None
        if status != 101:
            self._shared.seen[f"refused {status}"] += 1
            self._retry_after = wire.retry_after
            return None
        self._shared.seen["connected"] += 1
        return wire

    async def _stay(self, wire: Wire, mischief: float) -> None:
        """Until the connection ends, by itself or by an idea of ours."""
        clock = asyncio.get_running_loop().time
        idea = clock() + (self._random.expovariate(1 / mischief) if mischief else 1e9)
        while not wire.ended.done():
            await asyncio.wait([wire.ended], timeout=min(1.0, max(idea - clock(), 0.01)))
            if clock() >= idea:
                if self._random.random() < 0.6:
                    self._shared.seen["cut by the browser"] += 1
                    return
                await self._read_nothing(wire)
                idea = clock() + self._random.expovariate(1 / mischief)
            elif clock() - wire.heard_at > self._heartbeat + _PATIENCE_SECONDS:
                self._shared.seen["quiet"] += 1
                return

    async def _read_nothing(self, wire: Wire) -> None:
        self._shared.seen["read nothing for a while"] += 1
        wire.pause()
        await asyncio.wait([wire.ended], timeout=self._random.uniform(1.0, 4.0))
        wire.resume()
        wire.heard_at = asyncio.get_running_loop().time()

    def _path(self) -> str:
        """With the cursor; where subscribing is a command of its own, that carries it."""
        cursor = {} if self.view.subscriptions else self._since()
        query = urlencode(self.view.query | cursor)
        return f"{PREFIX}/ws/{self.view.endpoint}{'?' if query else ''}{query}"

    def _since(self) -> dict[str, Any]:
        return {} if self.begin is None else {"since": self._position}

    def on_text(self, payload: bytes) -> None:
        """A message has come."""
        if payload.startswith(_EVENT):
            self._take(int(payload[len(_EVENT) : payload.index(b",", len(_EVENT))]), payload)
            self._position = payload.split(b'"', 6)[5].decode()
        elif payload.startswith(b"["):
            for event in json.loads(payload):
                self._take(event["seq"], None)
                self._position = event["position"]
        else:
            self._hear(json.loads(payload))

    def _take(self, seq: int, payload: bytes | None) -> None:
        if seq <= self.cursor:
            self._complain(f"given {seq} at {self.cursor}")
            return
        self.seqs.append(seq)
        self._move(seq)
        if payload is not None and self._shared.payloads.setdefault(seq, payload) != payload:
            self._complain(f"{seq} is not what others were given")

    def leave(self) -> None:
        """End the connection: what was promised on it holds as far as it came."""
        self.is_live.clear()
        if self._promised is not None and self._promised["recovered"]:
            self.promises.append((self._promised["from"], min(self._promised["to"], self.cursor)))
        self._promised = None

    def _move(self, cursor: int) -> None:
        self.cursor = max(self.cursor, cursor)
        now = time()
        if not self._marks or now > self._marks[-1][0] + _MARK_SECONDS:
            self._marks.append((now, self.cursor))

    def passed_at(self, seq: int) -> float:
        """Return when its cursor came to ``seq``, or a little later; now where it has not."""
        number = bisect_left(self._marks, seq, key=lambda mark: mark[1])
        return self._marks[number][0] if number < len(self._marks) else time()

    def _hear(self, message: dict[str, Any]) -> None:
        match message.get("type") or message.get("event_type"):
            case "connection.established":
                self._greet(message["data"])
            case "connection.heartbeat":
                if self.is_live.is_set():
                    self._move(message["data"]["cursor"])
                    self._position = message["data"].get("position") or self._position
            case "subscribed":
                self._resumed(message.get("recovery"))
            case "gap":
                self.gaps.append((message["from"], message["to"], message["reason"]))
                if self.is_live.is_set():
                    self._move(message["to"])
            case "error" if message["code"] == "unavailable" and self._wire is not None:
                self._shared.seen["unavailable"] += 1
                self._wire.cut()  # the stream has no leader: try again
            case _:
                self._complain(f"told {message}")

    def _greet(self, data: dict[str, Any]) -> None:
        self._shared.epochs.add(data["epoch"].partition("-")[0])
        self._heartbeat = data["heartbeat_seconds"]
        since = self._since()
        if self.begin is None:
            self._position = data["position"]
            self.begin = self.cursor = data["cursor"]
        if self.view.subscriptions and self._wire is not None:
            command = {"action": "subscribe", "subscriptions": list(self.view.subscriptions)}
            self._wire.say(command | self._since())
        else:
            self._resumed(data.get("recovery") if since else None)

    def _resumed(self, recovery: dict[str, Any] | None) -> None:
        if recovery is not None:
            self._shared.seen[recovery["reason"]] += 1
            self._promised = recovery
            if not recovery["recovered"] and not self._may_lose:
                self._complain(f"not recovered: {recovery}")
        self.is_live.set()

    def _complain(self, what: str) -> None:
        self._shared.problems.append(f"{self}: {what}")

    def __str__(self) -> str:
        return f"{self.name} ({self.view.endpoint} {self.view.query} {self.view.subscriptions})"
