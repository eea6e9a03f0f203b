"""What the bench says on the wire, made by hand: handshakes, frames, events, NATS commands."""

import struct
import time
from typing import Final

MARKER: Final = 0xC3
"""A byte that each event has once: the first of ``é``.

Nothing else has it: other text is ASCII, and the length in a frame's header never ends in it (an event of
`EVENT_BYTES` with its ``seq`` is some 415 bytes long; what nats-server joins has an even length, always).
"""
EVENT_BYTES: Final = 400
SENT: Final = b'"sent":'
"""The send time follows, in `SENT_DIGITS` digits."""
SENT_DIGITS: Final = 16
_ERA: Final = 10**15
"""Added to microseconds, so that the digits are always as many."""
_TEXT: Final = 0x81
_PONG: Final = 0x8A
_MASK: Final = b"\0\0\0\0"
"""A mask that changes nothing: what the client says needs no work."""
PONG: Final = bytes((_PONG, 0x80)) + _MASK
"""Keeps a connection alive; a server takes it without an answer."""

_BROWSER: Final = (
    "GET {path} HTTP/1.1\r\n"
    "Host: {host}\r\n"
    "Connection: Upgrade\r\n"
    "Pragma: no-cache\r\n"
    "Cache-Control: no-cache\r\n"
    "User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 "
    "Safari/537.36\r\n"
    "Upgrade: websocket\r\n"
    "Origin: http://{host}\r\n"
    "Sec-WebSocket-Version: 13\r\n"
    "Accept-Encoding: gzip, deflate, br, zstd\r\n"
    "Accept-Language: en-GB,en;q=0.9,de;q=0.8\r\n"
    "Cookie: session=5f2b6c1e8d9a4c03b7e2f1a09c8d7e6f; theme=dark\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
    "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n"
    "\r\n"
)


def now_us() -> int:
    """Microseconds of a clock that all processes of this machine share."""
    return _ERA + time.monotonic_ns() // 1000


def handshake(path: str, host: str) -> bytes:
    """The request of a browser for a WebSocket."""
    return _BROWSER.format(path=path, host=host).encode()


def client_frame(text: str) -> bytes:
    """One text message of a client."""
    data = text.encode()
    if len(data) < 126:
        return bytes((_TEXT, 0x80 | len(data))) + _MASK + data
    return bytes((_TEXT, 0x80 | 126)) + struct.pack(">H", len(data)) + _MASK + data


def event(event_type: str, number: int, execution: str, agent: str, sent_us: int) -> bytes:
    """An event of `EVENT_BYTES` bytes, as a crew worker publishes it, with its send time and one marker."""
    text = (
        f'{{"event_id":"bench-{number:012d}","event_type":"{event_type}",'
        f'"timestamp":"2026-01-01T12:00:00.000000Z","priority":"normal","source":"bench","crew_id":"c1",'
        f'"execution_id":"{execution}","agent_id":"{agent}","sequence":{number + 1},'
        f'"data":{{"sent":{sent_us},"{_KEYS[event_type]}":"r\u00e9sum: '
    ).encode()
    begin = number * 7 % len(_PROSE)
    return text + _PROSES[begin : begin + EVENT_BYTES - len(text) - 3] + b'"}}'


_PROSE: Final = (
    b"The analysis is complete: of twelve suppliers, three meet every requirement, two are cheaper but "
    b"deliver late, and the others were left out for want of recent figures. Next, the writer turns the "
    b"table into one page for the board, with sources; the reviewer checks each number against its report. "
)
_PROSES: Final = _PROSE * 3
"""So that what is compressed is like what agents say, and never twice the same."""

_KEYS: Final = {"task.completed": "result", "llm.chunk": "text"}
"""The text that the payload of each type requires."""


def subject(event_type: str, execution: str) -> str:
    """Where the event is published."""
    return f"{event_type}.c1.{execution}"


def publish(subject_: str, payload: bytes, number: int, *, with_id: bool, reply: str = "") -> bytes:
    """The NATS command; ``with_id`` adds the header by which JetStream stores a message once."""
    to = f"{subject_} {reply} " if reply else f"{subject_} "
    if not with_id:
        return f"PUB {to}{len(payload)}\r\n".encode() + payload + b"\r\n"
    head = f"NATS/1.0\r\nNats-Msg-Id: bench-{number:012d}\r\n\r\n".encode()
    return f"HPUB {to}{len(head)} {len(head) + len(payload)}\r\n".encode() + head + payload + b"\r\n"
