"""The truth: what the stream holds, read by plain nats-py, and what follows from it for each browser."""

import json
from collections.abc import Iterable
from typing import Any

import nats

from tests.e2e.chaos.browser import Browser, Shared
from tests.e2e.chaos.crew import Crew

_BATCH = 500
STREAM = "CREW_EVENTS"


async def stored(nats_url: str) -> dict[int, dict[str, Any]]:
    """Everything in the stream, by its place."""
    client = await nats.connect(nats_url.split(","), connect_timeout=5)
    try:
        jetstream = client.jetstream()
        count = (await jetstream.stream_info(STREAM)).state.messages
        subscription = await jetstream.subscribe("", stream=STREAM, ordered_consumer=True)
        bodies: dict[int, dict[str, Any]] = {}
        while len(bodies) < count:
            message = await subscription.next_msg(timeout=20)
            bodies[message.metadata.sequence.stream] = json.loads(message.data)
        return bodies
    finally:
        await client.close()


def wanted(browser: Browser, bodies: dict[int, dict[str, Any]]) -> list[int]:
    """The places of what the browser is to be given."""
    assert browser.begin is not None
    return [seq for seq, body in bodies.items() if seq > browser.begin and browser.view.wants(body)]


def differences(browser: Browser, bodies: dict[int, dict[str, Any]]) -> str | None:
    """What the browser lacks, or has too much."""
    expected = wanted(browser, bodies)
    if browser.seqs == expected:
        return None
    missing, surplus = sorted(set(expected) - set(browser.seqs)), sorted(set(browser.seqs) - set(expected))
    return f"{browser}: missing {missing[:9]}, surplus {surplus[:9]}"


def check_stream(crews: Iterable[Crew], bodies: dict[int, dict[str, Any]]) -> None:
    """What was acknowledged is in the stream, once, in the order in which each publisher sent it."""
    order: dict[str, list[str]] = {}
    for body in bodies.values():
        order.setdefault(body.get("execution_id", ""), []).append(body["event_id"])
    for crew in crews:
        assert crew.acked, "a publisher that publishes nothing proves nothing"
        assert order[crew.execution_id] == crew.acked


def check_browsers(browsers: Iterable[Browser], shared: Shared, bodies: dict[int, dict[str, Any]]) -> None:
    """Every browser has exactly what its view wants, as it was published, and was told of no gap."""
    assert not shared.problems, shared.problems[:10]
    wrong = [text for text in (differences(browser, bodies) for browser in browsers) if text]
    assert not wrong, wrong[:10]
    assert [browser.gaps for browser in browsers if browser.gaps] == []
    assert len(shared.epochs) == 1
    for seq, payload in shared.payloads.items():
        given = json.loads(payload)
        assert given.pop("seq") == seq
        assert given == bodies[seq]
