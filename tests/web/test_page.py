"""The page at ``/``, in a real browser."""

import asyncio
import os
from email.message import Message
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import urlopen

import nats
from playwright.async_api import Page

from bridge.crew import EventPublisher
from contracts import create_task_event
from tests.conftest import Client, StartBridge
from tests.nats_server import NatsServer
from tests.proxy import proxied
from tests.waiting import soon, until
from tests.web.peer import SUBSCRIBED, UNAVAILABLE, Peer, established, event, heartbeat

_MARKUP = "<img src=x onerror=\"document.title='broken'\"><b>bold</b>"


async def _publish(publisher: EventPublisher, execution_id: str, *results: str) -> None:
    for result in results:
        event = create_task_event("t1", "completed", execution_id=execution_id, result=result)
        await publisher.publish(event)


async def _shown(page: Page) -> list[str]:
    """The last column, oldest first."""
    return (await page.locator("#events td:last-child").all_text_contents())[::-1]


async def _shows(page: Page, results: list[str]) -> None:
    """Wait for as many rows, and compare."""

    async def look() -> bool:
        return len(await _shown(page)) >= len(results)

    await soon(look)
    assert await _shown(page) == [f'{{"result":"{result}"}}' for result in results]


async def test_the_page_is_served_with_a_policy(bridge: Client) -> None:
    headers, text = await asyncio.to_thread(_fetch, bridge.url + "/")
    assert headers["Content-Type"] == "text/html; charset=utf-8"
    assert "default-src 'none'" in headers["Content-Security-Policy"]
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert "{{prefix}}" not in text


def _fetch(url: str) -> tuple[Message, str]:
    with urlopen(url) as answer:  # noqa: S310 - our own bridge
        return answer.headers, answer.read().decode()


async def test_live_events_appear_and_after_a_restart_of_the_bridge_each_is_shown_once_in_order(
    start_bridge: StartBridge, publisher: EventPublisher, page: Page, new_id: str
) -> None:
    async with start_bridge() as bridge:
        await page.goto(bridge.url)
        await page.locator("#state.live").wait_for()
        await _publish(publisher, new_id, "r1", "r2", "r3")
        await _shows(page, ["r1", "r2", "r3"])

    await page.get_by_text("reconnecting").wait_for()
    await _publish(publisher, new_id, "r4", "r5")

    async with start_bridge(port=urlsplit(bridge.url).port):
        await page.locator("#state.live").wait_for()
        await _publish(publisher, new_id, "r6")
        await _shows(page, [f"r{number}" for number in range(1, 7)])
        await _save(page)


async def test_a_stream_that_is_made_anew_is_told_and_followed(
    start_bridge: StartBridge, page: Page, tmp_path: Path, new_id: str
) -> None:
    server = NatsServer(tmp_path)
    await asyncio.to_thread(server.start)
    expected = [
        '{"result":"r1"}',
        "the stream is another one, or has lost its end",
        '{"result":"r2"}',
        '{"result":"r3"}',
    ]

    async def shows(count: int) -> bool:
        return await _shown(page) == expected[:count]

    async with EventPublisher(server.url) as publisher:
        async with start_bridge(nats_url=server.url) as bridge:
            await page.goto(bridge.url)
            await page.locator("#state.live").wait_for()
            await _publish(publisher, new_id, "r1")
            await soon(lambda: shows(1))
            async with await nats.connect(server.url) as client:
                await client.jetstream().delete_stream("CREW_EVENTS")
            await soon(lambda: shows(2), 30)
            await _publish(publisher, new_id, "r2")
            await soon(lambda: shows(3))

        async with start_bridge(nats_url=server.url, port=urlsplit(bridge.url).port):
            await _publish(publisher, new_id, "r3")
            await soon(lambda: shows(4), 30)
    await asyncio.to_thread(server.stop)


async def test_markup_in_an_event_is_shown_as_text(
    bridge: Client, publisher: EventPublisher, page: Page, new_id: str
) -> None:
    await page.goto(bridge.url)
    await page.locator("#state.live").wait_for()
    await _publish(publisher, new_id, _MARKUP)
    await page.locator("#events tr").wait_for()
    (text,) = await _shown(page)
    assert "<b>bold</b>" in text
    assert await page.locator("#events img, #events b").count() == 0
    assert await page.title() == "Crew Bridge"


async def test_the_page_watches_what_it_is_told_to(
    bridge: Client, publisher: EventPublisher, page: Page, new_id: str
) -> None:
    await page.goto(bridge.url)
    await page.locator("#subscription").fill(f"execution_{new_id}")
    await page.get_by_role("button", name="Watch").click()
    await page.locator("#state.live").wait_for()
    await _publish(publisher, "other", "r0")
    await _publish(publisher, new_id, "r1")
    await _shows(page, ["r1"])

    await page.locator("#subscription").fill("no such thing")
    await page.get_by_role("button", name="Watch").click()
    await page.get_by_text("is neither an alias nor a pattern").wait_for()


async def _save(page: Page) -> None:
    """For people to look at."""
    path = os.environ.get("SCREENSHOT")
    if path:
        await page.screenshot(path=path)


async def test_the_page_waits_as_long_for_a_heartbeat_as_the_bridge_says(
    start_bridge: StartBridge, publisher: EventPublisher, page: Page, new_id: str
) -> None:
    async with start_bridge(heartbeat_seconds=60) as bridge:
        await page.clock.install()
        await page.goto(bridge.url)
        await page.locator("#state.live").wait_for()
        await page.clock.fast_forward(65_000)
        await _publish(publisher, new_id, "r1")
        await _shows(page, ["r1"])
        _, numbers = await bridge.get("/metrics")

    assert 'crew_bridge_connections_opened_total{endpoint="custom"} 1.0' in numbers


async def test_a_connection_that_says_nothing_is_replaced_at_once(
    bridge: Client, publisher: EventPublisher, page: Page, new_id: str
) -> None:
    async with proxied(bridge.url) as proxy:
        await page.clock.install()
        await page.goto(proxy.url)
        await page.locator("#state.live").wait_for()
        proxy.stall()
        await _publish(publisher, new_id, "r1")
        made = proxy.connections
        await page.clock.fast_forward(40_000)
        await until(lambda: proxy.connections > made)
        await page.get_by_text("reconnecting").wait_for()
        proxy.resume()
        await page.locator("#state.live").wait_for()
        await _shows(page, ["r1"])


_PAGE = (Path(__file__).parents[2] / "bridge/web/static/index.html").read_text()
_RECOVERED = {"recovered": True, "reason": "replayed", "from": 6, "to": 99}


async def test_a_subscription_that_cannot_be_had_now_is_asked_for_again_from_the_same_place(
    page: Page,
) -> None:
    async with Peer(_PAGE.replace("{{prefix}}", "")).running() as peer:
        await page.goto(peer.url)
        first = await peer.visit()
        await first.say(established(5))
        assert (await first.heard())["since"] == "5-5f"
        await first.say(heartbeat(90))
        await first.say(event(91, audience="everyone"))
        await first.say(UNAVAILABLE)
        await page.get_by_text("the stream does not answer").wait_for()

        second = await peer.visit()
        await second.say(established(99))
        assert (await second.heard())["since"] == "5-5f"
        await second.say(SUBSCRIBED | {"recovery": _RECOVERED})
        await second.say(event(91, audience="everyone"))
        await second.say(heartbeat(99))
        await second.say(event(100))
        await page.locator("#state.live").wait_for()
        await _shows(page, ["91", "100"])
        await second.close(4000, "maintenance")

        third = await peer.visit()
        await third.say(established(200))
        assert (await third.heard())["since"] == "100-5f"
        await third.close(4501, "the client connected again")
        await page.get_by_text("ended by the bridge: the client connected again").wait_for()


async def test_a_handshake_that_is_never_answered_is_left(bridge: Client, page: Page) -> None:
    async with proxied(bridge.url) as proxy:
        await page.clock.install()
        await page.goto(proxy.url)
        await page.locator("#state.live").wait_for()
        proxy.stall()
        await page.clock.fast_forward(36_000)
        await page.get_by_text("reconnecting").wait_for()
        for _ in range(3):
            made = proxy.connections
            await page.clock.fast_forward(12_000)
            await page.clock.fast_forward(8_000)
            await until(lambda made=made: proxy.connections > made)  # type: ignore[misc]
        proxy.resume()
        await page.locator("#state.live").wait_for()


async def test_cookies_of_a_proxy_that_asks_who_one_is_are_let_through(bridge: Client) -> None:
    cookies = "; ".join(f"_session_{number}={'x' * 900}" for number in range(17))

    status, _ = await bridge.send("GET", "/", Cookie=cookies)

    assert status == 200
