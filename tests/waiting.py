"""Waiting for what another process does: one polling helper with a deadline."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

T = TypeVar("T")


def eventually(look: Callable[[], T | None], seconds: float = 20.0) -> T:
    """The first thing that ``look`` returns and that is true."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if found := look():
            return found
        time.sleep(0.02)
    raise AssertionError(f"nothing within {seconds} s from {look}")


async def soon(look: Callable[[], Awaitable[T | None]], seconds: float = 10.0) -> T:
    """The first thing that ``look`` returns and that is true, while this process goes on."""
    async with asyncio.timeout(seconds):
        while not (found := await look()):  # noqa: ASYNC110 - another process decides when
            await asyncio.sleep(0.02)
        return found


async def until(look: Callable[[], T | None], seconds: float = 20.0) -> T:
    """As `soon`, for what can be looked at without waiting."""
    async with asyncio.timeout(seconds):
        while not (found := look()):  # noqa: ASYNC110 - what is looked at sets no event
            await asyncio.sleep(0.005)
        return found
