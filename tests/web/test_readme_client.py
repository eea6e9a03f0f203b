"""The client of the README outlives whatever bridges and proxies say to it, in a real browser."""

import asyncio
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from playwright.async_api import Browser, Page

from bridge.crew import EventPublisher
from contracts import create_task_event
from tests.client import PREFIX, Client
from tests.proxy import proxied
from tests.waiting import soon, until
from tests.web.peer import SUBSCRIBED, UNAVAILABLE, Peer, Visit, established, event, heartbeat

README = (Path(__file__).parents[2] / "README.md").read_text()
_CLIENT = README.partition("```js\n")[2].partition("```")[0].rpartition("\nwatch(")[0]
_CALL = "(event) => console.log(event.data.result), (gap) => console.log(`gap ${gap.reason}`)"
_COUNTING = """
const sockets = [];
WebSocket = class extends WebSocket {
  constructor(url) {
    super(url);
    sockets.push(this);
    this.addEventListener("close", () => { this.isOver = true; });
  }
};
"""
_END = "onEnd: (why) => console.log(`end ${why}`)"


class Watching:
    """The client in a page whose clock stands still; what it says, and the connections that it makes."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.said: list[str] = []
        page.on("console", lambda line: self.said.append(line.text) if line.type == "log" else None)

    async def start(self, page_url: str, url: str, path: str, options: str = "{}", call: str = _CALL) -> None:
        """Watch ``path`` of the bridge at ``url``, from the page of another."""
        await self.page.goto(f"{page_url}/healthz")
        await self.page.clock.install()
        await self.page.clock.pause_at("2100-01-01")
        code = _CLIENT.replace("127.0.0.1:8000", urlsplit(url).netloc)
        await self.page.add_script_tag(
            content=f"{_COUNTING}{code}\nconst end = watch('{path}', {call}, {options});"
        )

    async def pass_by(self, milliseconds: int) -> int:
        """Let time go on; how many connections were made by then."""
        await self.page.clock.run_for(milliseconds)
        return int(await self.page.evaluate("sockets.length"))

    async def is_cut_off(self) -> None:
        """Wait until the newest connection is over."""
        await soon(lambda: self.page.evaluate("sockets.at(-1)?.isOver"))


@pytest.mark.parametrize(
    ("reason", "least", "most"),
    [
        *[
            (reason, 990, 4010)
            for reason in ("", "maintenance", "null", "[]", "{}", '{"retry_after_ms": "9999"}')
        ],
        *[(f'{{"retry_after_ms": {told}}}', 990, 4010) for told in ("-5", "true", "0", "null")],
        ('{"retry_after_ms": 60000}', 59_900, 60_010),
        ('{"retry_after_ms": 1e300}', 299_900, 300_010),
    ],
)
async def test_it_comes_back_after_a_pause_whatever_the_reason_says(
    bridge: Client, page: Page, reason: str, least: int, most: int
) -> None:
    watching = Watching(page)
    async with Peer().running() as peer:
        await watching.start(bridge.url, peer.url, "/ws/global")
        visit = await peer.visit()
        await visit.say(established(5))
        await visit.close(4000, reason)
        await watching.is_cut_off()
        assert await watching.pass_by(least) == 1
        assert await watching.pass_by(most - least) == 2


@pytest.mark.parametrize("status", [200, 403, 404, 503])
async def test_who_is_not_let_in_asks_again_ever_more_slowly_and_for_ever(
    bridge: Client, page: Page, status: int
) -> None:
    watching = Watching(page)
    async with Peer().running() as peer:
        peer.answers = [(status, {})] * 5
        await watching.start(bridge.url, peer.url, "/ws/global")
        for number, least in enumerate((990, 1990, 1990, 1990, 1990), 1):
            await watching.is_cut_off()
            assert await watching.pass_by(least) == number
            assert await watching.pass_by(8010 - least) == number + 1
        await peer.visit()


@pytest.mark.parametrize("code", [4500, 4501, 4999])
async def test_it_stays_away_for_good_when_it_is_told_to(bridge: Client, page: Page, code: int) -> None:
    watching = Watching(page)
    async with Peer().running() as peer:
        await watching.start(bridge.url, peer.url, "/ws/global", f"{{ {_END} }}")
        await (await peer.visit()).close(code, "why")
        await until(lambda: watching.said == [f"end {code} why"])
        assert await watching.pass_by(600_000) == 1


async def test_a_path_with_a_query_is_resumed_with_it_and_without_another_beginning(
    bridge: Client, publisher: EventPublisher, page: Page, new_id: str
) -> None:
    async def publish(result: str) -> None:
        await publisher.publish(create_task_event("t", "completed", execution_id=new_id, result=result))

    watching = Watching(page)
    await publish("r1")
    await publish("r2")
    path = f"/ws/executions/{new_id}?types=task.completed&last=1&client_id={new_id}"
    await watching.start(bridge.url, bridge.url, path)
    await until(lambda: watching.said == ["r2"])
    await bridge.send("POST", f"{PREFIX}/disconnect/{new_id}")
    await watching.is_cut_off()
    await publisher.publish(create_task_event("t", "failed", execution_id=new_id, error="filtered"))
    await publish("r3")
    await watching.pass_by(4010)
    await until(lambda: watching.said == ["r2", "r3"])


async def test_what_it_subscribes_to_by_a_command_is_given_from_the_beginning_and_resumed(
    bridge: Client, publisher: EventPublisher, page: Page, new_id: str
) -> None:
    async def publish(result: str) -> None:
        await publisher.publish(create_task_event("t", "completed", execution_id=new_id, result=result))

    watching = Watching(page)
    await publish("r1")
    path, options = f"/ws/custom?since=0&client_id={new_id}", f"{{ subscriptions: ['execution_{new_id}'] }}"
    await watching.start(bridge.url, bridge.url, path, options)
    await until(lambda: watching.said == ["r1"])
    await publish("r2")
    await until(lambda: watching.said == ["r1", "r2"])
    await bridge.send("POST", f"{PREFIX}/disconnect/{new_id}")
    await watching.is_cut_off()
    await publish("r3")
    await watching.pass_by(4010)
    await until(lambda: watching.said == ["r1", "r2", "r3"])


async def test_a_handshake_that_is_never_answered_is_left(bridge: Client, page: Page, new_id: str) -> None:
    async def is_watched() -> bool:
        answer = await bridge.get(f"{PREFIX}/connections?subscription=execution_{new_id}")
        return bool(answer[1]["data"]["connections"])

    watching = Watching(page)
    async with proxied(bridge.url) as proxy:
        proxy.stall()
        await watching.start(bridge.url, proxy.url, f"/ws/executions/{new_id}")
        assert await watching.pass_by(11_900) == 1
        assert await watching.pass_by(4_200) == 2
        proxy.resume()
        await soon(is_watched)


async def test_its_place_is_moved_only_by_a_connection_that_gives_what_was_asked_for(
    bridge: Client, page: Page
) -> None:
    watching = Watching(page)
    async with Peer().running() as peer:
        await watching.start(bridge.url, peer.url, "/ws/custom", '{ subscriptions: ["global"] }')
        first = await peer.visit()
        await first.say(established(5))
        command = await first.heard()
        assert command == {"action": "subscribe", "subscriptions": ["global"], "since": "5-5f"}
        await first.say(heartbeat(90))
        await first.say(event(91, audience="everyone"))
        await first.say(UNAVAILABLE)
        await watching.is_cut_off()
        await watching.pass_by(4010)

        second = await peer.visit()
        await second.say(established(99))
        assert (await second.heard())["since"] == "5-5f"
        recovery = {"recovered": False, "reason": "unknown_cursor", "from": 6, "to": 5}
        await second.say(SUBSCRIBED | {"recovery": recovery})
        await second.say(event(91, audience="everyone"))
        await second.say(event(100))
        await second.close(1011)
        await watching.is_cut_off()
        await watching.pass_by(8010)

        third = await peer.visit()
        await third.say(established(200))
        assert (await third.heard())["since"] == "100-5f"
        await third.say({"type": "error", "code": "invalid_subscription", "message": "no such thing"})
        await watching.is_cut_off()
        assert await watching.pass_by(60_000) == 3
    assert watching.said == ["91", "gap unknown_cursor", "100"]


async def test_what_names_a_beginning_in_its_path_is_left_out_once_it_has_a_place(
    bridge: Client, page: Page
) -> None:
    """An epoch of a stream that is there no more would have everything given again each time."""
    watching = Watching(page)
    async with Peer().running() as peer:
        await watching.start(bridge.url, peer.url, "/ws/global?since=3&epoch=e0&types=task.*")
        first = await peer.visit()
        assert _query(first) == {"since": ["3"], "epoch": ["e0"], "types": ["task.*"]}
        await first.say(established(5))
        await first.say(event(6))
        await first.close(1011)
        await watching.is_cut_off()
        await watching.pass_by(4010)
        assert _query(await peer.visit()) == {"since": ["6-5f"], "types": ["task.*"]}


async def test_where_it_has_far_to_read_it_begins_at_the_beginning_all_the_same(
    bridge: Client, page: Page
) -> None:
    """A bridge has a position only for what it has in memory."""
    watching = Watching(page)
    async with Peer().running() as peer:
        options = '{ subscriptions: ["global"] }'
        await watching.start(bridge.url, peer.url, "/ws/custom?since=0", options)
        visit = await peer.visit()
        far = established(5)
        del far["data"]["position"]
        await visit.say(far)
        assert await visit.heard() == {
            "action": "subscribe",
            "subscriptions": ["global"],
            "since": 5,
            "epoch": "e",
        }


def _query(visit: Visit) -> dict[str, list[str]]:
    assert visit.socket.request is not None
    return parse_qs(urlsplit(visit.socket.request.path).query)


async def test_batches_are_taken_apart_and_a_page_that_fails_at_an_event_gets_the_others(
    bridge: Client, browser: Browser
) -> None:
    watching = Watching(await browser.new_page())
    call = "({ seq }) => { if (seq === 6) throw Error(); console.log(seq); }, (gap) => console.log(gap.to)"
    async with Peer().running() as peer:
        await watching.start(bridge.url, peer.url, "/ws/global?batch=1", call=call)
        visit = await peer.visit()
        await visit.say(established(5))
        await visit.say([event(6), event(7)])
        await visit.say({"type": "gap", "from": 8, "to": 9, "reason": "retention"})
        await until(lambda: watching.said == ["7", "9"])


async def test_who_has_seen_enough_is_given_nothing_more(bridge: Client, page: Page) -> None:
    watching = Watching(page)
    call = "(event) => { console.log(event.seq); end(); }, console.log"
    async with Peer().running() as peer:
        await watching.start(bridge.url, peer.url, "/ws/global?batch=1", call=call)
        visit = await peer.visit()
        await visit.say(established(5))
        await visit.say([event(6), event(7)])
        await asyncio.wait_for(visit.socket.wait_closed(), 10)
        assert await watching.pass_by(60_000) == 1
    assert watching.said == ["6"]
