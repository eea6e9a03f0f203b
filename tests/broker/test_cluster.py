"""Bridges that ask and follow each other, over a real server."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import nats
import pytest
from nats.aio.client import Client

from bridge.broker.cluster import Answerer, Cluster, Hearer
from bridge.broker.connection import ConnectionEvents
from bridge.broker.parts import PART_BYTES
from bridge.broker.relay import Source
from contracts.cluster import Reply
from tests.nats_server import NatsServer
from tests.waiting import until


@asynccontextmanager
async def member(
    server: NatsServer,
    name: str,
    answerers: Mapping[str, Answerer] | None = None,
    sources: Mapping[str, Source] | None = None,
    hearers: Mapping[str, Hearer] | None = None,
    *,
    seconds: float = 5.0,
) -> AsyncIterator[tuple[Cluster, Client]]:
    """A bridge's part in the cluster, and its connection."""
    client = await nats.connect(server.url, max_reconnect_attempts=-1)
    cluster = Cluster(
        ConnectionEvents(), name, "S", answerers or {}, sources or {}, hearers or {}, seconds=seconds
    )
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(cluster.run(client))
        try:
            yield cluster, client
        finally:
            running.cancel()
            await asyncio.wait([running])
            await client.close()


async def _echo(question: bytes) -> bytes:
    return question * 2


async def _fail(question: bytes) -> bytes:
    raise ValueError(question)


async def test_every_other_member_answers_however_long_the_answer_is(server: NatsServer) -> None:
    question = bytes(range(256)) * (PART_BYTES // 256)
    async with AsyncExitStack() as stack:
        a, *others = [
            (await stack.enter_async_context(member(server, name, {"echo": _echo})))[0] for name in "abc"
        ]
        await until(lambda: a.peers == ["b", "c"])
        replies = await a.ask("echo", question)
        empty = await a.ask("echo", b"")

    assert {reply.instance for reply in replies.answers} == {"b", "c"}
    assert all(reply.body == question * 2 for reply in replies.answers)
    assert (replies.missing, replies.reachable) == ((), True)
    assert sorted(empty.answers) == [Reply("b", b""), Reply("c", b"")]
    assert [other.errors for other in others] == [0, 0]


async def test_who_cannot_answer_is_missing_and_counts_it(server: NatsServer) -> None:
    async with (
        member(server, "a", seconds=0.5) as (a, _),
        member(server, "b", {"fail": _fail}) as (b, _),
    ):
        await until(lambda: a.peers == ["b"])
        failed = await a.ask("fail", b"x")
        unheard_of = await a.ask("dance", b"x")

    assert (failed.answers, failed.missing, b.errors) == ((), ("b",), 1)
    assert (unheard_of.answers, unheard_of.missing) == ((), ("b",))


async def test_who_cannot_answer_says_so_at_once(server: NatsServer) -> None:
    async with (
        member(server, "a", {"sing": _echo}, seconds=30) as (a, _),
        member(server, "b", {"fail": _fail, "sing": _echo}, seconds=30) as (b, _),
        member(server, "c", {"fail": _echo}, seconds=30) as (c, _),
    ):
        await until(lambda: a.peers == ["b", "c"] and b.peers == ["a", "c"] and c.peers == ["a", "b"])
        async with asyncio.timeout(5):
            failed = await a.ask("fail", b"x")
            unheard_of = await a.ask("dance", b"x")
            known_to_one = await c.ask("sing", b"x")

    assert (failed.answers, failed.missing) == ((Reply("c", b"xx"),), ("b",))
    assert (unheard_of.answers, unheard_of.missing) == ((), ("b", "c"))
    assert (sorted(known_to_one.answers), known_to_one.missing) == (
        [Reply("a", b"xx"), Reply("b", b"xx")],
        (),
    )
    assert (a.errors, b.errors, c.errors) == (0, 1, 0)


async def test_members_are_found_as_a_nats_service(server: NatsServer, client: Client) -> None:
    async with member(server, "a", {"echo": _echo}) as (a, _), member(server, "b") as (b, _):
        await until(lambda: a.peers == ["b"] and b.peers == ["a"])
        inbox = client.new_inbox()
        answers = await client.subscribe(inbox)
        await client.publish("$SRV.PING.crew-bridge", reply=inbox)
        found = {(await answers.next_msg(5)).data for _ in range(2)}

    assert len(found) == 2
    assert all(b'"instance": ' in data and b'"stream": "S"' in data for data in found)


async def test_what_one_tells_every_other_hears_once(server: NatsServer) -> None:
    heard: dict[str, list[bytes]] = {name: [] for name in "abc"}
    async with AsyncExitStack() as stack:
        a, b, c = [
            (await stack.enter_async_context(member(server, name, hearers={"news": heard[name].append})))[0]
            for name in "abc"
        ]
        await until(lambda: a.peers == ["b", "c"] and len(b.peers) == len(c.peers) == 2)
        await a.tell("rumours", b"0")
        await a.tell("news", b"1")
        await b.tell("news", b"2")
        await until(lambda: len(heard["c"]) == 2 and heard["a"] != [] and heard["b"] != [])

    assert (heard["a"], heard["b"], sorted(heard["c"])) == ([b"2"], [b"1"], [b"1", b"2"])


class Lines:
    """A source, and what became of it."""

    def __init__(self, count: int | None = None) -> None:
        self.count = count
        self.is_over = False

    async def lines(self, question: bytes) -> AsyncGenerator[bytes, None]:
        number = 0
        try:
            while number != self.count:
                number += 1
                yield b"%s %d" % (question, number)
                await asyncio.sleep(0.01)
            if question == b"fail":
                raise ValueError(question)
        finally:
            self.is_over = True


@asynccontextmanager
async def following(a: Cluster, instance: str, question: bytes) -> AsyncIterator[list[bytes | None]]:
    told: list[bytes | None] = []
    async with a.follow(instance, "lines", question, told.append):
        yield told


@pytest.mark.parametrize("question", [b"go", b"fail"])
async def test_who_follows_is_told_every_line_and_the_end(server: NatsServer, question: bytes) -> None:
    source, other = Lines(count=3), Lines(count=3)
    async with (
        member(server, "a") as (a, _),
        member(server, "b", sources={"lines": source.lines}) as (b, _),
        member(server, "c", sources={"lines": other.lines}),
    ):
        await until(lambda: a.peers == ["b", "c"] and len(b.peers) == 2)
        async with following(a, "b", question) as told:
            await until(lambda: told[-1:] == [None])

    assert told == [*(question + b" %d" % number for number in (1, 2, 3)), None]
    assert source.is_over
    assert not other.is_over


async def test_a_source_ends_when_nobody_follows_any_more(server: NatsServer) -> None:
    source = Lines()
    async with (
        member(server, "a") as (a, _),
        member(server, "b", sources={"lines": source.lines}),
    ):
        await until(lambda: a.peers == ["b"])
        async with following(a, "b", b"go") as told:
            await until(lambda: len(told) > 2)
            assert not source.is_over
        await until(lambda: source.is_over)


async def test_a_source_ends_when_who_follows_is_not_heard_any_more(
    server: NatsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bridge.broker.relay.SILENCE_SECONDS", 0.5)
    source = Lines()
    async with (
        member(server, "a") as (a, client),
        member(server, "b", sources={"lines": source.lines}),
    ):
        await until(lambda: a.peers == ["b"])
        async with following(a, "b", b"go") as told:
            await until(lambda: len(told) > 2)
            await client.close()
            await until(lambda: source.is_over)


async def test_without_a_connection_nobody_is_asked_or_followed(server: NatsServer) -> None:
    cluster = Cluster(ConnectionEvents(), "a", "S", {}, {}, {}, seconds=1.0)
    await cluster.tell("news", b"x")

    assert await cluster.ask("echo", b"") == ((), (), False)
    with pytest.raises(OSError, match="no NATS"):
        async with following(cluster, "b", b"go"):
            pass


async def test_a_message_that_is_no_answer_is_passed_over(server: NatsServer, client: Client) -> None:
    async def stranger(message: Any) -> None:
        await message.respond(b"who am I")

    async with member(server, "a", seconds=0.5) as (a, _), member(server, "b", {"echo": _echo}):
        await until(lambda: a.peers == ["b"])
        await client.subscribe("_CREW_BRIDGE.S.echo", cb=stranger)
        await client.flush()
        replies = await a.ask("echo", b"x")

    assert replies.answers == (Reply("b", b"xx"),)


async def test_a_bridge_that_has_the_name_of_another_says_so_once(
    server: NatsServer, capsys: pytest.CaptureFixture[str]
) -> None:
    async with member(server, "same") as (a, _), member(server, "other") as (b, _):
        await until(lambda: a.peers == ["other"] and b.peers == ["same"])
        assert "another bridge has this name" not in capsys.readouterr().out
        async with member(server, "same") as (namesake, _):
            await until(lambda: a.peers == ["other", "same"] and namesake.peers == ["other", "same"])
            words = capsys.readouterr().out

    assert words.count("another bridge has this name") == 2
    assert "BRIDGE_INSTANCE" in words
