"""The examples of the README work as they are written."""

import ast
import json
import re
import shlex
from inspect import CO_COROUTINE
from pathlib import Path
from types import FunctionType
from urllib.parse import urlsplit

import nats
import pytest
from playwright.async_api import Page

from bridge.crew import EventPublisher
from contracts import create_task_event
from tests.client import Client
from tests.conftest import StartBridge
from tests.proxy import proxied
from tests.waiting import soon, until

README = (Path(__file__).parents[2] / "README.md").read_text()
_CLIENT = README.partition("```js\n")[2].partition("```")[0]
_PUBLISHER = README.partition("from any asyncio program:\n\n```python\n")[2].partition("```")[0]
_PLAIN = README.partition("```\nnats pub ")[2].partition("\n```")[0]
_COMMANDS = re.findall(r"^\| `(\{\"action\".*?\})` \| `(\w+)`", README, flags=re.MULTILINE)
_LOCAL, _LOCAL_NATS = "127.0.0.1:8000", "nats://127.0.0.1:4222"


async def test_the_client_of_the_readme_shows_everything_once_over_a_restart_of_the_bridge(
    start_bridge: StartBridge, publisher: EventPublisher, page: Page, new_id: str
) -> None:
    said: list[str] = []
    page.on("console", lambda line: said.append(line.text) if line.type != "error" else None)

    async def publish(*results: str) -> None:
        for result in results:
            await publisher.publish(create_task_event("t", "completed", execution_id=new_id, result=result))

    async def is_shown(*results: str) -> bool:
        return said == [f'task.completed {{"result":"{result}"}}' for result in results]

    async with start_bridge() as bridge:
        address = urlsplit(bridge.url)
        await page.goto(bridge.url)
        await page.add_script_tag(content=_CLIENT.replace(_LOCAL, address.netloc).replace("job-7", new_id))
        await _is_watched(bridge, new_id)
        await publish("r1", "r2")
        await soon(lambda: is_shown("r1", "r2"))
    await publish("r3")
    async with start_bridge(port=address.port) as bridge:
        await _is_watched(bridge, new_id)
        await publish("r4")
        await soon(lambda: is_shown("r1", "r2", "r3", "r4"))


async def test_the_client_of_the_readme_leaves_a_connection_that_says_nothing(
    bridge: Client, publisher: EventPublisher, page: Page, new_id: str
) -> None:
    said: list[str] = []
    page.on("console", lambda line: said.append(line.text) if line.type != "error" else None)
    await page.clock.install()
    await page.goto(bridge.url)
    async with proxied(bridge.url) as proxy:
        address = urlsplit(proxy.url).netloc
        await page.add_script_tag(content=_CLIENT.replace(_LOCAL, address).replace("job-7", new_id))
        await _is_watched(bridge, new_id)
        await publisher.publish(create_task_event("t1", "completed", execution_id=new_id))
        await until(lambda: said == ["task.completed {}"])
        proxy.stall()
        await publisher.publish(create_task_event("t2", "failed", execution_id=new_id, error="late"))
        await page.clock.fast_forward(40_000)
        await until(lambda: proxy.connections == 2)
        proxy.resume()
        await until(lambda: said == ["task.completed {}", 'task.failed {"error":"late"}'])


async def _is_watched(bridge: Client, execution_id: str) -> None:
    async def look() -> bool:
        query = f"?subscription=execution_{execution_id}"
        return bool((await bridge.get(f"/api/v1/websocket/connections{query}"))[1]["data"]["connections"])

    await soon(look, 20)


async def test_both_ways_to_publish_that_the_readme_shows_reach_who_watches(bridge: Client) -> None:
    subject, body = shlex.split(_PLAIN)
    code = compile(
        _PUBLISHER.replace(_LOCAL_NATS, bridge.nats_url), "README", "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
    )
    assert code.co_flags & CO_COROUTINE
    async with bridge.connect("executions/job-7") as listener:
        await FunctionType(code, {})()
        async with await nats.connect(bridge.nats_url) as client:
            await client.publish(subject, body.encode())
        typed, plain = await listener.events(2)

    assert (typed["event_type"], typed["task_id"], typed["data"]) == (
        "task.completed",
        "t1",
        {"result": "done"},
    )
    assert (plain["event_type"], plain["data"]) == ("task.completed", {"result": "done"})


@pytest.mark.parametrize(("command", "answer"), _COMMANDS)
async def test_each_command_of_the_readme_has_the_answer_that_it_names(
    bridge: Client, command: str, answer: str
) -> None:
    async with bridge.connect("custom") as listener:
        if answer == "unsubscribed":
            await listener.ask({"action": "subscribe", "subscriptions": json.loads(command)["subscriptions"]})
        assert (await listener.ask(command))["type"] == answer


def test_the_readme_shows_every_command() -> None:
    assert [answer for _, answer in _COMMANDS] == ["subscribed", "unsubscribed", "filtered", "listed", "pong"]
