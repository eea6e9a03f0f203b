"""The short way of a message: the same messages in the same order, however they are cut on their way."""

import asyncio
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from nats.aio.transport import TcpTransport
from nats.errors import ProtocolError
from nats.protocol.parser import Parser

from bridge.broker.express import ExpressParser, fed_first
from tests.contracts.strategies import law

REPLY = b"$JS.ACK.CREW_EVENTS.feed.1.5.5.1763990000000000000.0"
Seen = tuple[str, bytes]


class Notes:
    """What nats-py's parser calls of a client."""

    def __init__(self) -> None:
        self.seen: list[Seen] = []
        self.is_slow = False
        """Whether nats-py's way takes a turn of the loop."""

    async def _process_msg(self, sid: int, subject: bytes, reply: bytes, data: bytes, headers: Any) -> None:
        if self.is_slow:
            await asyncio.sleep(0)
        self.seen.append((f"message {sid}", b"|".join([subject, reply, headers or b"", data])))

    async def _process_ping(self) -> None:
        self.seen.append(("ping", b""))

    async def _process_pong(self) -> None:
        self.seen.append(("pong", b""))

    async def _process_info(self, info: dict[str, Any]) -> None:
        self.seen.append(("info", str(info).encode()))

    async def _process_err(self, error: str) -> None:
        self.seen.append(("error", error.encode()))

    def take(self, words: list[bytes], data: bytes, begin: int) -> bool:
        """As a consumer does, but only what is to be answered."""
        if len(words) < 5 or words[3] != REPLY:
            return False
        head = int(words[-2]) if words[0] == b"HMSG" else 0
        size = int(words[-1])
        parts = [words[1], words[3], data[begin : begin + head], data[begin + head : begin + size]]
        self.seen.append((f"message {int(words[2])}", b"|".join(parts)))
        return True


bodies = st.binary(max_size=30) | st.sampled_from([b"\r\n", b"PING\r\n", b"MSG a 7 3\r\nabc\r\n"])


@st.composite
def messages(draw: st.DrawFn) -> bytes:
    """With or without headers, with or without a reply subject, for one of two subscriptions."""
    body, reply = draw(bodies), draw(st.sampled_from([b"", b"_INBOX.x ", REPLY + b" "]))
    sid = draw(st.sampled_from([b"7", b"8"]))
    if draw(st.booleans()):
        head = b"NATS/1.0\r\nNats-Msg-Id: x\r\n\r\n"
        sizes = b"%d %d" % (len(head), len(head) + len(body))
        return b"HMSG task.failed %b %b%b\r\n%b%b\r\n" % (sid, reply, sizes, head, body)
    return b"MSG task.failed %b %b%d\r\n%b\r\n" % (sid, reply, len(body), body)


units = messages() | st.sampled_from(
    [b"PING\r\n", b"PONG\r\n", b"+OK\r\n", b"-ERR 'nothing'\r\n", b'INFO {"server_id":"x"}\r\n']
)


async def read(parser: Parser, data: bytes, cuts: list[int]) -> None:
    for begin, end in pairwise(_places(data, cuts)):
        await parser.parse(data[begin:end])


def _readable(notes: Notes) -> tuple[ExpressParser, TcpTransport, asyncio.StreamReader]:
    """A parser that notes what it reads, one subscription at once, and what its bytes come through."""
    parser = ExpressParser(notes)  # type: ignore[arg-type]  # what a parser needs of a client
    parser.takers[b"7"] = notes.take
    transport = TcpTransport()  # type: ignore[no-untyped-call]  # nats-py's
    transport._io_reader = reader = asyncio.StreamReader()
    return parser, transport, reader


def _places(data: bytes, cuts: list[int]) -> list[int]:
    return [0, *sorted({cut % (len(data) + 1) for cut in cuts}), len(data)]


@law
@given(st.lists(units, max_size=8), st.lists(st.integers(0, 10_000), max_size=6))
async def test_what_is_taken_at_once_and_what_is_not_is_what_nats_py_reads(
    parts: list[bytes], cuts: list[int]
) -> None:
    ours, theirs = Notes(), Notes()
    parser = ExpressParser(ours)  # type: ignore[arg-type]  # what a parser needs of a client
    parser.takers[b"7"] = ours.take

    await read(parser, b"".join(parts), cuts)
    await read(Parser(theirs), b"".join(parts), [])

    assert ours.seen == theirs.seen


@law
@given(
    st.lists(units, max_size=8),
    st.lists(st.integers(0, 10_000), max_size=6),
    st.lists(st.booleans(), min_size=8, max_size=8),
)
async def test_what_comes_while_earlier_things_wait_to_be_read_is_read_after_them(
    parts: list[bytes], cuts: list[int], pauses: list[bool]
) -> None:
    ours, theirs = Notes(), Notes()
    parser, transport, reader = _readable(ours)
    ours.is_slow = True

    async def reading() -> None:
        while data := await reader.read(100):
            await parser.parse(data)

    data = b"".join(parts)
    with fed_first(transport, parser):
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(reading())
            for is_pausing, (begin, end) in zip(pauses, pairwise(_places(data, cuts)), strict=False):
                reader.feed_data(data[begin:end])
                if is_pausing:
                    await asyncio.sleep(0)
            reader.feed_eof()
    await read(Parser(theirs), data, [])

    assert ours.seen == theirs.seen


async def test_what_comes_in_order_is_taken_before_anybody_reads() -> None:
    notes = Notes()
    parser, transport, reader = _readable(notes)
    message = b"MSG task.failed 7 %b 3\r\nabc\r\n" % REPLY

    with fed_first(transport, parser):
        reader.feed_data(message + message[:9])
        reader.feed_data(message[9:] + b"PING\r\n" + message)
    reader.feed_data(message)

    assert notes.seen == [("message 7", b"task.failed|" + REPLY + b"||abc")] * 2
    assert await reader.read(1000) == b"PING\r\n" + message + message


async def test_much_at_once_waits_for_its_turn() -> None:
    notes = Notes()
    parser, transport, reader = _readable(notes)
    message = b"MSG task.failed 7 %b 20000\r\n%b\r\n" % (REPLY, b"x" * 20_000)

    with fed_first(transport, parser):
        reader.feed_data(message)

    assert notes.seen == []
    assert await reader.read(30_000) == message


@pytest.mark.parametrize("line", [b"MSG a\r\n", b"MSG a 7 x\r\n", b"MSG a 7 -1\r\n", b"HELLO\r\n"])
async def test_malformed_input_is_an_error_of_nats_py(line: bytes) -> None:
    parser = ExpressParser(Notes())  # type: ignore[arg-type]  # what a parser needs of a client

    with pytest.raises(ProtocolError):
        await parser.parse(b"PING\r\n" + line)


async def test_a_new_connection_begins_with_nothing() -> None:
    notes = Notes()
    parser = ExpressParser(notes)  # type: ignore[arg-type]  # what a parser needs of a client
    await parser.parse(b"MSG a 7 3\r\nab")

    parser.reset()
    await parser.parse(b"PING\r\n")

    assert notes.seen == [("ping", b"")]


async def test_what_came_on_a_connection_that_ended_meanwhile_is_dropped() -> None:
    notes = Notes()
    parser = ExpressParser(notes)  # type: ignore[arg-type]  # what a parser needs of a client

    async def lose(error: str) -> None:
        parser.reset()

    notes._process_err = lose  # type: ignore[method-assign]
    await parser.parse(b"-ERR 'stale connection'\r\nPONG\r\nMSG a 7 3\r\nab")
    await parser.parse(b"PING\r\n")

    assert notes.seen == [("ping", b"")]
