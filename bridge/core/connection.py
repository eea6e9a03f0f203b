"""One client: what it subscribed to, where it is in the log, and what it was sent."""

from collections.abc import Iterable, Iterator
from itertools import groupby
from operator import attrgetter
from typing import Final

from bridge.core.cursor import Cursor
from bridge.core.deflate import deflated
from bridge.core.entry import Entry
from bridge.core.frames import array_frame, frame
from bridge.core.group import Group
from bridge.core.history import Request
from bridge.core.socket import Socket
from bridge.core.view import View
from contracts.messages import Message
from contracts.subscriptions import Subscription

NOTHING: Final = View(frozenset())
"""The view of who has not subscribed yet."""


class Connection:
    """The state of one client's connection; the `Hub` and its parts change it."""

    __slots__ = (
        "backlog",
        "batch",
        "bytes_sent",
        "client_id",
        "cursor",
        "deflate",
        "endpoint",
        "errors",
        "events_sent",
        "filter",
        "group",
        "is_known",
        "is_open",
        "last_heard",
        "messages_said",
        "next_heartbeat",
        "opened_at",
        "opened_ns",
        "socket",
        "subscriptions",
        "taken",
        "taken_at",
        "view",
        "waits_for",
    )

    def __init__(self, client_id: str, endpoint: str, socket: Socket, now: float) -> None:
        self.client_id = client_id
        self.is_known = True
        """Whether the client chose its id: events may have been addressed to it before it came."""
        self.endpoint = endpoint
        self.socket = socket
        self.opened_at = now
        self.opened_ns = 0
        """The same by the clock of the wall, in nanoseconds since 1970: other bridges know no other."""
        self.last_heard = now
        self.next_heartbeat = now
        self.taken = 0
        """Bytes that the socket had taken for good when the sweep last looked."""
        self.taken_at = now
        """When that was more than before, or nothing was left to take."""
        self.backlog = 0
        """Bytes in the socket's buffer when the sweep last looked."""
        self.subscriptions: dict[str, Subscription] = {}
        self.filter = NOTHING.filter
        self.batch = False
        self.deflate = False
        """Whether its socket's other end reads deflated frames."""
        self.view = NOTHING
        self.cursor = Cursor(self.view, 0, client_id)
        self.group: Group[Connection] | None = None
        self.waits_for: Request | None = None
        """What it has asked the stream for, and needs before it can read on."""
        self.is_open = True
        self.errors = 0
        self.events_sent = 0
        self.messages_said = 0
        """Control messages."""
        self.bytes_sent = 0

    @property
    def messages_sent(self) -> int:
        """Events and control messages."""
        return self.events_sent + self.messages_said

    def current_view(self) -> View:
        """The view that subscriptions, filter and options make."""
        return self.view_of(self.subscriptions.values())

    def view_of(self, subscriptions: Iterable[Subscription]) -> View:
        """The view that these would make, with the connection's filter and options."""
        patterns = frozenset(subscription.pattern for subscription in subscriptions)
        return View(patterns, self.filter, self.batch, self.deflate)

    def say(self, message: Message) -> None:
        """Send a control message, now."""
        self.write(frame(message.to_json().encode()), 1)

    def write(self, data: bytes, messages: int) -> None:
        """Send whole frames, now."""
        self.socket.write(data)
        self.bytes_sent += len(data)
        self.messages_said += messages

    def give(self, data: bytes, events: int) -> None:
        """Send ``events`` events, now."""
        self.socket.write(data)
        self.bytes_sent += len(data)
        self.events_sent += events

    def resume_point(self, head: int) -> int:
        """The ``seq`` up to which this connection has been given all that it is to get."""
        if self.group is None:
            return self.cursor.safe
        held = self.group.held(self.cursor.position)
        return held[0].seq - 1 if held else head


def encode(entries: list[Entry], view: View) -> bytes:
    """Entries as frames, one each, or events as a frame with a JSON array; deflated where the view says so.

    A gap has a frame of its own in any case, between what came before it and what comes after.
    """
    if view.batch:
        return b"".join([deflated(data) if view.deflate else data for data in _in_arrays(entries)])
    if view.deflate:
        return b"".join([deflated(entry.frame) for entry in entries])
    if len(entries) == 1:
        return entries[0].frame
    return b"".join([entry.frame for entry in entries])


def _in_arrays(entries: list[Entry]) -> Iterator[bytes]:
    for is_gap, some in groupby(entries, attrgetter("is_gap")):
        if is_gap:
            yield from (entry.frame for entry in some)
        else:
            yield array_frame(entry.payload for entry in some)
