"""The compose file: what it mounts is there, what it names answers, and its proxy balances WebSockets."""

import re
import textwrap
from contextlib import AbstractContextManager, AsyncExitStack
from pathlib import Path

from bridge.service import Running
from tests.client import Client
from tests.conftest import StartBridge
from tests.haproxy import haproxy

ROOT = Path(__file__).parents[1]
COMPOSE = (ROOT / "docker-compose.yml").read_text()
PROXY = textwrap.dedent(COMPOSE.partition("    content: |\n")[2])
"""The configuration of HAProxy."""


def test_everything_that_is_mounted_is_there() -> None:
    mounted = re.findall(r"- (\./[^:]+):", COMPOSE)

    assert len(mounted) >= 4
    assert [path for path in mounted if not (ROOT / path).exists()] == []


def test_every_image_has_a_version_and_no_service_is_left_soft() -> None:
    services = re.findall(r"^  ([a-z0-9-]+):\n    <<: \*(\w+)\n", COMPOSE, flags=re.MULTILINE)
    images = re.findall(r"image: (\S+)", COMPOSE)

    assert {name for name, _ in services} == {
        *("nats-volume", "nats", "bridge-1", "bridge-2", "proxy", "prometheus", "grafana")
    }
    assert {base for _, base in services} == {"hardened", "bridge"}
    assert all(re.search(r":v?\d+\.\d+\.\d+", image) for image in images if image != "crew-bridge")
    assert COMPOSE.count("mem_limit:") == len(services) - 1  # the two bridges share theirs
    assert COMPOSE.count("    user: ") + COMPOSE.count("\n  user: ") == len(services) - 1


def test_prometheus_and_the_proxy_know_both_bridges() -> None:
    scraped = (ROOT / "grafana" / "prometheus.yml").read_text()

    assert "targets: [bridge-1:8000, bridge-2:8000]" in scraped
    assert re.findall(r"^  server (\S+) (\S+)$", PROXY, flags=re.MULTILINE) == [
        ("bridge-1", "bridge-1:8000"),
        ("bridge-2", "bridge-2:8000"),
    ]


def test_grafana_finds_what_is_provisioned() -> None:
    source = (ROOT / "grafana/provisioning/datasources/prometheus.yml").read_text()
    boards = (ROOT / "grafana/provisioning/dashboards/crew-bridge.yml").read_text()

    assert "url: http://prometheus:9090" in source
    assert "uid: prometheus" in source
    assert "path: /var/lib/grafana/dashboards" in boards
    assert "./grafana/dashboards:/var/lib/grafana/dashboards:ro" in COMPOSE


async def test_the_proxy_spreads_websockets_and_leaves_out_a_bridge_that_is_gone(
    start_bridge: StartBridge, tmp_path: Path, new_id: str
) -> None:
    async with start_bridge() as first, AsyncExitStack() as later:
        second = await later.enter_async_context(start_bridge())
        with proxy(tmp_path, first, second) as address:
            front = await Client.of(Running(address, first.nats_url))
            async with AsyncExitStack() as clients:
                for number in range(6):
                    await clients.enter_async_context(front.connect("global", client_id=f"{new_id}-{number}"))
                assert await spread(first, second) == [3, 3]

            await later.aclose()
            async with front.connect("global", client_id=new_id) as listener:
                assert listener.first["client_id"] == new_id


async def spread(*bridges: Client) -> list[int]:
    """How many clients each has."""
    answers = [await bridge.get("/api/v1/websocket/health") for bridge in bridges]
    return [body["active_connections"] for _, body in answers]


def proxy(directory: Path, *bridges: Client) -> AbstractContextManager[str]:
    """A real HAProxy with the configuration of the compose file, and the addresses of these bridges."""
    text = PROXY.replace("bind :8000", "bind {address}").replace(" resolvers docker\n", "\n")
    text = re.sub(r"maxconn \d+", "maxconn 100", text)  # a laptop may open fewer files than a container
    for number, bridge in enumerate(bridges, 1):
        text = text.replace(f"bridge-{number}:8000", bridge.url.removeprefix("http://"))
    return haproxy(directory, text)
