"""Many browsers in one process: connects, then counts markers in what comes. Parses nothing."""

import select
import socket as sockets
import time
from array import array
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

from bridge.bench.messages import Messages
from bridge.bench.wire import MARKER, PONG, SENT, SENT_DIGITS, now_us

_BUFFER_BYTES: Final = 256 * 1024
_WAVE: Final = 64
"""Handshakes under way at a time."""
_CONNECT_SECONDS: Final = 60.0
_POLL_SECONDS: Final = 0.05
_PONG_SECONDS: Final = 20.0
"""How often each connection says that it is alive, as browsers do when they are asked."""
_STALLED_BYTES: Final = 4096
"""What the kernel takes for a connection that is never read."""


@dataclass(frozen=True, slots=True)
class Dial:
    """How one connection is made, and when it is ready."""

    request: bytes
    ready: bytes
    """What comes when the server has done all that was asked."""
    then: bytes = b""
    """Said when the handshake is over."""
    is_stalled: bool = False
    """Never read again once it is ready."""
    is_deflated: bool = False
    """What comes is compressed."""


@dataclass(frozen=True, slots=True)
class Received:
    """What came within one measurement."""

    events: int
    fewest: int
    """Of any connection that is read."""
    closed: int
    """Connections that the server ended."""
    last_us: int
    """When the last event came."""
    latencies_us: "array[int]"
    """Of every event on the sampled connections."""
    cpu_seconds: float
    seconds: float
    bytes: int


class Receiver:
    """The connections of one process, and what came on them."""

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._open: dict[int, sockets.socket] = {}
        self._read: dict[int, Callable[[bytearray], int]] = {}
        self._counts: dict[int, int] = {}
        self._sampled: set[int] = set()
        self._messages: dict[int, Messages] = {}
        self._buffer = bytearray(_BUFFER_BYTES)
        self._latencies: array[int] = array("Q")
        self._closed = 0
        self._pong_due: list[int] = []
        self._pong_at = time.monotonic()

    def connect(self, address: tuple[str, int], dials: list[Dial], sample_every: int) -> float:
        """Make the connections, a wave at a time; the seconds that it took."""
        began = time.monotonic()
        under_way: dict[int, _Handshake] = {}
        try:
            self._connect(address, dials[::-1], under_way, sample_every)
        finally:
            for made in under_way.values():
                made.socket.close()
        return time.monotonic() - began

    def _connect(
        self,
        address: tuple[str, int],
        waiting: list[Dial],
        under_way: dict[int, "_Handshake"],
        sample_every: int,
    ) -> None:
        deadline = time.monotonic() + _CONNECT_SECONDS
        while waiting or under_way:
            while waiting and len(under_way) < _WAVE:
                made = _Handshake(address, waiting.pop())
                under_way[made.socket.fileno()] = made
                self._epoll.register(made.socket, select.EPOLLOUT)
            for fd, _ in self._epoll.poll(_POLL_SECONDS):
                if fd not in under_way:
                    self._note(fd, self._take(fd))
                elif under_way[fd].step(self._epoll):
                    self._keep(under_way.pop(fd), sample_every)
            if time.monotonic() > deadline:
                raise TimeoutError(f"{len(waiting) + len(under_way)} handshakes are not done")

    def _keep(self, made: "_Handshake", sample_every: int) -> None:
        fd = made.socket.fileno()
        self._open[fd] = made.socket
        if made.dial.is_stalled:
            self._epoll.unregister(fd)
            return
        self._read[fd] = made.socket.recv_into
        self._counts[fd] = made.heard.count(MARKER)
        if len(self._counts) % sample_every == 0:
            self._sampled.add(fd)
        if made.dial.is_deflated:
            self._messages[fd] = Messages(is_read=fd in self._sampled)

    def receive(self, expected: int, seconds: float) -> Received:
        """Read until ``expected`` events came, or ``seconds`` are over."""
        self._counts = dict.fromkeys(self._counts, 0)
        return self.go_on(expected, seconds)

    def connect_and_receive(
        self, address: tuple[str, int], dials: list[Dial], expected: int, seconds: float
    ) -> Received:
        """Both at once: also what comes while others still connect counts."""
        took = self.connect(address, dials, len(dials))
        done = self.go_on(expected, seconds)
        return replace(done, seconds=done.seconds + took)

    def go_on(self, expected: int, seconds: float) -> Received:
        """As `receive`, but what came before counts, too."""
        self._latencies = array("Q")
        cpu, began = time.process_time(), time.monotonic()
        events, size = sum(self._counts.values()), 0
        last = now_us()
        while events < expected and time.monotonic() < began + seconds and self._counts:
            ready = self._epoll.poll(_POLL_SECONDS)
            for fd, _ in ready:
                count = self._take(fd)
                size += count
                events += self._note(fd, count)
            last = now_us() if ready else last
            self._say_alive()
        fewest = min(self._counts.values(), default=0)
        spent, took = time.process_time() - cpu, time.monotonic() - began
        return Received(events, fewest, self._closed, last, self._latencies, spent, took, size)

    def _take(self, fd: int) -> int:
        """Bytes read into the buffer; a connection that has ended is forgotten."""
        try:
            count = self._read[fd](self._buffer)
        except BlockingIOError:
            return 0
        except OSError:
            count = 0
        if not count:
            self._forget(fd)
        return count

    def _forget(self, fd: int) -> None:
        self._epoll.unregister(fd)
        self._open.pop(fd).close()
        del self._read[fd]
        self._closed += 1

    def _note(self, fd: int, count: int) -> int:
        """How many events are in the buffer."""
        buffer: bytes | bytearray = self._buffer
        if fd in self._messages:
            events, buffer = self._messages[fd].take(bytes(self._buffer[:count]))
            count = len(buffer)
        else:
            events = buffer.count(MARKER, 0, count)
        if fd in self._counts:
            self._counts[fd] += events
        if events and fd in self._sampled:
            self._sample(buffer, count)
        return events

    def _sample(self, buffer: bytes | bytearray, count: int) -> None:
        now = now_us()
        begin = buffer.find(SENT, 0, count) + len(SENT)
        while len(SENT) <= begin <= count - SENT_DIGITS:
            sent = buffer[begin : begin + SENT_DIGITS]
            if sent.isdigit():  # nats-server cuts into frames anywhere
                self._latencies.append(max(0, now - int(sent)))
            begin = buffer.find(SENT, begin, count) + len(SENT)

    def rest(self, seconds: float) -> None:
        """Throw away what comes, stay alive."""
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0:
            for fd, _ in self._epoll.poll(min(left, _POLL_SECONDS)):
                count = self._take(fd)
                if fd in self._messages:
                    self._messages[fd].take(bytes(self._buffer[:count]))
            self._say_alive()

    def _say_alive(self) -> None:
        """One pong from each connection in `_PONG_SECONDS`, spread over that time."""
        now = time.monotonic()
        if not self._pong_due:
            self._pong_due = list(self._open)
        due = int(len(self._open) * (now - self._pong_at) / _PONG_SECONDS)
        if due < 1:
            return
        self._pong_at = now
        for fd in self._pong_due[:due]:
            try:
                self._open[fd].send(PONG)
            except (OSError, KeyError):
                continue
        del self._pong_due[:due]

    def disconnect(self) -> None:
        """End all connections, at once."""
        for fd, socket in self._open.items():
            if fd in self._read:
                self._epoll.unregister(fd)
            socket.close()
        for known in (self._open, self._read, self._counts, self._sampled, self._messages):
            known.clear()
        self._pong_due.clear()
        self._closed = 0


class _Handshake:
    """One connection on its way."""

    def __init__(self, address: tuple[str, int], dial: Dial) -> None:
        self.dial = dial
        self.socket = sockets.socket()
        if dial.is_stalled:
            self.socket.setsockopt(sockets.SOL_SOCKET, sockets.SO_RCVBUF, _STALLED_BYTES)
        self.socket.setblocking(False)
        self.socket.connect_ex(address)
        self.heard = b""
        self._is_asked = False
        self._has_said_then = not dial.then

    def step(self, epoll: select.epoll) -> bool:
        """The socket is ready for the next step; whether that was the last one."""
        if not self._is_asked:
            self._is_asked = True
            self.socket.sendall(self.dial.request)
            epoll.modify(self.socket, select.EPOLLIN)
            return False
        data = self.socket.recv(_BUFFER_BYTES)
        self.heard += data
        if not data or not self.heard.startswith(b"HTTP/1.1 101"[: len(self.heard)]):
            raise ConnectionError(f"the handshake was refused: {self.heard[:200]!r}")
        if not self._has_said_then and b"\r\n\r\n" in self.heard:
            self._has_said_then = True
            self.socket.sendall(self.dial.then)
        return self._has_said_then and self.dial.ready in self.heard
