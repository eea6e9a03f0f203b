"""The physical limit: a bare loop of ``send`` over as many sockets, the same bytes, nothing else."""

import json
import signal
import socket as sockets
import sys
import time
from collections.abc import Callable, Sequence
from typing import Final

_ACCEPTED: Final = (
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"
)
_SEND_BUFFER: Final = 128 * 1024
"""As the bridge sets it."""
_REQUEST_BYTES: Final = 4096


def main(connections: int) -> None:
    """Accept so many, then send as told: by lines ``{"size": bytes, "times": n, "every": seconds}``."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())
    listener = sockets.create_server(("127.0.0.1", 0), backlog=4096)
    print("port", listener.getsockname()[1], flush=True)
    accepted = [_accept(listener) for _ in range(connections)]
    sends = [socket.send for socket in accepted]
    for line in sys.stdin:
        _send(sends, **json.loads(line))
        print("sent", flush=True)


def _send(sends: Sequence[Callable[[bytes], int]], size: int, times: int, every: float) -> None:
    data = b"x" * (size - 2) + b"\xc3."
    began = time.monotonic()
    for number in range(1, times + 1):
        for send in sends:
            send(data)
        time.sleep(max(0.0, began + number * every - time.monotonic()))


def _accept(listener: sockets.socket) -> sockets.socket:
    socket, _ = listener.accept()
    socket.setsockopt(sockets.SOL_SOCKET, sockets.SO_SNDBUF, _SEND_BUFFER)
    socket.setsockopt(sockets.IPPROTO_TCP, sockets.TCP_NODELAY, 1)
    socket.recv(_REQUEST_BYTES)
    socket.sendall(_ACCEPTED)
    return socket


if __name__ == "__main__":
    main(int(sys.argv[1]))
