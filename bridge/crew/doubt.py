"""Which of some messages the stream holds already, where it is too late for the stream itself to notice.

A stream knows the ids of what it took lately, and drops what comes twice. Whoever was cut off for longer, and
does not know what became of the last messages that were sent, has to look.
"""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Final

from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import Error
from nats.js import JetStreamContext
from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy, Header

from bridge.crew.message import Message
from contracts import WebSocketEvent
from contracts.errors import ContractError

_SECONDS: Final = 2.0
_MOST: Final = 10_000
"""More than so many are not looked through: then all is sent again."""
_CLOCKS: Final = timedelta(minutes=5)
"""By so much the clocks of the worker and of the stream may differ."""


async def not_stored(
    client: Client, stream: str, messages: Sequence[Message], window: float
) -> list[Message]:
    """Those of ``messages`` that the stream does not hold; all, where they are too young to be in doubt.

    ``window``: seconds for which the stream notices by itself. Where the stream cannot be looked into, it
    raises one of `bridge.crew.link.FAULTS`.
    """
    oldest = min(map(_created, messages))
    if datetime.now(UTC) - oldest < timedelta(seconds=window / 2):
        return list(messages)
    config = ConsumerConfig(
        deliver_policy=DeliverPolicy.BY_START_TIME,
        opt_start_time=oldest - _CLOCKS,
        filter_subjects=sorted({message.subject for message in messages}),
        ack_policy=AckPolicy.NONE,
        headers_only=True,
        mem_storage=True,
        num_replicas=1,
        inactive_threshold=10 * _SECONDS,
    )
    stored = await _ids(client, stream, config)
    return [message for message in messages if message.event_id not in stored]


def _created(message: Message) -> datetime:
    """When, by the clock of who created it; for what tells nothing of it, now."""
    try:
        return WebSocketEvent.from_json(message.payload).timestamp
    except ContractError:
        return datetime.now(UTC)


async def _ids(client: Client, stream: str, config: ConsumerConfig) -> set[str]:
    """The event ids of all that a consumer with ``config`` selects, none if that is too much."""
    ids: list[str] = []
    news = asyncio.Event()

    async def note(message: Msg) -> None:
        ids.append((message.headers or {}).get(Header.MSG_ID, ""))
        news.set()

    jetstream, inbox = client.jetstream(timeout=_SECONDS), client.new_inbox()
    subscription = await client.subscribe(inbox, cb=note)
    try:
        info = await jetstream.add_consumer(stream, config.evolve(deliver_subject=inbox))
        try:
            async with asyncio.timeout(_SECONDS):
                while len(ids) < (info.num_pending or 0) <= _MOST:
                    await news.wait()
                    news.clear()
        finally:
            await _forget(jetstream, stream, info.name)
    finally:
        with suppress(Error):
            await subscription.unsubscribe()
    return set(ids)


async def _forget(jetstream: JetStreamContext, stream: str, consumer: str) -> None:
    with suppress(Error, OSError):
        await jetstream.delete_consumer(stream, consumer)
