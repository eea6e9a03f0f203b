"""Which pages may connect."""

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from bridge.web.origin import is_allowed
from tests.client import PREFIX
from tests.conftest import Client, StartBridge

_LISTED = ("https://console.example.com",)


@pytest.mark.parametrize(
    ("origin", "host"),
    [
        (None, "bridge.example.com"),
        ("https://bridge.example.com", "bridge.example.com"),
        ("http://bridge.example.com:8000", "bridge.example.com:8000"),
        ("https://console.example.com", "bridge.example.com"),
        ("http://localhost:5173", "127.0.0.1:8000"),
        ("http://127.0.0.1:5173", "localhost:8000"),
        ("http://[::1]:5173", "[::1]:8000"),
    ],
)
def test_own_listed_and_loopback_pages_may_connect(origin: str | None, host: str) -> None:
    assert is_allowed(origin, host, _LISTED)


@pytest.mark.parametrize(
    ("origin", "host"),
    [
        ("https://evil.example.com", "bridge.example.com"),
        ("https://console.example.com.evil.example.com", "bridge.example.com"),
        ("http://console.example.com", "bridge.example.com"),
        ("https://bridge.example.com:444", "bridge.example.com"),
        ("http://localhost:5173", "bridge.example.com"),
        ("https://evil.example.com", "localhost:8000"),
        ("http://localhost.evil.example.com", "localhost:8000"),
        ("http://user@evil.example.com", "evil.example.com"),
        ("null", "localhost:8000"),
        ("", "localhost:8000"),
        ("http://[", "localhost:8000"),
        ("http://localhost:5173", "["),
    ],
)
def test_other_pages_may_not_connect(origin: str, host: str) -> None:
    assert not is_allowed(origin, host, _LISTED)


def test_a_star_lets_every_page_connect() -> None:
    assert is_allowed("https://evil.example.com", "bridge.example.com", ("*",))


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
