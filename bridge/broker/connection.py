"""The connection to NATS, which outlives the server."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, Final

import structlog
from nats.aio.client import Client, Srv
from nats.aio.msg import Msg
from nats.errors import Error as NatsError
from nats.errors import SlowConsumerError

from bridge.broker.advice import on_denial
from bridge.broker.express import ExpressParser, fed_first, utf8
from bridge.broker.problems import Problems
from contracts.nats_faults import denied, is_vague, no_connection
from contracts.servers import login, without_credentials

log = structlog.get_logger(__name__)

FAULTS: Final = (NatsError, OSError, TimeoutError)
"""Everything that our client raises while its connection goes, or where the server does not do as asked."""
_TRIPPED: Final = (RuntimeError, AttributeError, AssertionError, asyncio.InvalidStateError, EOFError)
"""What else comes out of nats-py then, and one of `FAULTS` out of our client: uvloop raises RuntimeError for
a closed transport, nats-py trips over what the loss has taken away."""

_NO_LOGIN: Final = {"user": None, "password": None, "token": None}
_RECONNECT_WAIT_SECONDS = 0.5
_PING_SECONDS = 5
_UNANSWERED_PINGS = 2
"""More than so many, and the connection counts as lost: nats-py's own values take six minutes."""
_CLOSE_SECONDS = 1.0
_WATCH_SECONDS = 0.2


@dataclass(slots=True)
class ConnectionEvents:
    """What happened to the connection, counted, and who wants to know."""

    reconnects: int = 0
    disconnects: int = 0
    """Connections lost; the one that we end ourselves is none."""
    errors: int = 0
    is_connected: bool = False
    is_ending: bool = False
    name: str = "nats"
    """Under which the problems of this connection are told."""
    denial: str | None = None
    """What the server did not permit last."""
    problems: Problems = field(default_factory=Problems)
    """What keeps us from working with NATS; told here and by who uses the connection."""
    told: set[str] = field(default_factory=set)
    """Sources of problems that end with the next connection."""
    on_reconnect: list[Callable[[], None]] = field(default_factory=list)
    on_overflow: list[Callable[[int], None]] = field(default_factory=list)
    """Called with the id of a subscription whose pending limits were passed: messages were dropped."""

    def connected(self) -> None:
        """The client has a server: what was said of those that did not serve is over."""
        self.is_connected = True
        for source in self.told:
            self.problems.solved(source)
        self.told.clear()

    async def reconnected(self) -> None:
        """The client is connected again, its subscriptions are restored."""
        self.reconnects += 1
        self.connected()
        log.info("nats reconnected")
        for callback in self.on_reconnect:
            callback()

    async def disconnected(self) -> None:
        """The client has lost the server and tries to come back, for ever."""
        self.is_connected = False
        if not self.is_ending:
            self.disconnects += 1
            log.warning("nats disconnected")

    async def failed(self, error: Exception, server: str = "the address given") -> None:
        """Something went wrong that nobody awaits; an overflow, told per message, is its owner's to log."""
        self.errors += 1
        if isinstance(error, SlowConsumerError):
            for callback in self.on_overflow:
                callback(error.sid)
            return
        if denial := denied(error):
            self._deny(denial)
        elif self.is_connected:
            log.warning("nats error", error=str(error) or type(error).__name__)
        elif not is_vague(error) or f"{self.name} {server}" not in self.told:
            self._tell(f"{self.name} {server}", no_connection(error, server, "BRIDGE_NATS_URL"))

    def _deny(self, denial: str) -> None:
        """What may not be subscribed to is not tried again on this connection; all else is, and then told."""
        self.denial = denial
        if denial.lower().startswith("subscription"):
            self._tell(f"{self.name} {denial}", on_denial(denial))
        else:
            self.problems.mention(on_denial(denial))

    def _tell(self, source: str, words: str) -> None:
        self.told.add(source)
        self.problems.tell(source, words)


class _Client(Client):
    """nats-py's client, with the express way, and without some faults that end its reading for good."""

    def __init__(self) -> None:
        super().__init__()
        self._ps: ExpressParser = ExpressParser(self)
        self.trying = ""
        """The server that it is connected to, or was tried last; with the credentials of its address."""

    def _connect_command(self) -> bytes:
        """With the credentials of the URL decoded; a server that told of itself gets those of another one."""
        servers = [self._current_server, *self._server_pool]
        self.options |= _NO_LOGIN | login(server.uri.geturl() for server in servers if server is not None)
        return super()._connect_command()

    async def _read_loop(self) -> None:
        with fed_first(self._transport, self._ps):
            await super()._read_loop()

    async def _process_err(self, err_msg: str) -> None:
        """What is not permitted is told as the server wrote it: nats-py makes all letters small."""
        if denied(NatsError(err_msg)):
            self._err = NatsError(self._ps.told)
            await self._error_cb(self._err)
            return
        await super()._process_err(err_msg)

    async def _process_pong(self) -> None:
        """Answer who asked first; nats-py stops reading for good where that one waits no longer."""
        if self._pongs and self._pongs[0].done():
            self._pongs[0] = asyncio.get_running_loop().create_future()
        await super()._process_pong()

    async def _connect_to_server(self, s: Srv) -> None:
        """Keep nothing of an attempt that failed late: its reading task would go on, with half a message."""
        if self._reading_task is not None:
            self._reading_task.cancel()
        if self._transport is not None:
            self._transport.close()  # type: ignore[no-untyped-call]  # nats-py's
        self._ps.reset()
        self.trying = s.uri.geturl()
        await super()._connect_to_server(s)

    async def _process_connect_init(self) -> None:
        """Whatever it is that answers, and however it ends: nats-py tries again after its own errors only."""
        with _as_connection_error(*_TRIPPED, ValueError):
            await super()._process_connect_init()

    async def _request_new_style(self, *arguments: Any, **options: Any) -> Msg:
        with _as_connection_error(*_TRIPPED):
            message: Msg = await super()._request_new_style(*arguments, **options)
            return message

    async def _send_ping(self, future: asyncio.Future[None] | None = None) -> None:
        with _as_connection_error(*_TRIPPED):
            await super()._send_ping(future)

    async def _flush_pending(self, force_flush: bool = False) -> Any:
        """An `OSError` where the connection is gone: with it nats-py's reading task makes a new one."""
        with _as_connection_error(*_TRIPPED):
            return await super()._flush_pending(force_flush)

    async def _close(self, status: int, do_cbs: bool = True) -> None:
        """Send nothing more: nats-py, failing at that, would close nothing else."""
        self._pending, self._pending_data_size = [], 0
        await super()._close(status, do_cbs)

    async def _process_headers(self, headers: bytes | None) -> dict[str, str] | None:
        """None for what is malformed: the server passes on, and keeps, whatever a publisher sends."""
        try:
            return await super()._process_headers(headers)
        except (ValueError, LookupError):
            return None

    def _build_message(
        self, sid: int, subject: bytes, reply: bytes, data: bytes, headers: dict[str, str] | None
    ) -> Msg:
        """With no subject where it is not UTF-8."""
        message: Msg = super()._build_message(
            sid, utf8(subject).encode(), utf8(reply).encode(), data, headers
        )
        return message


@contextmanager
def _as_connection_error(*kinds: type[Exception]) -> Iterator[None]:
    try:
        yield
    except kinds as error:
        if isinstance(error, (NatsError, OSError)):
            raise
        raise ConnectionError(str(error) or type(error).__name__) from error


@asynccontextmanager
async def connected(url: str, name: str, events: ConnectionEvents) -> AsyncIterator[Client]:
    """A client that is connected, and connects again whenever it has to; waits for the first time too.

    ``url``: one or several servers, separated by commas.
    """
    client = _Client()
    events.is_ending = False

    async def failed(error: Exception) -> None:
        await events.failed(error, client.trying)

    callbacks: dict[str, Callable[..., Awaitable[None]]] = {
        "reconnected_cb": events.reconnected,
        "disconnected_cb": events.disconnected,
        "error_cb": failed,
    }
    try:
        await client.connect(
            [server.strip() for server in url.split(",")],
            name=name,
            max_reconnect_attempts=-1,
            ping_interval=_PING_SECONDS,
            max_outstanding_pings=_UNANSWERED_PINGS,
            reconnect_time_wait=_RECONNECT_WAIT_SECONDS,  # type: ignore[arg-type]  # seconds; only asyncio.sleep sees it
            **callbacks,  # type: ignore[arg-type]  # the annotation wants Callback aliases that are private
        )
    except asyncio.CancelledError:
        await _close(client)
        raise
    try:
        end_if_cancelled()
        events.connected()
        log.info("nats connected", server=without_credentials(client.trying))
        yield client
    finally:
        events.is_ending, events.is_connected = True, False
        await _close(client)


async def _close(client: Client) -> None:
    with suppress(*FAULTS):
        async with asyncio.timeout(_CLOSE_SECONDS):
            await client.close()


async def stay_connected(
    url: str, name: str, events: ConnectionEvents, *work: Callable[[Client], Awaitable[None]]
) -> None:
    """Have all ``work``, which never ends, done with one client; with another one when that is lost for good.

    nats-py connects again by itself, but gives up after most errors that a server can tell: that it has too
    many connections, say, or that credentials have expired.
    """
    while True:
        try:
            async with connected(url, name, events) as client, asyncio.TaskGroup() as tasks:
                for one in work:
                    tasks.create_task(_do(one, client))
                while not is_lost(client):  # noqa: ASYNC110 - where closing itself fails, nothing tells
                    await asyncio.sleep(_WATCH_SECONDS)
                raise ConnectionError(str(client.last_error or "the NATS client gave up"))
        except* FAULTS as group:
            for error in group.exceptions:
                await events.failed(error, url)
        await asyncio.sleep(_RECONNECT_WAIT_SECONDS)


async def _do(work: Callable[[Client], Awaitable[None]], client: Client) -> None:
    await work(client)


def is_lost(client: Client) -> bool:
    """Whether the client will never be connected again."""
    reconnecting = client._reconnection_task
    return client.is_closed or (not client.is_connected and reconnecting is not None and reconnecting.done())


async def revive(client: Client, seconds: float) -> None:
    """Connect anew if the server does not answer within ``seconds``, as after a cut that nobody noticed."""
    if not client.is_connected:
        return
    try:
        async with asyncio.timeout(seconds):
            await client.rtt()
    except FAULTS:
        log.warning("nats does not answer")
        await client.force_reconnect()


def end_if_cancelled() -> None:
    """A cancellation may be lost in nats-py, in its flush or in Python 3.11's ``wait_for``: look again."""
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError
