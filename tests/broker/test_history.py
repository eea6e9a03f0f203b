"""Reads of the stream's past: everything that was asked for, in pieces, and what is lost to the number."""

import asyncio
from contextlib import AsyncExitStack

import nats
import pytest
from nats.aio.client import Client
from nats.js.api import AckPolicy, StreamConfig

from bridge.broker.history import MAX_MESSAGES, History, Stretch, _stretch, filters_of
from bridge.broker.pull import Pull
from bridge.broker.stream import ensure_stream, epoch_of
from contracts.positions import nanoseconds
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


@pytest.mark.parametrize(
    "limits", ["max_request_batch: 100", "max_request_batch: 7", "max_request_batch: 5000"], ids=str
)
async def test_a_server_that_bounds_requests_is_asked_more_often(server: NatsServer, limits: str) -> None:
    server.stop()
    server.configure(f"jetstream {{ limits {{ {limits} }} }}")
    server.start()
    async with AsyncExitStack() as lifetime:
        client = await nats.connect(server.url)
        lifetime.push_async_callback(client.close)
        config = StreamConfig(name=NAME, subjects=["task.>"], duplicate_window=60)
        await client.jetstream().add_stream(config)
        await fill(client, 450)

        assert seqs(await read(client, ALL, 0, 450)) == list(range(1, 451))
        some = await read(client, ALL, 0, 450, max_bytes=2_000)
        assert 10 < len(some.messages) < 30
        assert seqs(some) == list(range(1, some.upto + 1))
        assert seqs(await read(client, ALL, 0, 450, max_bytes=10)) == [1]


async def test_a_probe_reads_as_a_read_does(stream: Client) -> None:
    history = History(stream, NAME, max_bytes=MIB)
    await history.probe()
    await fill(stream, 3)
    await history.probe()
    assert await stream.jetstream().consumers_info(NAME) == []

    await stream.jetstream().delete_stream(NAME)
    with pytest.raises(OSError, match="not found"):
        await history.probe()


async def test_a_stream_that_lets_nobody_read_says_so(client: Client) -> None:
    config = StreamConfig(name=NAME, subjects=["task.>"], max_consumers=1)
    await client.jetstream().add_stream(config)
    await client.jetstream().add_consumer(NAME, durable_name="other", ack_policy=AckPolicy.NONE)

    with pytest.raises(OSError, match="maximum consumers limit reached"):
        await History(client, NAME, max_bytes=MIB).probe()


class _Reply:
    """What nats-py hands to a subscription."""

    def __init__(self, reply: str, headers: dict[str, str] | None = None) -> None:
        self.subject = "task.completed"
        self.data = b""
        self.headers = headers
        self.reply = reply


def _sent(seq: int, number: int) -> _Reply:
    return _Reply(f"$JS.ACK.S.c.1.{seq}.{number}.5.0")


async def _pulled(upto: int, *replies: _Reply) -> Pull:
    pull = Pull(0, upto)
    pull.begin(10)
    for reply in replies:
        await pull.on_message(reply)  # type: ignore[arg-type]  # as much of one as is looked at
    return pull


def _idle(consumer_seq: int, stream_seq: int) -> _Reply:
    headers = {"Status": "100", "Nats-Last-Consumer": str(consumer_seq), "Nats-Last-Stream": str(stream_seq)}
    return _Reply("", headers)


async def test_a_message_that_was_dropped_on_the_way_ends_a_read() -> None:
    pull = await _pulled(9, _sent(1, 1), _sent(3, 3), _sent(4, 4))
    assert (pull.ended.result(), pull.scanned) == ("hole", 1)
    pull = await _pulled(9, _sent(1, 1), _idle(2, 9))
    assert (pull.ended.result(), pull.scanned) == ("hole", 1)


async def test_a_replica_that_lags_does_not_end_a_read_before_it_has_looked_at_everything() -> None:
    pull = await _pulled(9, _sent(1, 1), _idle(1, 5))
    assert (pull.ended.done(), pull.scanned) == (False, 5)
    pull = await _pulled(9, _sent(1, 1), _idle(1, 5), _sent(7, 2), _idle(2, 20))
    assert (pull.ended.result(), pull.scanned, len(pull.messages)) == ("complete", 9, 2)


@pytest.mark.parametrize(
    ("seqs_read", "scanned", "first", "expected"),
    [
        ([3, 4, 5], 5, 3, ([3, 4, 5], 5, (1, 2))),
        ([3, 4, 5], 5, 5, ([3, 4, 5], 5, (1, 2))),
        ([3, 4, 7, 8], 8, 6, ([3, 4], 4, (1, 2))),
        ([3, 4], 8, 9, ([3, 4], 4, (1, 2))),
        ([1, 2, 3], 3, 3, ([1, 2, 3], 3, None)),
        ([1, 9], 9, 9, ([1], 1, None)),
        ([], 4, 9, ([], 8, (1, 8))),
    ],
)
async def test_retention_that_overtakes_a_read_hides_no_loss(
    seqs_read: list[int], scanned: int, first: int, expected: tuple[list[int], int, tuple[int, int] | None]
) -> None:
    """Between what was sent there may have been more, if it lies before what the stream now begins with."""
    replies = [_sent(seq, number) for number, seq in enumerate(seqs_read, 1)]
    pull = await _pulled(20, *replies, _idle(len(seqs_read), scanned))

    stretch = _stretch(pull, 0, first)

    assert (seqs(stretch), stretch.upto, stretch.lost) == expected


async def test_the_stream_tells_what_it_holds_and_where_a_moment_is(stream: Client) -> None:
    await fill(stream, 50)
    await stream.jetstream().purge_stream(NAME, seq=11)
    history = History(stream, NAME, max_bytes=MIB)
    moment = (await stream.jetstream().get_msg(NAME, 21)).time
    assert moment is not None

    assert await history.span() == (11, 50)
    assert await history.before(nanoseconds(moment)) == 20
    assert await history.before(0) == 10
    assert await history.before(nanoseconds(moment) + 3_600 * 10**9) == 50
    assert await history.count(ONE, 20) == 3
    assert await history.count(ALL, 0) == 40
    assert await stream.jetstream().consumers_info(NAME) == []
