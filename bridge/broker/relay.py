"""What one bridge lets another one follow: lines, for as long as the other asks for more."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping
from contextlib import aclosing, asynccontextmanager, suppress
from typing import Final

import structlog
from nats.aio.client import Client
from nats.aio.msg import Msg

from bridge.broker.connection import FAULTS
from bridge.broker.round import INSTANCE

log = structlog.get_logger(__name__)

MORE_SECONDS: Final = 3.0
"""How often who follows asks for more."""
SILENCE_SECONDS: Final = 10.0
"""After so long without a word the other side is gone."""
_END: Final = "Bridge-End"
_STOP: Final = b"stop"

Source = Callable[[bytes], AsyncGenerator[bytes, None]]
"""The lines for a question. It has to yield now and then, or it is taken for dead."""
Take = Callable[[bytes | None], None]
"""Called with each line; with None when there are no more."""


class Relay:
    """Both ends: ``sources`` are what others may follow here, by verb."""

    def __init__(self, prefix: str, instance: str, sources: Mapping[str, Source]) -> None:
        self._prefix = f"{prefix}.follow"
        self._instance = instance
        self._sources = sources

    @asynccontextmanager
    async def serving(self, client: Client, tasks: asyncio.TaskGroup) -> AsyncIterator[None]:
        """Let others follow, as long as this lasts."""

        async def on_question(message: Msg) -> None:
            source = self._sources.get(message.subject.rpartition(".")[2])
            if source is not None and (message.headers or {}).get(INSTANCE) == self._instance:
                task = tasks.create_task(self._serve(client, message, source))
                serving.add(task)
                task.add_done_callback(serving.discard)

        serving: set[asyncio.Task[None]] = set()
        async with _heard(client, f"{self._prefix}.*", on_question):
            try:
                yield
            finally:
                for task in tuple(serving):
                    task.cancel()

    async def _serve(self, client: Client, question: Msg, source: Source) -> None:
        """Send lines until there are no more, or nobody asks for any."""
        inbox, deadline = question.reply, _Deadline()
        try:
            async with _heard(client, f"{inbox}.more", deadline.on_word):
                with suppress(TimeoutError):
                    async with asyncio.timeout(SILENCE_SECONDS) as deadline.timeout:
                        async with aclosing(source(question.data)) as lines:
                            async for line in lines:
                                await client.publish(inbox, line)
        except FAULTS as error:
            log.debug("a follower was lost", error=str(error) or type(error).__name__)
        except Exception:
            log.exception("what another bridge follows has failed", subject=question.subject)
        finally:
            if client.is_connected:
                with suppress(*FAULTS):
                    await client.publish(inbox, b"", headers={_END: "1"})

    @asynccontextmanager
    async def following(
        self, client: Client, instance: str, verb: str, question: bytes, take: Take
    ) -> AsyncIterator[None]:
        """Follow ``instance``, as long as this lasts; ``take`` never waits."""
        inbox = client.new_inbox()
        heard = asyncio.Event()

        async def on_line(message: Msg) -> None:
            heard.set()
            take(None if (message.headers or {}).get(_END) else message.data)

        async with _heard(client, inbox, on_line):
            headers = {INSTANCE: instance}
            await client.publish(f"{self._prefix}.{verb}", question, reply=inbox, headers=headers)
            async with asyncio.TaskGroup() as tasks:
                asking = tasks.create_task(_ask_for_more(client, f"{inbox}.more"))
                watching = tasks.create_task(_tell_of_silence(heard, take))
                try:
                    yield
                finally:
                    asking.cancel()
                    watching.cancel()
                    if client.is_connected:
                        with suppress(*FAULTS):
                            await client.publish(f"{inbox}.more", _STOP)


@asynccontextmanager
async def _heard(client: Client, subject: str, hear: Callable[[Msg], Awaitable[None]]) -> AsyncIterator[None]:
    """Have ``hear`` called with all that comes, as long as this lasts."""
    subscription = await client.subscribe(subject, cb=hear)
    try:
        yield
    finally:
        if client.is_connected:
            with suppress(*FAULTS):
                await subscription.unsubscribe()


class _Deadline:
    """Until when to go on: later with every word of who follows."""

    def __init__(self) -> None:
        self.timeout = asyncio.timeout(None)

    async def on_word(self, message: Msg) -> None:
        seconds = 0.0 if message.data == _STOP else SILENCE_SECONDS
        with suppress(RuntimeError):  # it has passed already
            self.timeout.reschedule(asyncio.get_running_loop().time() + seconds)


async def _ask_for_more(client: Client, subject: str) -> None:
    while True:
        await asyncio.sleep(MORE_SECONDS)
        with suppress(*FAULTS):
            await client.publish(subject, b"")


async def _tell_of_silence(heard: asyncio.Event, take: Take) -> None:
    while True:
        heard.clear()
        try:
            async with asyncio.timeout(SILENCE_SECONDS):
                await heard.wait()
        except TimeoutError:
            take(None)
            return
