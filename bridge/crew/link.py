"""The link: one connection to NATS, from its making until it breaks.

It never reconnects. What a broken connection had not acknowledged is sent again, from the first of it, over
a new one; so the order holds, which a client that reconnects by itself and resends its buffer cannot promise.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from itertools import count
from time import monotonic
from typing import Final

from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import ConnectionClosedError, Error
from nats.js.api import Header, StreamConfig, StreamInfo, StreamState

from bridge.crew.acknowledgements import Ack, PassedOver, judged, look_at, outcome_of, read, takes
from bridge.crew.connection import (
    CONNECT_SECONDS,
    FAULTS,
    Options,
    cancellations,
    connection,
    end_if_cancelled,
)
from bridge.crew.doubt import Doubt, Position, Search
from bridge.crew.message import Message
from bridge.crew.search import NotPermittedError, Searcher, UnfinishedError
from contracts.publishing import TRY_SECONDS, Outcome, Reason, lethal, sent_size
from contracts.types import SHORT_LIFE_SECONDS

log = logging.getLogger(__name__)

_WATCH_SECONDS: Final = 0.2
_DENIED: Final = "permissions violation for publish to "


class UnclearError(Error):
    """One of the messages that were sent was refused, and it was not said which: send them one by one."""


class Link:
    """Publishes in order and knows what the stream has acknowledged.

    The acknowledgements come to an inbox of its own: in nats-py's ``publish_async`` an answer that is an
    error is lost, and only a timeout tells.
    """

    def __init__(self, client: Client, stream: str, info: StreamInfo) -> None:
        self._client = client
        self._stream = stream
        self._expiring = bool(info.config.allow_msg_ttl)
        self._base = Position(str(info.created or ""), info.state.last_seq)
        self._now = self._base
        """What the stream has acknowledged last."""
        limits = info.config.consumer_limits
        kept = (limits.inactive_threshold if limits else None) or 0
        self._searcher = Searcher(client, stream, self._is_denied, kept)
        self._denied: set[str] = set()
        self._shared: Search | None = None
        self._inbox = client.new_inbox()
        self._numbers = count()
        self._unacked: dict[str, tuple[Message, asyncio.Future[Reason | None]]] = {}
        self._unclear: Reason | None = None
        """Why one of the unacknowledged messages is refused, where it was not said which."""
        self.faulty = False
        """Whether something went wrong on this link: the next thing to send belongs on another."""

    async def open(self) -> None:
        """Be ready for acknowledgements."""
        await self._client.subscribe(f"{self._inbox}.*", cb=self._answered)

    async def send(
        self, batch: Sequence[Message], seconds: float, *, passing_over: bool = False, patient: bool = True
    ) -> list[PassedOver]:
        """Return when all is acknowledged: the messages that the stream will never take.

        With ``passing_over`` also those whose subjects it does not have; unless ``patient``, also those that
        were answered with an error that we do not know. Anything else that goes wrong raises one of `FAULTS`,
        and the whole batch is to be sent again over another link. ``seconds`` bounds the whole of it.
        """
        try:
            async with asyncio.timeout(seconds):
                acks = [await self._publish(message) for message in batch]
                await self._all(acks)
                sent = list(zip(batch, acks, strict=True))
                foreign = await self._foreign(sent) if passing_over else []
            return [over for message, ack in sent if (over := judged(message, ack, foreign, patient=patient))]
        except FAULTS as error:
            self.faulty = True
            if self._unclear is None:
                raise
            if len(batch) == 1:
                return [PassedOver(batch[0], self._unclear)]
            raise UnclearError(str(error)) from error

    async def send_once(
        self,
        batch: Sequence[Message],
        seconds: float,
        doubt: Doubt,
        *,
        passing_over: bool = False,
        patient: bool = True,
    ) -> list[PassedOver]:
        """Like `send`, for the first messages of a queue: what the stream holds already is left out.

        Raises `UnfinishedError` as long as that is not known; the link is as good as before.
        """
        self.meet(doubt)
        stored = await self._stored(batch[: doubt.messages], doubt) if doubt.messages else {}
        rest = [message for message in batch if message.event_id not in stored]
        try:
            over = await self.send(rest, seconds, passing_over=passing_over, patient=patient)
        except BaseException:
            doubt.sent(len(batch))
            raise
        doubt.settled([message.event_id for message in batch], self._now, stored)
        return over

    def meet(self, doubt: Doubt) -> None:
        """Judge by the stream that is there where something that was sent may be."""
        doubt.meet(self._base, self._now)

    async def _stored(self, batch: Sequence[Message], doubt: Doubt) -> Mapping[str, int]:
        """What of ``batch`` is in the stream, as far as this can be known within a minute."""
        search = self._search(batch, doubt)
        reached = search.reached
        try:
            await self._searcher.run(search, self._base.seq if doubt.is_about_all else None)
        except NotPermittedError:
            log.debug("not known whether it is stored: the stream may not be read")
        except FAULTS as error:
            if search.reached > reached:
                doubt.failing_since = None
            doubt.failing_since = doubt.failing_since or monotonic()
            if monotonic() - doubt.failing_since < TRY_SECONDS:
                self.faulty = self.faulty or not isinstance(error, UnfinishedError)
                raise
            log.warning("not known whether it is stored: %s: %s", type(error).__name__, error)
        else:
            doubt.failing_since = None
        return search.stored

    def _search(self, batch: Sequence[Message], doubt: Doubt) -> Search:
        """The search for ``batch``, which may have begun; what others left is looked for together."""
        wanted = {message.event_id: message.subject for message in batch}
        since = doubt.since.seq if doubt.since else 0
        known = self._shared if doubt.is_about_all else doubt.search
        if known is None or not known.serves(wanted, since, self._base):
            wanted |= dict(doubt.ahead())
            known = Search(self._base, since, frozenset(wanted), frozenset(wanted.values()), since)
        if doubt.is_about_all:
            self._shared = known
        else:
            doubt.search = known
        return known

    def _is_denied(self, subject: str) -> bool:
        """Whether this user may not publish on what begins so, in lower case, as far as was heard."""
        return any(denied.startswith(subject) for denied in self._denied)

    async def _foreign(self, sent: Sequence[tuple[Message, Ack]]) -> list[Message]:
        """What nobody took, or another stream would have: the stream is there, and not for its subject."""
        untaken = [message for message, ack in sent if outcome_of(ack.exception()) is Outcome.ASK]
        if not untaken:
            return []
        info = await self._client.jetstream(timeout=CONNECT_SECONDS).stream_info(self._stream)
        subjects = info.config.subjects or []
        return [m for m in untaken if not any(takes(subject, m.subject) for subject in subjects)]

    async def _all(self, acks: list[Ack]) -> None:
        """Wait for all; the client tells of its end by a callback, except where closing itself fails."""
        waiting: set[Ack] = set(acks)
        while waiting:
            if self._client.is_closed:
                self.break_off()
            _, waiting = await asyncio.wait(waiting, timeout=_WATCH_SECONDS)

    async def _publish(self, message: Message) -> Ack:
        """The acknowledgement to come: why the message is passed over, or None if it is in the stream."""
        ack: Ack = asyncio.get_running_loop().create_future()
        headers = self._headers(message)
        if sent_size(message.payload, headers) > self._client.max_payload:
            ack.set_result(Reason.TOO_LARGE)
            return ack
        ack.add_done_callback(look_at)
        number = str(next(self._numbers))
        self._unacked[number] = (message, ack)
        await self._client.publish(
            message.subject, message.payload, reply=f"{self._inbox}.{number}", headers=headers
        )
        return ack

    def _headers(self, message: Message) -> dict[str, str]:
        headers = {Header.MSG_ID.value: message.event_id, Header.EXPECTED_STREAM.value: self._stream}
        if message.short_lived and self._expiring:
            headers[Header.MSG_TTL.value] = str(SHORT_LIFE_SECONDS)
        return headers

    async def _answered(self, answer: Msg) -> None:
        _, ack = self._unacked.pop(answer.subject.rpartition(".")[2], (None, None))
        if ack is None or ack.done():
            return
        try:
            reason, seq = read(answer)
            self._now = self._now if seq is None else self._now._replace(seq=seq)
            ack.set_result(reason)
        except (Error, ValueError, LookupError) as error:
            ack.set_exception(error if isinstance(error, Error) else Error(f"no acknowledgement: {error}"))

    def told(self, text: str) -> None:
        """Take note of what the server complains of, in lower case: of a message, it may be.

        It names the subject, and neither the message nor the case of the letters: where that leaves a
        choice, `send` has to find out.
        """
        _, is_denial, quoted = text.partition(_DENIED)
        if not is_denial:
            self._unclear = lethal(text) or self._unclear
            return
        self._denied.add(quoted.strip("'\""))
        meant = {
            m.subject for m, _ in self._unacked.values() if f'"{m.subject.lower()}"' == quoted.strip("'")
        }
        if len(meant) != 1:
            if self._unacked:
                self._unclear = Reason.DENIED
                self.break_off()
            return
        for message, ack in self._unacked.values():
            if message.subject in meant and not ack.done():
                ack.set_result(Reason.DENIED)
        self._unacked = {n: waiting for n, waiting in self._unacked.items() if not waiting[1].done()}

    async def broken(self) -> None:
        """Return when nothing more should be sent over this link."""
        # The client tells of its end by a callback, except where closing itself fails.
        while not (self.faulty or self._client.is_closed):  # noqa: ASYNC110
            await asyncio.sleep(_WATCH_SECONDS)
        self.break_off()

    def break_off(self) -> None:
        """What is not acknowledged now never will be."""
        self.faulty = True
        for _, ack in self._unacked.values():
            if not ack.done():
                ack.set_exception(ConnectionClosedError())
        self._unacked.clear()


@asynccontextmanager
async def connected(url: str, stream: str, options: Options | None = None) -> AsyncIterator[Link]:
    """A link to ``stream``, closed at the end; one of `FAULTS` if there is no server or no such stream.

    ``url`` may name several servers, with commas between them.
    """
    asked = cancellations()
    links: list[Link] = []

    def on_complaint(text: str) -> None:
        for link in links:
            link.told(text)

    async def on_closed() -> None:
        for link in links:
            link.break_off()

    async with connection(url, options, on_complaint=on_complaint, on_closed=on_closed) as client:
        links.append(Link(client, stream, await _info(client, stream)))
        await links[0].open()
        end_if_cancelled(asked)
        yield links[0]


async def _info(client: Client, stream: str) -> StreamInfo:
    """How the stream is; nothing where this may not be asked."""
    try:
        return await client.jetstream(timeout=CONNECT_SECONDS).stream_info(stream)
    except TimeoutError:
        nothing = StreamState(messages=0, bytes=0, first_seq=0, last_seq=0, consumer_count=0)
        return StreamInfo(config=StreamConfig(), state=nothing)
