"""The bridges of one stream as a NATS micro service: each answers for itself, each can ask all others.

nats-py's service always puts an endpoint into a queue group, in which one member answers; a group of each
bridge's own makes all of them answer.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from importlib.metadata import version
from time import monotonic
from typing import Final, Literal
from uuid import uuid4

import structlog
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.micro import add_service
from nats.micro.request import Request
from nats.micro.service import ServiceConfig

from bridge.broker.connection import FAULTS, ConnectionEvents, end_if_cancelled
from bridge.broker.parts import cut
from bridge.broker.peers import HELLO_SECONDS, Hello, Peers
from bridge.broker.relay import Relay, Source, Take
from bridge.broker.round import FAILED, ID, INSTANCE, Round
from contracts.cluster import Replies

log = structlog.get_logger(__name__)

SERVICE: Final = "crew-bridge"
_PREFIX: Final = "_CREW_BRIDGE"
"""No family begins with an underscore, so no stream of events takes these subjects."""
_ACQUAINTANCE_SECONDS: Final = 0.25
"""How long the others may take to say hello to a newcomer."""
_GOODBYE_SECONDS: Final = 1.0
_RETRY_SECONDS: Final = 0.5

Answerer = Callable[[bytes], Awaitable[bytes]]
"""Answers a question that another bridge asks."""
Hearer = Callable[[bytes], None]
"""Hears what another bridge tells; must not raise."""


class Cluster:
    """One bridge among the others that serve the same stream.

    ``answerers``: by the verbs that others may ask; ``sources``: by what they may follow; ``hearers``: by
    what they may tell. ``seconds``: how long an answer may take. ``clock``: by
    which others fall silent, in seconds.
    """

    def __init__(
        self,
        events: ConnectionEvents,
        instance: str,
        stream: str,
        answerers: Mapping[str, Answerer],
        sources: Mapping[str, Source],
        hearers: Mapping[str, Hearer],
        *,
        seconds: float,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self.instance = instance
        self._prefix = f"{_PREFIX}.{stream}"
        self._stream = stream
        self._answerers = answerers
        self._hearers = hearers
        self._relay = Relay(self._prefix, instance, sources)
        self._seconds = seconds
        self._id = uuid4().hex
        self._peers = Peers(self._id, clock)
        self._has_namesake = False
        self._client: Client | None = None
        self._acquainted = 0.0
        """When all others have had the time to say hello to us."""
        self._tasks: asyncio.TaskGroup | None = None
        self.errors = 0
        """Questions that could not be answered."""
        events.on_reconnect.append(self._meet)

    @property
    def peers(self) -> list[str]:
        """The names of the other bridges heard of a moment ago."""
        return sorted(self._peers.known().values())

    async def run(self, client: Client) -> None:
        """Answer, and say that we are here, for ever; ends by cancellation only."""
        async with asyncio.TaskGroup() as tasks:
            self._tasks = tasks
            try:
                while True:
                    await self._take_part(client, tasks)
            finally:
                self._tasks = None

    async def _take_part(self, client: Client, tasks: asyncio.TaskGroup) -> None:
        """Until NATS fails us, which a reconnect alone does not."""
        try:
            async with self._serving(client), self._relay.serving(client, tasks):
                self._client = client
                self._meet()
                while True:
                    end_if_cancelled()
                    await asyncio.sleep(HELLO_SECONDS)
                    await self._say("here")
        except FAULTS as error:
            log.warning("not among the bridges", error=str(error) or type(error).__name__)
            await asyncio.sleep(_RETRY_SECONDS)
        finally:
            self._client = None

    async def ask(self, verb: str, question: bytes) -> Replies:
        """The answers of all other bridges; returns when those that are known have answered, or in time."""
        client, expected = self._client, self._peers.known()
        if client is None or not client.is_connected:
            return Replies((), tuple(sorted(expected.values())), reachable=False)
        round_ = Round(expected)
        asyncio.get_running_loop().call_at(self._acquainted, round_.expect_no_others)
        try:
            async with asyncio.timeout(self._seconds):
                await self._ask(client, verb, question, round_)
        except TimeoutError:
            pass
        except FAULTS as error:
            log.warning("the other bridges could not be asked", error=str(error) or type(error).__name__)
            return Replies((), tuple(sorted(expected.values())), reachable=False)
        return Replies(tuple(round_.replies), round_.missing, reachable=True)

    async def tell(self, verb: str, news: bytes) -> None:
        """Let all other bridges hear something, once; where there is no NATS, nobody does."""
        client = self._client
        if client is not None and client.is_connected:
            with suppress(*FAULTS):
                await client.publish(f"{self._prefix}.told.{verb}.{self._id}", news)

    @asynccontextmanager
    async def follow(self, instance: str, verb: str, question: bytes, take: Take) -> AsyncIterator[None]:
        """Have ``take`` called with what another bridge tells, as long as this lasts.

        With None when there is no more, or that bridge is silent. Raises `OSError` where there is no NATS.
        """
        client = self._client
        if client is None or not client.is_connected:
            raise OSError("there is no NATS")
        async with AsyncExitStack() as following:
            try:
                await following.enter_async_context(
                    self._relay.following(client, instance, verb, question, take)
                )
            except FAULTS as error:
                raise OSError(str(error) or type(error).__name__) from error
            yield

    async def _ask(self, client: Client, verb: str, question: bytes, round_: Round) -> None:
        inbox = client.new_inbox()
        subscription = await client.subscribe(inbox, cb=round_.take)
        try:
            subject = f"{self._prefix}.{verb}"
            await client.publish(subject, question, reply=inbox, headers={ID: self._id})
            await round_.complete.wait()
        finally:
            if not client.is_closed:
                await subscription.unsubscribe()

    @asynccontextmanager
    async def _serving(self, client: Client) -> AsyncIterator[None]:
        hellos = await client.subscribe(f"{self._prefix}.hello", cb=self._on_hello)
        news = await client.subscribe(f"{self._prefix}.told.*.*", cb=self._on_news)
        unknown = await client.subscribe(f"{self._prefix}.*", cb=self._on_question)
        config = ServiceConfig(
            name=SERVICE,
            version=version("crew-bridge"),
            description="the bridges that carry crew events to browsers, and administer their connections",
            metadata={"instance": self.instance, "stream": self._stream},
            queue_group=self._id,
        )
        service = await add_service(client, config)
        for verb, answerer in self._answerers.items():
            handler = self._handler(answerer)
            await service.add_endpoint(name=verb, subject=f"{self._prefix}.{verb}", handler=handler)
        try:
            yield
        finally:
            if client.is_connected:
                with suppress(*FAULTS):
                    async with asyncio.timeout(_GOODBYE_SECONDS):
                        await hellos.unsubscribe()
                        await news.unsubscribe()
                        await unknown.unsubscribe()
                        await self._publish_hello(client, "leaving")
                        await service.stop()
                        await client.flush()

    def _handler(self, answerer: Answerer) -> Callable[[Request], Awaitable[None]]:
        """A handler that returns at once: nats-py calls it for one request after the other."""

        async def handle(request: Request) -> None:
            if (request.headers or {}).get(ID) != self._id and self._tasks is not None:
                self._tasks.create_task(self._answer(request, answerer))

        return handle

    async def _answer(self, request: Request, answerer: Answerer) -> None:
        try:
            async with asyncio.timeout(self._seconds):
                body = await answerer(request.data)
                headers = {ID: self._id, INSTANCE: self.instance}
                for part, numbers in cut(body):
                    await request.respond(part, headers | numbers)
        except Exception:
            self.errors += 1
            log.exception("a question of another bridge was not answered", subject=request.subject)
            with suppress(*FAULTS):
                await request.respond(b"", self._no_answer)

    @property
    def _no_answer(self) -> dict[str, str]:
        """Headers by which who asks need not wait for us."""
        return {ID: self._id, INSTANCE: self.instance, FAILED: "1"}

    async def _on_question(self, message: Msg) -> None:
        """Say so where a bridge of another version asks for what this one does not know."""
        *_, verb = message.subject.split(".")
        is_other = (message.headers or {}).get(ID) != self._id
        if message.reply and is_other and verb not in self._answerers and self._client is not None:
            with suppress(*FAULTS):
                await self._client.publish(message.reply, headers=self._no_answer)

    def _meet(self) -> None:
        """Ask who is there: now, and until they had the time to answer, anybody may be."""
        self._acquainted = asyncio.get_running_loop().time() + min(self._seconds, _ACQUAINTANCE_SECONDS)
        if self._tasks is not None:
            self._tasks.create_task(self._say("asking"))

    async def _on_hello(self, message: Msg) -> None:
        if self._peers.hear(message.data):
            await self._say("here")
        self._look_for_namesakes()

    def _look_for_namesakes(self) -> None:
        """Say so, once, where operators could not tell two bridges from each other."""
        has_namesake = self.instance in self._peers.known().values()
        if has_namesake and not self._has_namesake:
            log.error("another bridge has this name: set BRIDGE_INSTANCE for each", instance=self.instance)
        self._has_namesake = has_namesake

    async def _on_news(self, message: Msg) -> None:
        *_, verb, teller = message.subject.split(".")
        hear = self._hearers.get(verb)
        if hear is not None and teller != self._id:
            hear(message.data)

    async def _say(self, state: Literal["asking", "here", "leaving"]) -> None:
        if self._client is not None and self._client.is_connected:
            with suppress(*FAULTS):
                await self._publish_hello(self._client, state)

    async def _publish_hello(self, client: Client, state: Literal["asking", "here", "leaving"]) -> None:
        hello = Hello(id=self._id, instance=self.instance, state=state)
        await client.publish(f"{self._prefix}.hello", hello.model_dump_json().encode())
