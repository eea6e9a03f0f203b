"""The connection of a worker to NATS: nats-py's client with its faults mended, and what it can raise.

It never reconnects; see `bridge.crew.link`.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Any, Final

from nats.aio.client import Client
from nats.errors import Error

from contracts.servers import login

log = logging.getLogger(__name__)

FAULTS: Final = (Error, OSError, TimeoutError, RuntimeError, asyncio.InvalidStateError)
"""What NATS, the network or a stream that does not exist can raise; trying again later helps. The last two
come from nats-py while a connection goes: uvloop raises RuntimeError for a closed transport."""
CONNECT_SECONDS: Final = 2
PING_SECONDS: Final = 10
_CLOSE_SECONDS: Final = 1.0

Options = Mapping[str, Any]
"""Further arguments of ``nats.connect``: credentials, TLS."""


class _Client(Client):
    """nats-py's client, with the credentials of the URL decoded, where ``nats_options`` have none."""

    def __init__(self, on_complaint: Callable[[str], None]) -> None:
        super().__init__()
        self._on_complaint = on_complaint

    async def _process_err(self, err_msg: str) -> None:
        """Told here, in its order: nats-py keeps the last error only."""
        self._on_complaint(err_msg)
        await super()._process_err(err_msg)

    async def _process_info(self, info: dict[str, Any], initial_connection: bool = False) -> None:
        """With the limit of the account, which the server tells after the login."""
        await super()._process_info(info, initial_connection)
        self._max_payload = info.get("max_payload", self._max_payload)

    def _connect_command(self) -> bytes:
        given = self.options
        if (given["user"], given["token"], self._signature_cb) == (None, None, None):
            servers = [self._current_server, *self._server_pool]
            self.options = given | login(server.uri.geturl() for server in servers if server is not None)
        try:
            return super()._connect_command()
        finally:
            self.options = given


@asynccontextmanager
async def connection(
    url: str,
    options: Options | None,
    *,
    on_complaint: Callable[[str], None],
    on_closed: Callable[[], Awaitable[None]],
) -> AsyncIterator[Client]:
    """A client that is connected, and closed at the end; one of `FAULTS` if there is no server.

    ``url`` may name several servers, with commas between them.
    """
    client = _Client(on_complaint)
    try:
        await client.connect(
            servers=[server.strip() for server in url.split(",")],
            **{"name": "crew-bridge worker", "connect_timeout": CONNECT_SECONDS, **(options or {})},
            allow_reconnect=False,
            max_reconnect_attempts=1,
            reconnect_time_wait=0,
            ping_interval=PING_SECONDS,
            max_outstanding_pings=2,
            error_cb=_note,
            closed_cb=on_closed,
        )
    except asyncio.CancelledError:
        await _close(client)
        raise
    try:
        yield client
    finally:
        await on_closed()
        await _close(client)


def cancellations() -> int:
    """How often this task was asked to end. One that cleans up was, and may still use a link."""
    task = asyncio.current_task()
    return task.cancelling() if task is not None else 0


def end_if_cancelled(asked: int) -> None:
    """A cancellation may be lost in nats-py, in its flush or in Python 3.11's ``wait_for``: look again."""
    if cancellations() > asked:
        raise asyncio.CancelledError


async def _close(client: Client) -> None:
    with suppress(*FAULTS):
        async with asyncio.timeout(_CLOSE_SECONDS):
            await client.close()


async def _note(error: Exception) -> None:
    log.debug("NATS: %s", error)
