"""A proxy publishes the bridge below a path of its own, and takes that path away."""

import re
from pathlib import Path
from urllib.parse import urljoin

import pytest
from playwright.async_api import Page

from bridge.crew import EventPublisher
from contracts import create_task_event
from tests.client import Client
from tests.conftest import StartBridge
from tests.haproxy import haproxy

_PROXY = """
defaults
  mode http
  timeout connect 3s
  timeout client 60s
  timeout server 60s
frontend browsers
  bind {address}
  http-request deny status 404 unless { path /crews } or { path_beg /crews/ }
  http-request replace-path /crews/?(.*) /\\1
  default_backend bridge
backend bridge
  server bridge %s
"""


@pytest.mark.parametrize("prefix", ["/api/v1/websocket", "", "/deep/er"])
@pytest.mark.parametrize("path", ["/crews/", "/crews", "/crews?from=mail#top"])
async def test_the_page_connects_below_the_path_that_the_proxy_takes_away(
    start_bridge: StartBridge, publisher: EventPublisher, page: Page, tmp_path: Path, path: str, prefix: str
) -> None:
    async with start_bridge(prefix=prefix) as bridge:
        with haproxy(tmp_path, _PROXY % bridge.url.removeprefix("http://")) as front:
            await page.goto(front + path)
            await page.locator("#state.live").wait_for()
            await publisher.publish(create_task_event("t1", "completed", result="seen"))
            await page.get_by_text('{"result":"seen"}').wait_for()


async def test_the_description_is_read_and_names_its_routes_below_that_path(
    bridge: Client, page: Page, tmp_path: Path
) -> None:
    with haproxy(tmp_path, _PROXY % bridge.url.removeprefix("http://")) as front:
        await page.goto(f"{front}/crews/docs")
        await page.get_by_text("/readyz").first.wait_for()
        described = f"{front}/crews/openapi.json"
        (server,) = (await (await page.request.get(described)).json())["servers"]
        answer = await page.request.get(urljoin(described, server["url"]).removesuffix("/") + "/readyz")
        assert answer.status == 200


@pytest.mark.parametrize("path", ["/", "/docs"])
async def test_no_page_names_an_absolute_path(bridge: Client, path: str) -> None:
    _, text = await bridge.get(path)
    assert not re.findall(r"""(?:href|src|action)\s*=\s*["']?/|(?:fetch|URL|WebSocket)\(\s*["'`]/""", text)
