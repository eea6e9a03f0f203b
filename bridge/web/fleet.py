"""This bridge and all others, asked together."""

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Protocol, TypeVar

import structlog
from pydantic import ValidationError

from bridge.web.desk import Desk, Verb
from contracts.cluster import Replies
from contracts.operations import Body, Coverage

log = structlog.get_logger(__name__)

Q = TypeVar("Q", bound=Body)
A = TypeVar("A", bound=Body)


class Others(Protocol):
    """The other bridges of the cluster."""

    @property
    def peers(self) -> list[str]:
        """The names of those heard of a moment ago."""
        ...

    async def ask(self, verb: str, question: bytes) -> Replies:
        """What they answer, within a deadline; who did not is named."""
        ...

    def follow(
        self, instance: str, verb: str, question: bytes, take: Callable[[bytes | None], None]
    ) -> AbstractAsyncContextManager[None]:
        """Have ``take`` called with what one of them tells, then with None. Without NATS `OSError`."""
        ...


class Fleet:
    """Puts one question to every bridge, this one included."""

    def __init__(self, desk: Desk, others: Others) -> None:
        self.desk = desk
        self.others = others

    async def ask(self, verb: Verb[Q, A], question: Q) -> tuple[list[tuple[str, A]], Coverage]:
        """The answers with the instances that gave them. An answer that cannot be read is none.

        All are asked at once. Every answer counts, also where two bridges were given the same name.
        """
        own, replies = await self._gather(verb, question)
        answers, missing = [(self.desk.instance, own)], list(replies.missing)
        for instance, body in replies.answers:
            try:
                answers.append((instance, verb.answer.model_validate_json(body)))
            except ValidationError:
                log.warning("a bridge answered what this one cannot read", instance=instance, verb=verb.name)
                missing.append(instance)
        return answers, Coverage(
            instance=self.desk.instance,
            answered=sorted(instance for instance, _ in answers),
            missing=sorted(missing),
            reachable=replies.reachable,
        )

    async def _gather(self, verb: Verb[Q, A], question: Q) -> tuple[A, Replies]:
        """This bridge's answer, and meanwhile those of the others."""
        try:
            async with asyncio.TaskGroup() as tasks:
                others = tasks.create_task(self.others.ask(verb.name, question.model_dump_json().encode()))
                own = await verb.act(self.desk, question)
        except BaseExceptionGroup as group:
            raise group.exceptions[0] from None
        return own, others.result()
