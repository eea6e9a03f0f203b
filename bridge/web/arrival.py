"""Waiting until an event has come to this bridge."""

import asyncio
from contextlib import suppress

from bridge.core.entry import Entry
from bridge.core.hub import Hub


async def has_come(hub: Hub, seq: int, seconds: float) -> bool:
    """Whether the log has come to ``seq``, within so many seconds."""
    if hub.log.head >= seq:
        return True
    arrived = asyncio.Event()

    def watch(entry: Entry) -> None:
        if entry.seq >= seq:
            arrived.set()

    hub.watchers[watch] = None
    try:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await arrived.wait()
    finally:
        del hub.watchers[watch]
    return hub.log.head >= seq
