"""Reads of the stream's past: everything that was asked for, in pieces, and what is lost to the number."""

import asyncio

import pytest
from nats.aio.client import Client

from bridge.broker.history import MAX_MESSAGES, History, Stretch, filters_of
from bridge.broker.stream import ensure_stream, epoch_of
from contracts.subjects import ANY, Pattern
from tests.broker.sink import NAME, fill, settings
from tests.nats_server import NatsServer

ALL = frozenset({Pattern(ANY, ANY, ANY, ANY)})
ONE = frozenset({Pattern(ANY, ANY, ANY, "e1")})
MIB = 1024**2


@pytest.fixture
async def stream(client: Client) -> Client:
    """The client, once the stream is there."""
    await ensure_stream(client, settings("task", "llm"))
    return client


async def epoch(client: Client) -> str:
    return epoch_of(await client.jetstream().stream_info(NAME))


async def read(
    client: Client, patterns: frozenset[Pattern], after: int, upto: int, max_bytes: int = MIB
) -> Stretch:
    history = History(client, NAME, max_bytes=max_bytes)
    return await history.read(await epoch(client), patterns, after, upto)


def seqs(stretch: Stretch) -> list[int]:
    return [message.seq for message in stretch.messages]


async def test_everything_between_two_places_is_read_as_it_was_stored(stream: Client) -> None:
    await fill(stream, 100)

    stretch = await read(stream, ALL, 10, 60)

    assert seqs(stretch) == list(range(11, 61))
    assert [int(message.payload) for message in stretch.messages] == seqs(stretch)
    assert {message.subject for message in stretch.messages} == {f"task.completed.c.e{n}" for n in range(10)}
    assert all(message.stored_ns > 10**18 for message in stretch.messages)
    assert (stretch.upto, stretch.lost) == (60, None)
    assert await stream.jetstream().consumers_info(NAME) == []


async def test_what_patterns_do_not_select_is_not_sent_except_on_bare_subjects(stream: Client) -> None:
    await fill(stream, 100)
    await stream.jetstream().publish("task.completed", b"bare")

    stretch = await read(stream, ONE, 0, 101)
    assert seqs(stretch) == [*range(1, 100, 10), 101]
    assert stretch.upto == 101

    other = frozenset({Pattern("llm", ANY, ANY, ANY)})
    assert await read(stream, other, 0, 100) == Stretch([], 100, None)
    for patterns in (other, frozenset[Pattern]()):
        assert seqs(await read(stream, patterns, 0, 101)) == [101]


async def test_a_read_is_bounded_and_the_next_goes_on_where_it_ended(stream: Client) -> None:
    await fill(stream, 100, size=1000)

    found: list[int] = []
    reads = after = 0
    while after < 100:
        stretch = await read(stream, ALL, after, 100, max_bytes=10_000)
        assert sum(len(message.payload) for message in stretch.messages) <= 10_000
        found += seqs(stretch)
        after = stretch.upto
        reads += 1

    assert found == list(range(1, 101))
    assert reads >= 10


async def test_a_read_is_bounded_in_messages_too(stream: Client) -> None:
    await fill(stream, MAX_MESSAGES + 10)

    stretch = await read(stream, ALL, 0, MAX_MESSAGES + 10, max_bytes=100 * MIB)

    assert (len(stretch.messages), stretch.upto) == (MAX_MESSAGES, MAX_MESSAGES)


async def test_a_message_larger_than_a_read_is_read_alone(stream: Client) -> None:
    await fill(stream, 3, size=5_000)

    stretch = await read(stream, ALL, 0, 3, max_bytes=1_000)

    assert (seqs(stretch), stretch.upto) == ([1], 1)


async def test_what_retention_took_is_lost_with_exact_bounds(stream: Client) -> None:
    await fill(stream, 50)
    await stream.jetstream().purge_stream(NAME, seq=21)

    assert (await read(stream, ALL, 4, 50)).lost == (5, 20)
    assert (await read(stream, ALL, 20, 50)).lost is None
    some = await read(stream, ONE, 4, 50)
    assert (seqs(some), some.lost, some.upto) == ([21, 31, 41], (5, 20), 50)
    before = await read(stream, ALL, 4, 10)
    assert (before.messages, before.lost, before.upto) == ([], (5, 20), 20)


async def test_a_purged_stream_has_lost_everything(stream: Client) -> None:
    await fill(stream, 50)
    await stream.jetstream().purge_stream(NAME)

    assert await read(stream, ALL, 4, 30) == Stretch([], 50, (5, 50))


async def test_holes_within_the_stream_are_not_lost(stream: Client) -> None:
    """As of what expired: it was to be kept for minutes only."""
    await fill(stream, 20)
    for seq in (5, 6, 20):
        await stream.jetstream().delete_msg(NAME, seq)

    stretch = await read(stream, ALL, 3, 20)

    assert seqs(stretch) == [4, *range(7, 20)]
    assert (stretch.upto, stretch.lost) == (20, None)


async def test_patterns_that_overlap_bring_everything_once(stream: Client) -> None:
    for crew, execution in (("c1", "e1"), ("c1", "e2"), ("c2", "e1"), ("c2", "e2")):
        await stream.jetstream().publish(f"task.completed.{crew}.{execution}", b"")
        await stream.jetstream().publish("llm.chunk", b"")
    patterns = frozenset(
        {Pattern("task", ANY, "c1", ANY), Pattern(ANY, ANY, ANY, "e1"), Pattern(ANY, "completed", "c1", "e1")}
    )

    assert seqs(await read(stream, patterns, 0, 8)) == [1, 2, 3, 4, 5, 6, 8]


@pytest.mark.parametrize(
    ("patterns", "filters"),
    [
        ([(ANY, ANY, ANY, ANY), ("task", ANY, "c", ANY)], []),
        ([(ANY, ANY, ANY, "e")], ["*.*", "*.*.*.e"]),
        ([("task", ANY, ANY, ANY)], ["*.*", "task.*.*.*"]),
        (
            [("task", ANY, ANY, "e"), ("task", "failed", ANY, ANY)],
            ["*.*", "task.*.*.e", "task.failed.*.*"],
        ),
        ([("task", "failed", ANY, "e"), ("task", ANY, ANY, "e")], ["*.*", "task.*.*.e"]),
        (
            [("task", "failed", "c", ANY), (ANY, "failed", "d", ANY)],
            ["*.*", "*.failed.d.*", "task.failed.c.*"],
        ),
        ([], ["*.*"]),
    ],
)
def test_no_filter_covers_another(patterns: list[tuple[str, str, str, str]], filters: list[str]) -> None:
    assert filters_of(Pattern(*pattern) for pattern in patterns) == filters


async def test_another_stream_is_no_answer(stream: Client) -> None:
    await fill(stream, 10)

    with pytest.raises(OSError, match="another"):
        await History(stream, NAME, max_bytes=MIB).read("before", ALL, 0, 10)


async def test_a_stream_that_is_not_there_is_no_answer(client: Client) -> None:
    with pytest.raises(OSError, match="not found"):
        await History(client, NAME, max_bytes=MIB).read("e", ALL, 0, 10)


async def test_a_server_that_does_not_answer_is_no_answer(server: NatsServer, stream: Client) -> None:
    await fill(stream, 10)
    current = await epoch(stream)
    server.suspend()
    try:
        with pytest.raises(OSError, match=r"."):
            await History(stream, NAME, max_bytes=MIB).read(current, ALL, 0, 10)
    finally:
        server.resume()


async def test_the_stream_is_deleted_while_it_is_read(stream: Client) -> None:
    """What was read before is good; more is not to be had."""
    await fill(stream, 2_000, size=1000)
    history, current = History(stream, NAME, max_bytes=10 * MIB), await epoch(stream)
    async with asyncio.TaskGroup() as tasks:
        reading = tasks.create_task(_outcome(history, current, 2_000))
        await stream.jetstream().delete_stream(NAME)
    await ensure_stream(stream, settings("task", "llm"))

    assert reading.result() == "refused"


async def _outcome(history: History, current: str, upto: int) -> str:
    try:
        await history.read(current, ALL, 0, upto)
    except OSError:
        return "refused"
    return "read"
