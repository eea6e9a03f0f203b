"""The search of a stream for messages that may have been stored, by their ids.

The stream's leader says how far there is something to see. Headers are read by a consumer, or one by one
where the stream allows none.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Final

from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import Error
from nats.js import JetStreamContext
from nats.js.api import AckPolicy, ConsumerConfig, ConsumerInfo, DeliverPolicy, Header
from nats.js.errors import APIError, NotFoundError

from bridge.crew.doubt import Search

_SECONDS: Final = 2.5
"""How long a part of a search may take."""
_ANSWER_SECONDS: Final = 1.0
_KEPT_SECONDS: Final = 20.0
"""How long a server keeps a consumer that nobody listens to."""
_HEARTBEAT_SECONDS: Final = 1.0
_CONTROL: Final = "100"
"""The status of a message that is the server's own."""
_STALLED: Final = "Nats-Consumer-Stalled"
_READ: Final = "$js.api.stream.msg.get"
_CONSUME: Final = "$js.api.consumer.create"


class UnfinishedError(Error):
    """A search has come further, and not to its end: ask again."""


class NotPermittedError(Error):
    """Who is logged in may not look into the stream."""


class Searcher:
    """Searches one stream over one connection.

    ``denied`` says whether publishing on subjects that begin so was denied; ``kept_seconds`` is how long the
    stream lets consumers be idle, 0 for any time.
    """

    def __init__(
        self, client: Client, stream: str, denied: Callable[[str], bool], kept_seconds: float
    ) -> None:
        self._client = client
        self._stream = stream
        self._denied = denied
        self._kept_seconds = min(_KEPT_SECONDS, kept_seconds or _KEPT_SECONDS)
        self._jetstream: JetStreamContext = client.jetstream(timeout=_ANSWER_SECONDS)

    async def run(self, search: Search, until: int | None) -> None:
        """Bring a search to its end, which lies at ``until`` at most.

        Raises `UnfinishedError` if it came further, `NotPermittedError`, or another of
        `bridge.crew.connection.FAULTS`.
        """
        begin = search.reached
        if until is not None and until <= search.covered:
            return
        try:
            async with asyncio.timeout(_SECONDS):
                ends = await self._ends(search)
                if search.is_over:
                    return
                subjects = sorted(subject for subject, end in ends.items() if end is None or end > begin)
                known = [end for end in ends.values() if end is not None]
                end = max(known) if len(known) == len(ends) else None
                if until is not None and end is not None:
                    end = min(end, until)
                if subjects and (end is None or end > begin):
                    await self._read(search, subjects, end)
                search.covered = until or 0
        except TimeoutError:
            if self._denied(_CONSUME) and self._denied(_READ):
                raise NotPermittedError from None
            if search.reached > begin:
                raise UnfinishedError from None
            raise

    async def _ends(self, search: Search) -> dict[str, int | None]:
        """Where the last message of each subject is, by the leader; None where it may not be asked."""
        asked = list(search.subjects)
        if self._denied(_READ):
            return dict.fromkeys(asked)
        try:
            async with asyncio.timeout(_ANSWER_SECONDS):
                ends = await asyncio.gather(*(self._end(subject, search) for subject in asked))
                return dict(zip(asked, ends, strict=True))
        except TimeoutError:
            if self._denied(_READ):
                return dict.fromkeys(asked)
            raise

    async def _end(self, subject: str, search: Search) -> int:
        """It is often what is looked for: on a bad connection each question more may be one too many."""
        try:
            last = await self._jetstream.get_last_msg(self._stream, subject)
        except NotFoundError:
            return 0
        seq = last.seq or 0
        search.see(_id_in(last.headers), seq)
        return seq

    async def _read(self, search: Search, subjects: Sequence[str], end: int | None) -> None:
        reading = _Reading(self._client, search, end)
        inbox = self._client.new_inbox()
        subscription = await self._client.subscribe(inbox, cb=reading.note)
        try:
            info = await self._consumer(search, subjects, inbox)
            if info is None:
                await self._read_one_by_one(reading, subjects)
                return
            try:
                if info.num_pending or end is not None:
                    await reading.is_over.wait()
            finally:
                with suppress(Error, OSError, TimeoutError):
                    await self._jetstream.delete_consumer(self._stream, info.name)
        finally:
            with suppress(Error):
                await subscription.unsubscribe()

    async def _consumer(self, search: Search, subjects: Sequence[str], inbox: str) -> ConsumerInfo | None:
        """None if the stream, or the server, will have none."""
        config = ConsumerConfig(
            deliver_subject=inbox,
            deliver_policy=DeliverPolicy.BY_START_SEQUENCE,
            opt_start_seq=search.reached + 1,
            filter_subjects=list(subjects),
            ack_policy=AckPolicy.NONE,
            headers_only=True,
            mem_storage=True,
            num_replicas=1,
            inactive_threshold=self._kept_seconds,
            flow_control=True,
            idle_heartbeat=_HEARTBEAT_SECONDS,
        )
        if self._denied(_CONSUME):
            return None
        try:
            return await self._jetstream.add_consumer(self._stream, config)
        except APIError:
            return None
        except TimeoutError:
            if self._denied(_CONSUME):
                return None
            raise

    async def _read_one_by_one(self, reading: "_Reading", subjects: Sequence[str]) -> None:
        """Take each message from the leader; of which there is no other way to see the headers."""
        for subject in subjects:
            seq = reading.begin
            with suppress(NotFoundError):
                while reading.end is None or seq < reading.end:
                    found = await self._jetstream.get_msg(self._stream, seq + 1, subject, next=True)
                    seq = found.seq or 0
                    reading.search.see(_id_in(found.headers), seq)


class _Reading:
    """What a consumer brings."""

    def __init__(self, client: Client, search: Search, end: int | None) -> None:
        self._client = client
        self.search = search
        self.begin = search.reached
        self.end = end
        self.is_over = asyncio.Event()

    async def note(self, message: Msg) -> None:
        """Take note of one, or give the server the sign that it waits for."""
        headers = message.headers or {}
        if headers.get(Header.STATUS.value) == _CONTROL:
            if answer := message.reply or headers.get(_STALLED):
                await self._client.publish(answer)
            return
        about = message.metadata
        self.search.see(_id_in(headers), about.sequence.stream)
        self.search.reached = about.sequence.stream
        is_last = about.num_pending == 0 if self.end is None else about.sequence.stream >= self.end
        if is_last:
            self.is_over.set()


def _id_in(headers: Mapping[str, str] | None) -> str:
    return (headers or {}).get(Header.MSG_ID.value, "")
