"""The short way of a message: from the bytes that came straight to who reads the stream.

nats-py buffers what comes for a task, which makes of each message a dictionary of headers and an object, puts
it into a queue, and wakes another task that calls back: 9 microseconds, and three more turns of the loop.
What comes in order needs none of that. Everything else, control messages, answers, what is out of order or
malformed, goes nats-py's own way.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final, NamedTuple

from nats.aio.client import Client
from nats.aio.subscription import Subscription
from nats.aio.transport import TcpTransport, Transport
from nats.protocol.parser import Parser

Taker = Callable[[list[bytes], bytes, int], bool]
"""Is given the words of ``MSG`` or ``HMSG``, what came, and where in it the message begins.

Returns whether it has taken the message; else nothing must have changed. Never raises.
"""
_END: Final = b"\r\n"
_MESSAGES: Final = (b"MSG ", b"HMSG ")
_ID: Final = 2
"""The word that is the subscription's id."""
_AT_ONCE: Final = 16 * 1024
"""Bytes that are dealt with as they come, in a millisecond; more is buffered, and read in its turn."""
_NO_SPACES: Final = bytes.maketrans(b"\v\f", b"\x7f\x7f")
"""A subject may hold these, and nats-py would take them for its end; in an id we allow none of them."""


def utf8(word: bytes) -> str:
    """A subject as text; empty, which is none, where it is not UTF-8: the server does not look."""
    try:
        return word.decode()
    except UnicodeDecodeError:
        return ""


class _Unit(NamedTuple):
    """A message, or another line of the protocol, in what came; none if it is empty."""

    begin: int
    end: int
    """Of its first line, without what ends that."""
    after: int


class ExpressParser(Parser):
    """nats-py's parser, which is given whole messages only, and those that no taker wants."""

    def __init__(self, client: Client) -> None:
        self.takers: dict[bytes, Taker] = {}
        """By the id of the subscription."""
        self.told = ""
        """The last error that the server told, in its own letters."""
        self._connection = 0
        self._parsed: int | None = None
        """The connection that `parse` is at work for: it may be waiting in the middle of what came."""
        super().__init__(client)

    def reset(self) -> None:
        """The connection is another one."""
        self._held = b""
        self._connection += 1
        super().reset()

    async def parse(self, data: bytes = b"") -> None:
        """Deal with everything that is complete; malformed input raises nats-py's error for it."""
        connection, data = self._connection, self._held + data
        self._parsed = connection
        begin = 0
        try:
            while (unit := self._offer(data, begin)).begin < unit.after:
                begin, end, after = unit
                if data.startswith(b"-ERR", begin):
                    self.told = utf8(data[begin:end])
                await super().parse(data[begin:end].translate(_NO_SPACES) + data[end:after])
                if connection != self._connection:
                    return
                begin = after
            self._held = data[unit.begin :]
        finally:
            if self._parsed == connection:
                self._parsed = None

    def feed(self, data: bytes) -> bytes:
        """Give the takers what they want of the beginning; what is left has to be parsed.

        To be called with what comes next, and only while nothing that came before is to be parsed yet.
        """
        if self._parsed == self._connection:
            return data
        data = self._held + data
        begin, _, after = self._offer(data, 0)
        is_complete = begin < after
        self._held = b"" if is_complete else data[begin:]
        return data[begin:] if is_complete else b""

    def _offer(self, data: bytes, begin: int) -> _Unit:
        """Offer message after message; where the first one is that is complete and that nobody takes."""
        while (end := data.find(_END, begin)) >= 0:
            after = end + len(_END)
            taker = None
            if data.startswith(_MESSAGES, begin):
                words = data[begin:end].split(b" ")
                if words[-1].isdigit() and len(words) > _ID:  # else it is malformed: nats-py says so
                    after += int(words[-1]) + len(_END)
                    taker = self.takers.get(words[_ID])
                if after > len(data):
                    break
            if taker is None or not taker(words, data, end + len(_END)):
                return _Unit(begin, end, after)
            begin = after
        return _Unit(begin, begin, begin)


@contextmanager
def fed_first(transport: Transport | None, parser: Parser) -> Iterator[None]:
    """Show ``parser`` what comes before it is buffered for nats-py's reading task, as long as this lasts.

    Over NATS's WebSocket all goes nats-py's way.
    """
    if not isinstance(transport, TcpTransport) or not isinstance(parser, ExpressParser):
        yield
        return
    reader: Any = transport._io_reader
    buffer = reader.feed_data

    def feed_data(data: bytes) -> None:
        if len(data) <= _AT_ONCE and not reader._buffer:
            data = parser.feed(data)
        buffer(data)

    reader.feed_data = feed_data
    try:
        yield
    finally:
        del reader.feed_data


@contextmanager
def at_once(client: Client, subscription: Subscription, taker: Taker) -> Iterator[None]:
    """Offer the messages of a subscription to ``taker`` first, as long as this lasts.

    They go nats-py's way where the client does not have our parser.
    """
    parser = client._ps
    if not isinstance(parser, ExpressParser):
        yield
        return
    sid = str(subscription._id).encode()
    parser.takers[sid] = taker
    try:
        yield
    finally:
        del parser.takers[sid]
