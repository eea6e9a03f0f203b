"""Retention takes what browsers and the bridge still want: whatever was not given was announced."""

import asyncio
import json
import os
import signal
from bisect import bisect_left, bisect_right
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from itertools import pairwise
from operator import itemgetter
from pathlib import Path
from random import Random
from typing import Any

import nats
import pytest
from nats.js import JetStreamContext
from websockets.exceptions import InvalidStatus

from contracts import WebSocketEvent, create_task_event
from tests.client import Client, Json
from tests.e2e.chaos.browser import Browser, Shared
from tests.e2e.chaos.oracle import check_no_silent_hole
from tests.e2e.chaos.record import STREAM, Stored, Truth
from tests.e2e.chaos.size import log, seeded, size
from tests.e2e.chaos.views import View, everything, of_execution
from tests.e2e.chaos.world import BridgeServer, bridge_server
from tests.nats_cluster import nats_cluster
from tests.nats_server import SUBJECTS, NatsServer
from tests.waiting import until

_KEPT = 200
_FLOOD = 500
"""Messages at once: more than the stream keeps."""
_VIEWS = (
    View("global", everything),
    View("global", everything, {"batch": "1"}),
    View("global", lambda body: body["event_type"] == "task.failed", {"types": "task.failed"}),
    of_execution("e3"),
    View("custom", lambda body: body["crew_id"] == "c1", {}, ("crew_c1",)),
)
_AGE = 4.0
_EXECUTIONS = 40
_NEAR = 150
"""Resumed from within so many events of where the stream begins, or of a place three quarters on."""


def _event(number: int) -> WebSocketEvent:
    ids: Json = {"execution_id": f"e{number % _EXECUTIONS}", "crew_id": f"c{number % 2}"}
    if number % 3:
        return create_task_event(f"t{number}", "completed", result="x" * 300, **ids)
    return create_task_event(f"t{number}", "failed", error="no", **ids)


async def _publish(jetstream: JetStreamContext, numbers: Iterable[int]) -> Truth:
    """All at once; what the stream has taken, by its number."""
    bodies = [_event(number).to_json() for number in numbers]
    acks = []
    for body in map(json.loads, bodies):
        subject = f"{body['event_type']}.{body['crew_id']}.{body['execution_id']}"
        acks.append(await jetstream.publish_async(subject, json.dumps(body).encode()))
    stored = await asyncio.gather(*acks)
    return {ack.seq: Stored(json.loads(body), None) for ack, body in zip(stored, bodies, strict=True)}


@asynccontextmanager
async def _suspended(bridge: BridgeServer, seconds: float) -> AsyncIterator[None]:
    os.kill(bridge.pid, signal.SIGSTOP)
    try:
        yield
        await asyncio.sleep(seconds)
    finally:
        os.kill(bridge.pid, signal.SIGCONT)


@pytest.mark.timeout(3600)
async def test_what_a_live_edit_and_a_flood_take_from_browsers_that_never_left_is_announced(
    tmp_path: Path,
) -> None:
    """The stream keeps few messages while thousands come, and the bridge is held up now and then."""
    random, shared = seeded(), Shared()
    truth: Truth = {}
    (tmp_path / "nats").mkdir()
    server = NatsServer(tmp_path / "nats")
    server.start()
    try:
        async with bridge_server(tmp_path / "bridge", server.url, ring_bytes=200_000) as bridge:
            client = await nats.connect(server.url)
            jetstream = client.jetstream()
            info = await jetstream.stream_info(STREAM)
            await jetstream.update_stream(info.config, max_msgs=_KEPT)
            browsers = [
                Browser(f"b{n}", view, lambda: bridge.address, shared, Random(n), may_lose=True)
                for n, view in enumerate(_VIEWS * 2)
            ]
            async with asyncio.TaskGroup() as tasks:
                following = [
                    tasks.create_task(browser.run(mischief=2.0 if n >= len(_VIEWS) else 0.0))
                    for n, browser in enumerate(browsers)
                ]
                await until(lambda: all(browser.begin is not None for browser in browsers))
                for _ in range(int(size(12, 300))):
                    async with _suspended(bridge, random.uniform(0.0, 0.4) * random.randrange(2)):
                        truth |= await _publish(jetstream, range(len(truth), len(truth) + _FLOOD))
                    await asyncio.sleep(random.uniform(0.0, 0.2))
                last = max(truth)
                await until(lambda: all(browser.cursor >= last for browser in browsers), seconds=60)
                for task in following:
                    task.cancel()
            await client.close()
    finally:
        server.stop()

    gaps = [sum(end - begin + 1 for begin, end, _ in browser.gaps) for browser in browsers]
    log.info("%d events, lost as announced %s, %s", len(truth), gaps, dict(shared.seen))
    assert all(gaps[: len(_VIEWS)]), "retention took nothing from browsers that never left: nothing was tried"
    shared.problems = [text for text in shared.problems if "not recovered" not in text]
    check_no_silent_hole(browsers, shared, truth)


_SEQ = itemgetter("seq")


class _Known:
    """What one reader of everything was given: the events, their positions, and when it came."""

    def __init__(self) -> None:
        self.events: list[Json] = []

    async def follow(self, client: Client) -> None:
        async with client.connect("global") as listener:
            while True:
                message = await listener.message()
                if "seq" in message:
                    self.events.append(message)

    async def has(self, seq: int) -> None:
        """Wait until it was given ``seq``."""
        await until(lambda: self.events[-1]["seq"] >= seq)

    def first_after(self, seq: int, execution_id: str) -> int | None:
        """The ``seq`` of the next event of the execution."""
        found = (e["seq"] for e in self.between(seq + 1) if e["execution_id"] == execution_id)
        return next(found, None)

    def between(self, first: int, last: int | None = None) -> list[Json]:
        """The events from ``first`` on."""
        begin = bisect_left(self.events, first, key=_SEQ)
        return self.events[begin : None if last is None else bisect_right(self.events, last, key=_SEQ)]


async def _resumed(client: Client, execution_id: str, position: str) -> tuple[Json, Json | None, int] | None:
    """What a client that comes back is told: the recovery, a gap if any, the first event's ``seq``."""
    try:
        async with client.connect(f"executions/{execution_id}", since=position) as listener:
            gap: Json | None = None
            while "seq" not in (message := await listener.message()):
                assert message["type"] == "gap", message
                gap = message
            return listener.first["recovery"], gap, message["seq"]
    except InvalidStatus as refused:
        if refused.response.status_code != 503:
            raise
        return None


@pytest.mark.timeout(3600)
async def test_who_comes_back_to_where_replicas_forget_by_their_own_timers_is_told_of_each_hole(
    tmp_path: Path,
) -> None:
    """Each replica of a stream with an age limit expires by a timer of its own, and reads come from any."""
    random, known, told = seeded(), _Known(), {"recovered": 0, "gap": 0, "refused": 0}
    holes: list[tuple[Any, ...]] = []
    async with nats_cluster(tmp_path) as cluster:
        nc = await nats.connect(cluster.url.split(","))
        jetstream = nc.jetstream(timeout=5)
        await jetstream.add_stream(
            name=STREAM,
            subjects=SUBJECTS,
            num_replicas=3,
            max_age=_AGE,
            duplicate_window=2,
            allow_msg_ttl=True,
        )
        settings = {"stream_replicas": 3, "ring_bytes": 65_536, "stream_max_age_seconds": _AGE}
        async with bridge_server(tmp_path / "bridge", cluster.url, **settings) as bridge:
            client = bridge.client

            async def publish() -> None:
                for number in range(0, 10**6, 10):
                    await _publish(jetstream, range(number, number + 10))
                    await asyncio.sleep(0.02)

            async with asyncio.TaskGroup() as tasks:
                working = [tasks.create_task(known.follow(client)), tasks.create_task(publish())]
                await asyncio.sleep(_AGE + 2.0)
                for number in range(int(size(24, 1500))):
                    state = (await jetstream.stream_info(STREAM)).state
                    begin = state.first_seq + number % 2 * (state.last_seq - state.first_seq) * 3 // 4
                    since = random.choice(known.between(begin - 20, begin + _NEAR))
                    execution_id = f"e{random.randrange(_EXECUTIONS)}"
                    answer = await _resumed(client, execution_id, since["position"])
                    if answer is None:
                        told["refused"] += 1
                        continue
                    recovery, gap, seq = answer
                    told["gap" if gap else "recovered"] += 1
                    after = gap["to"] if gap else since["seq"]
                    await known.has(seq)
                    if known.first_after(after, execution_id) != seq:
                        holes.append((since["seq"], recovery, gap, seq))
                    assert recovery["recovered"] is not bool(gap), (since, state, answer)
                for task in working:
                    task.cancel()
        await nc.close()

    log.info("%s of %d events", told, len(known.events))
    assert [b["seq"] for a, b in pairwise(known.events) if b["seq"] != a["seq"] + 1] == []
    assert told["recovered"] > 0
    assert told["gap"] > 0
    assert not holes, holes[:5]
