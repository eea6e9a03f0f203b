"""What the stream holds, read with plain nats-py and decoded by the contracts."""

import json
from dataclasses import dataclass
from typing import Any

import nats

from contracts.codec import StoredMessage, decode


@dataclass(frozen=True)
class Stored:
    """One message of the stream."""

    subject: str
    payload: bytes
    headers: dict[str, str]
    event: dict[str, Any]

    @property
    def type(self) -> str:
        return str(self.event["event_type"])

    @property
    def crewai(self) -> dict[str, Any]:
        names: dict[str, Any] = self.event.get("metadata", {}).get("crewai", {})
        return names

    @property
    def worker(self) -> str | None:
        name: str | None = self.event.get("metadata", {}).get("worker")
        return name


async def everything(url: str, source: str | None = None, stream: str = "CREW_EVENTS") -> list[Stored]:
    """Every message, in the stream's order, or every one of a source; each has to be a valid event."""
    client = await nats.connect(url)
    try:
        jetstream = client.jetstream()
        count = (await jetstream.stream_info(stream)).state.messages
        subscription = await jetstream.subscribe(">", stream=stream, ordered_consumer=True)
        found = [_stored(await subscription.next_msg(timeout=5), seq + 1) for seq in range(count)]
    finally:
        await client.close()
    return [message for message in found if source is None or message.event.get("source") == source]


def _stored(message: Any, seq: int) -> Stored:
    decode(StoredMessage(message.subject, message.data, seq, 1_700_000_000_000_000_000), "epoch")
    return Stored(message.subject, message.data, message.headers or {}, json.loads(message.data))
