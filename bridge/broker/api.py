"""JetStream's API where nats-py does not show all of an answer."""

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final, NamedTuple

from nats.aio.client import Client
from nats.js.api import StreamInfo
from nats.js.errors import APIError

from bridge.broker.replies import nanoseconds_of

API_SECONDS: Final = 2.0
"""How long an answer may take."""


async def ask(client: Client, api: str, request: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """What the server answers to ``$JS.API.<api>``; what it refuses raises nats-py's `APIError`."""
    body = b"" if request is None else json.dumps(request).encode()
    message = await client.request(f"$JS.API.{api}", body, timeout=API_SECONDS)
    reply: dict[str, Any] = json.loads(message.data)
    if "error" in reply:
        APIError.from_error(reply["error"])
    return reply


class Look(NamedTuple):
    """The stream as its leader sees it, and when."""

    info: StreamInfo
    now: datetime
    """By the server's clock."""
    oldest: datetime
    """When the first message was stored; the year 1 where there is none."""
    newest_ns: int
    """When the last message was stored, in nanoseconds since 1970; 0 or less where that is not known."""

    @property
    def first_seq(self) -> int:
        """The first message's ``seq``; if there is none, that of the next."""
        return self.info.state.first_seq

    @property
    def age_apart(self) -> float:
        """The age limit in seconds, if copies of the stream keep to it by clocks of their own; else 0."""
        is_one = (self.info.config.num_replicas or 1) == 1
        return 0.0 if is_one else self.info.config.max_age or 0.0


async def look_at(client: Client, stream: str) -> Look:
    """How the stream is now. NATS errors pass through."""
    reply = await ask(client, f"STREAM.INFO.{stream}")
    state = reply["state"]
    now, oldest = (datetime.fromisoformat(time) for time in (reply["ts"], state["first_ts"]))
    newest_ns = nanoseconds_of(state["last_ts"])  # from_response takes the state apart
    return Look(StreamInfo.from_response(reply), now, oldest, newest_ns)
