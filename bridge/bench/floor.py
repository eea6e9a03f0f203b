"""The physical limit: a bare loop of ``send`` over as many sockets, the same bytes, nothing else."""

import json
import select
import signal
import socket as sockets
import sys
import time
from collections.abc import Sequence
from typing import Final

_ACCEPTED: Final = (
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"
)
_SEND_BUFFER: Final = 128 * 1024
"""As the bridge sets it."""
_REQUEST_BYTES: Final = 4096
_TICK_SECONDS: Final = 0.001
"""As the publisher's: what is due within it goes out together."""


def main(connections: int, groups: int) -> None:
    """Accept so many, then send as told: by lines ``{"size": bytes, "times": n, "every": seconds}``.

    Each connection gets it ``times``, ``every`` so many seconds; the groups, of every ``groups``-th
    connection, take turns in that time, as what is published for them does.
    """
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())
    listener = sockets.create_server(("127.0.0.1", 0), backlog=4096)
    print("port", listener.getsockname()[1], flush=True)
    accepted = [_accept(listener) for _ in range(connections)]
    turns = [accepted[n::groups] for n in range(groups)]
    for line in sys.stdin:
        _send(turns, **json.loads(line))
        print("sent", flush=True)


def _send(groups: Sequence[Sequence[sockets.socket]], size: int, times: int, every: float) -> None:
    data = b"x" * (size - 2) + b"\xc3."
    turns, rate = times * len(groups), len(groups) / every if every else 0.0
    began, done = time.monotonic(), 0
    while done < turns:
        due = min(turns, int((time.monotonic() - began) * rate) + 1) if rate else turns
        for turn in range(done, due):
            _write(groups[turn % len(groups)], data)
        done = due
        if rate:
            time.sleep(max(_TICK_SECONDS, began + done / rate - time.monotonic()))


def _write(group: Sequence[sockets.socket], data: bytes) -> None:
    """To each of them, without waiting for one of them while others have room."""
    size = len(data)
    left: dict[int, tuple[sockets.socket, int]] = {}
    for socket in group:
        try:
            sent = socket.send(data)
        except BlockingIOError:
            sent = 0
        if sent < size:
            left[socket.fileno()] = socket, sent
    if left:
        _write_rest(left, data)


def _write_rest(left: dict[int, tuple[sockets.socket, int]], data: bytes) -> None:
    """What did not fit, as its readers make room; to wait for that is not work."""
    view = memoryview(data)
    with select.epoll() as room:
        for fd in left:
            room.register(fd, select.EPOLLOUT)
        while left:
            time.sleep(_TICK_SECONDS)
            for fd, _ in room.poll(0):
                socket, sent = left.pop(fd)
                sent += socket.send(view[sent:])
                if sent < len(data):
                    left[fd] = socket, sent
                else:
                    room.unregister(fd)


def _accept(listener: sockets.socket) -> sockets.socket:
    socket, _ = listener.accept()
    socket.setsockopt(sockets.SOL_SOCKET, sockets.SO_SNDBUF, _SEND_BUFFER)
    socket.setsockopt(sockets.IPPROTO_TCP, sockets.TCP_NODELAY, 1)
    socket.recv(_REQUEST_BYTES)
    socket.sendall(_ACCEPTED)
    socket.setblocking(False)
    return socket


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
