"""Which pages may connect."""

import re
from socket import gethostname

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from bridge.config import Settings
from bridge.service import Running, running
from bridge.web.app import table
from bridge.web.openapi import Route
from bridge.web.origin import Access
from bridge.web.refusals import Refusals
from tests.client import PREFIX
from tests.conftest import Client, StartBridge
from tests.waiting import until

_LISTED = ("https://console.example.com",)
_ACCESS = Access.of(("bridge.example.com",), _LISTED, "https://dash.example:3001/crews")


@pytest.mark.parametrize(
    ("origin", "host"),
    [
        (None, "bridge.example.com"),
        (None, None),
        ("https://bridge.example.com", "bridge.example.com"),
        ("http://bridge.example.com:8000", "bridge.example.com:8000"),
        ("https://bridge.example.com", "bridge.example.com:443"),
        ("https://bridge.example.com", "bridge.example.com:80"),
        ("http://bridge.example.com", "bridge.example.com:80"),
        ("http://bridge.example.com:80", "bridge.example.com"),
        ("https://bridge.example.com", "BRIDGE.example.com."),
        ("https://bridge.example.com.", "bridge.example.com"),
        ("https://console.example.com", "bridge.example.com"),
        ("https://console.example.com:443", "bridge.example.com"),
        ("https://dash.example:3001", "dash.example"),
        ("https://dash.example:3001", "127.0.0.1:8000"),
        ("http://localhost:5173", "127.0.0.1:8000"),
        ("http://127.0.0.1:5173", "localhost:8000"),
        ("http://[::1]:5173", "[::1]:8000"),
        ("http://[0:0::1]:8000", "[::1]:8000"),
        ("http://crews.localhost:5173", "localhost:8000"),
        ("http://[2001:db8::1]", "[2001:DB8:0::1]:80"),
    ],
)
def test_own_listed_and_loopback_pages_may_connect(origin: str | None, host: str | None) -> None:
    assert _ACCESS.has_page(origin, host)


@pytest.mark.parametrize(
    ("origin", "host"),
    [
        ("https://evil.example.com", "bridge.example.com"),
        ("https://console.example.com.evil.example.com", "bridge.example.com"),
        ("http://console.example.com", "bridge.example.com"),
        ("https://console.example.com:80", "bridge.example.com"),
        ("https://bridge.example.com:444", "bridge.example.com"),
        ("https://dash.example:3002", "dash.example"),
        ("http://dash.example:3001", "127.0.0.1:8000"),
        ("http://localhost:5173", "bridge.example.com"),
        ("https://evil.example.com", "localhost:8000"),
        ("http://localhost.evil.example.com", "localhost:8000"),
        ("http://user@evil.example.com", "evil.example.com"),
        ("http://bridge.example.com/", "bridge.example.com"),
        ("chrome-extension://bridge.example.com", "bridge.example.com"),
        ("http://bridge.example.com:port", "bridge.example.com"),
        ("http://bridge.example.com", "bridge.example.com:port"),
        ("null", "localhost:8000"),
        ("null", "null"),
        ("null", None),
        ("http://bridge.example.com", None),
        ("", "localhost:8000"),
        ("", ""),
        ("http://", ""),
        ("http://[", "localhost:8000"),
        ("http://localhost:5173", "["),
    ],
)
def test_other_pages_may_not_connect(origin: str, host: str | None) -> None:
    assert not _ACCESS.has_page(origin, host)


def test_a_star_lets_every_page_connect() -> None:
    assert Access.of((), ("*",), None).has_page("https://evil.example.com", "bridge.example.com")


@pytest.mark.parametrize(
    "host",
    [
        *("bridge.example.com", "bridge.example.com:8000", "Bridge.Example.com.", "dash.example", None),
        *("localhost", "localhost:1", "crews.localhost:8000", "127.0.0.1:8000", "10.1.2.3", "[::1]:8000"),
    ],
)
def test_the_bridge_may_be_called_by_its_names_and_by_any_address(host: str | None) -> None:
    assert _ACCESS.has_host(host)


@pytest.mark.parametrize(
    "host",
    [
        *(
            "rebound.evil.example",
            "evil.example:8000",
            "bridge.example.com.evil.example",
            "console.example.com",
        ),
        *(
            "localhost.evil.example",
            "127.0.0.1.evil.example",
            "",
            ":8000",
            "[",
            "user@localhost",
            "a/localhost",
        ),
        *("localhost, evil.example", "localhost:port", "evil.example#.localhost"),
    ],
)
def test_a_name_that_nobody_told_the_bridge_is_none_of_its_own(host: str) -> None:
    assert not _ACCESS.has_host(host)
    assert Access.of(("*",), (), None).has_host(host)


def _address(bridge: Client) -> str:
    return f"{bridge.url.replace('http', 'ws', 1)}{PREFIX}/ws/global"


async def test_a_foreign_page_is_refused_before_the_handshake(bridge: Client) -> None:
    with pytest.raises(InvalidStatus) as refused:
        await connect(_address(bridge), origin="https://evil.example.com")  # type: ignore[arg-type]  # a NewType
    assert refused.value.response.status_code == 403
    assert b'"origin_refused"' in refused.value.response.body


async def test_a_page_that_the_operator_lists_connects(start_bridge: StartBridge) -> None:
    async with (
        start_bridge(allowed_origins=_LISTED) as bridge,
        connect(_address(bridge), origin=_LISTED[0]) as socket,  # type: ignore[arg-type]  # a NewType
    ):
        assert "connection.established" in str(await socket.recv())


@pytest.mark.parametrize(
    ("origin", "status"),
    [("https://evil.example.com", 403), (_LISTED[0], 200), ("http://localhost:5173", 200), (None, 200)],
)
async def test_a_foreign_page_cannot_make_an_operators_browser_change_anything(
    start_bridge: StartBridge, new_id: str, origin: str | None, status: int
) -> None:
    """A form, or a ``fetch`` that asks for no answer, is sent without any question to the bridge."""
    async with (
        start_bridge(allowed_origins=_LISTED) as bridge,
        bridge.connect("custom", client_id=new_id) as victim,
    ):
        answered, answer = await bridge.send(
            "POST", f"{PREFIX}/disconnect/{new_id}", b"{}", **({"Origin": origin} if origin else {})
        )
        assert answered == status
        if status == 403:
            assert answer["code"] == "origin_refused"
            assert await victim.nothing_more()
            _, text = await bridge.get("/metrics")
            assert 'crew_bridge_admin_failures_total{code="origin_refused"} 1.0' in text


@pytest.mark.parametrize(("prefix", "route"), [pytest.param(*one, id=one[1].name) for one in table(PREFIX)])
async def test_every_route_but_the_probes_refuses_a_name_that_leads_here_by_a_trick(
    bridge: Client, prefix: str, route: Route
) -> None:
    """A page of that name seems to be the bridge's own: it has the same origin."""
    headers = {"Host": "rebound.evil.example:8000", "Origin": "http://rebound.evil.example:8000"}
    path = prefix + re.sub(r"\{\w+\}", "some", route.path)
    status, answer = await bridge.send(route.method, path, None, **headers)

    if route.name in {"alive", "ready"}:
        assert status == 200
    else:
        assert (status, answer["code"]) == (421, "host_refused")
        _, text = await bridge.get("/metrics")
        assert 'crew_bridge_connections_refused_total{code="host_refused"} 1.0' in text


async def test_the_operators_port_refuses_such_a_name_as_well() -> None:
    settings = Settings(nats_url="nats://127.0.0.1:1", port=0, operator_port=0)
    async with running(settings) as bridge:
        operators = Client(Running(bridge.operator_url, ""))
        assert (await operators.send("GET", "/metrics", Host="rebound.evil.example"))[0] == 421
        assert (await operators.get("/metrics"))[0] == 200


async def test_behind_a_proxy_the_bridge_answers_to_the_name_that_it_was_told(
    start_bridge: StartBridge,
) -> None:
    own = {"Origin": "https://dash.example"}
    async with start_bridge(public_url="https://dash.example", allowed_hosts=("crews.internal",)) as bridge:
        for host in ("dash.example:443", "dash.example", "crews.internal:8000", gethostname()):
            assert (await bridge.send("GET", f"{PREFIX}/connections", Host=host))[0] == 200
        for host in ("dash.example", "127.0.0.1:8000"):
            status, _ = await bridge.send("DELETE", f"{PREFIX}/connections", None, Host=host, **own)
            assert status == 200


async def test_refusals_are_logged_at_once_and_then_counted_with_what_to_set(
    bridge: Client, capsys: pytest.CaptureFixture[str]
) -> None:
    for _ in range(3):
        await bridge.send("GET", "/docs", Host="dash.example")
        await bridge.send("DELETE", f"{PREFIX}/connections", Origin="https://console.example")

    lines = [line for line in capsys.readouterr().out.splitlines() if "] refused" in line]
    assert len(lines) == 2
    assert re.search("BRIDGE_PUBLIC_URL or BRIDGE_ALLOWED_HOSTS .*host=dash.example ", lines[0])
    assert re.search("BRIDGE_ALLOWED_ORIGINS.* origin=https://console.example ", lines[1])


async def test_what_is_refused_again_is_told_with_its_number_once_in_a_while(
    capsys: pytest.CaptureFixture[str],
) -> None:
    refusals = Refusals(seconds=0.02)
    for number in range(4):
        refusals.tell("refused", host=f"h{number}", remote=None)
    refusals.tell("refused too", host="\x1b[31m")
    said = ""

    def look() -> bool:
        nonlocal said
        said += capsys.readouterr().out
        return "times=3" in said

    await until(look)
    assert [line.partition("] ")[2].split() for line in said.splitlines()] == [
        ["refused", "host=h0"],
        ["refused", "too", "host=unreadable"],
        ["refused", "host=h3", "times=3"],
    ]
