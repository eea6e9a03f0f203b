"""Crew workers in one process: publishes at a steady rate, or as fast as the server takes it."""

import socket as sockets
import time
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from bridge.bench.wire import event, now_us, publish, subject

_TICK_SECONDS: Final = 0.001
_WINDOW: Final = 1000
"""Messages published flat out that need not be confirmed yet."""
_INBOX: Final = "_INBOX.bench"


@dataclass(frozen=True, slots=True)
class Plan:
    """What to publish: event ``n`` goes to execution ``n`` modulo ``executions``."""

    events: int
    rate: float | None = None
    """Events a second; None: flat out."""
    executions: int = 1
    event_type: str = "task.completed"
    agent: str = "lead"


@dataclass(frozen=True, slots=True)
class Published:
    """When it was published."""

    first_us: int
    last_us: int


def execution(number: int) -> str:
    """The id of the execution with this number."""
    return f"e{number:05d}"


class Publisher:
    """One connection to a nats-server.

    ``is_stream``: as a crew worker does it, with the header by which a stream stores a message once, and
    with acknowledgements where it is in a hurry.
    """

    def __init__(self, url: str, *, is_stream: bool) -> None:
        address = urlsplit(url)
        self._socket = sockets.create_connection((address.hostname or "", address.port or 0))
        self._socket.setsockopt(sockets.IPPROTO_TCP, sockets.TCP_NODELAY, 1)
        self._is_stream = is_stream
        self._number = time.monotonic_ns() // 1_000_000
        self._socket.sendall(f'CONNECT {{"verbose":false,"headers":true}}\r\nSUB {_INBOX} 1\r\n'.encode())
        self._flush()

    def run(self, plan: Plan) -> Published:
        """Publish, and return when the server has taken it."""
        first = now_us()
        if plan.rate is None:
            self._flat_out(plan)
        else:
            self._steadily(plan, plan.rate)
        last = now_us()
        self._flush()
        return Published(first, last)

    def _steadily(self, plan: Plan, rate: float) -> None:
        began = time.monotonic()
        done = 0
        while done < plan.events:
            due = min(plan.events, int((time.monotonic() - began) * rate) + 1)
            if due > done:
                self._socket.sendall(b"".join(self._command(plan, n) for n in range(done, due)))
                done = due
            time.sleep(max(_TICK_SECONDS, began + done / rate - time.monotonic()))

    def _flat_out(self, plan: Plan) -> None:
        """Half a window at a time: what was published before it must be confirmed."""
        step = _WINDOW // 2
        for begin in range(0, plan.events, step):
            end = min(plan.events, begin + step)
            commands = [self._command(plan, n) for n in range(begin, end - 1)]
            commands.append(self._command(plan, end - 1, reply=_INBOX if self._is_stream else ""))
            self._socket.sendall(b"".join(commands) + (b"" if self._is_stream else b"PING\r\n"))
            if begin:
                self._wait(b"MSG " if self._is_stream else b"PONG")
        self._wait(b"MSG " if self._is_stream else b"PONG")

    def _command(self, plan: Plan, n: int, reply: str = "") -> bytes:
        self._number += 1
        to = execution(n % plan.executions)
        payload = event(plan.event_type, self._number, to, plan.agent, now_us())
        return publish(
            subject(plan.event_type, to), payload, self._number, with_id=self._is_stream, reply=reply
        )

    def _wait(self, word: bytes) -> None:
        """Until the server says it; it also asks whether we are alive."""
        while True:
            line = self._line()
            if line.startswith(b"PING"):
                self._socket.sendall(b"PONG\r\n")
            elif line.startswith(word):
                if word == b"MSG ":
                    self._line()
                return
            elif line.startswith(b"-ERR"):
                raise ConnectionError(line.decode())

    def _line(self) -> bytes:
        line = b""
        while not line.endswith(b"\r\n"):
            byte = self._socket.recv(1)
            if not byte:
                raise ConnectionError("the server ended the connection")
            line += byte
        return line

    def _flush(self) -> None:
        self._socket.sendall(b"PING\r\n")
        self._wait(b"PONG")

    def close(self) -> None:
        """End the connection."""
        self._socket.close()
