"""One question to all other bridges, and the answers as they come in."""

import asyncio
from typing import Final

from nats.aio.msg import Msg

from bridge.broker.parts import Assembly
from contracts.cluster import Reply

ID: Final = "Bridge-Id"
INSTANCE: Final = "Bridge-Instance"
"""Headers: which life of which bridge speaks."""
FAILED: Final = "Bridge-Failed"
"""Header: there will be no answer from this one."""


class Round:
    """Answers are awaited from those that are expected, and from others for a while."""

    def __init__(self, expected: dict[str, str]) -> None:
        self._awaited = dict(expected)
        self._is_open = True
        self._assemblies: dict[str, Assembly] = {}
        self._failed: list[str] = []
        self.replies: list[Reply] = []
        self.complete = asyncio.Event()

    def expect_no_others(self) -> None:
        """Whoever there is, is known by now."""
        self._is_open = False
        self._look()

    @property
    def missing(self) -> tuple[str, ...]:
        """Who has not answered yet, or cannot."""
        return tuple(sorted((*self._awaited.values(), *self._failed)))

    async def take(self, message: Msg) -> None:
        """nats-py calls this for every message of the inbox."""
        headers = message.headers or {}
        id_, instance = headers.get(ID), headers.get(INSTANCE)
        if id_ is None or instance is None:
            return
        if FAILED in headers:
            self._failed.append(instance)
            self._awaited.pop(id_, None)
            self._look()
            return
        body = self._assemblies.setdefault(id_, Assembly()).add(message.data, headers)
        if body is not None:
            self.replies.append(Reply(instance, body))
            self._awaited.pop(id_, None)
            self._look()

    def _look(self) -> None:
        if not self._awaited and not self._is_open:
            self.complete.set()
