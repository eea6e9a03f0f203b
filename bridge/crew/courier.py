"""The courier: one thread with a loop of its own that carries messages from the outbox to the stream.

What cannot be sent goes to the spool, and from there, in the same order, to the stream when it answers again.
"""

import asyncio
import logging
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from time import monotonic
from typing import Final

from bridge.crew.accounts import Accounts
from bridge.crew.backlog import Backlog
from bridge.crew.connection import Options, cancellations, end_if_cancelled
from bridge.crew.doubt import Doubt
from bridge.crew.link import Link, connected
from bridge.crew.losses import REPORT_SECONDS, LossReport
from bridge.crew.message import Message
from bridge.crew.outbox import Outbox
from bridge.crew.pulse import Pulse
from bridge.crew.sender import ACK_SECONDS, BATCH, Sender
from bridge.crew.spool import Spool
from contracts.servers import hidden

log = logging.getLogger(__name__)

PATIENCE_SECONDS: Final = 2.5
"""How long messages wait in memory for a connection, unless somebody waits for them to be safe."""
_LINGER: Final = 0.02
"""Seconds for more to come: one waking then serves many events. A quarter of it costs crews twice as much."""
_DISK_PAUSE: Final = 1.0
"""Seconds after which a disk that took nothing is tried again, unless somebody waits."""
_FIRST_PAUSE: Final = 0.05
_LONGEST_PAUSE: Final = 2.0


class Courier:
    """Owns the connection and the spool, both on its own thread."""

    def __init__(
        self,
        outbox: Outbox,
        url: str,
        *,
        stream: str,
        options: Options | None,
        spool_directory: Path,
        tick: Callable[[], float | None],
        pulse: Pulse | None = None,
    ) -> None:
        self._outbox = outbox
        self._target = (url, stream, options)
        self._backlog = Backlog(spool_directory)
        self._tick = tick
        self._thread = threading.Thread(target=self._run, name="crew-bridge", daemon=True)
        self._wake = asyncio.Event()
        self._link: Link | None = None
        self._disk_fails_until = 0.0
        self._failures = 0
        self._down_since = monotonic()
        self._pulse = pulse or Pulse()
        self._report = LossReport(self._pulse.worker)
        self.accounts = Accounts(outbox, self._backlog)
        self._sender = Sender(self.accounts, self._report)
        self._deadline: float | None = None
        self._farewell: Callable[[], None] = _nothing
        self._last_words: Callable[[], None] = _nothing

    @property
    def alive(self) -> bool:
        """Whether the thread runs."""
        return self._thread.is_alive()

    def start(self) -> None:
        """Begin to connect and to carry."""
        self._thread.start()

    def flush(self, seconds: float) -> bool:
        """Whether everything put so far is acknowledged or on disk, waiting ``seconds`` at most."""
        if not self.alive:
            return False
        fence = self._outbox.fence()
        return fence.passed.wait(seconds) and fence.safe

    def stop(self, seconds: float) -> None:
        """Carry what is there, put the rest on disk, and end the thread within ``seconds``."""
        self.stop_soon(seconds, _nothing, _nothing)
        if self._thread.is_alive():
            self._thread.join(seconds + ACK_SECONDS)

    def stop_soon(self, seconds: float, farewell: Callable[[], None], last_words: Callable[[], None]) -> None:
        """Like `stop`, but return at once. Safe in a signal handler.

        On the thread, ``farewell`` may still put messages, and ``last_words`` runs when all is done.
        """
        self._farewell, self._last_words = farewell, last_words
        self._deadline = monotonic() + seconds
        self._outbox.call()

    def _run(self) -> None:
        try:
            asyncio.run(self._main())
        except Exception:
            log.exception("the courier fell")
        self._last_words()

    async def _main(self) -> None:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, context: log.debug("%s", context.get("message")))
        self._backlog.search()
        self._outbox.listen(lambda: _call_soon(loop, self._wake.set))
        async with asyncio.TaskGroup() as group:
            keeper = group.create_task(self._keep_connected())
            await self._carry()
            keeper.cancel()
        self._backlog.close()

    async def _keep_connected(self) -> None:
        pause, asked = _FIRST_PAUSE, cancellations()
        while True:
            try:
                async with connected(*self._target) as link:
                    self._link, self._failures, pause = link, 0, _FIRST_PAUSE
                    self._wake.set()
                    await link.broken()
            except Exception as error:  # Not only `FAULTS`: options and credentials can be wrong in any way.
                self._complain(error)
            self._lose(self._link)
            end_if_cancelled(asked)
            await asyncio.sleep(pause)
            pause = min(pause * 2, _LONGEST_PAUSE)

    def _complain(self, error: Exception) -> None:
        level = logging.DEBUG if self._failures else logging.WARNING
        log.log(level, "no connection to NATS: %s: %s", type(error).__name__, hidden(str(error)))

    def _lose(self, link: Link | None) -> None:
        """Whoever notices first that the link is gone says so."""
        if link is not None:
            self._down_since = monotonic()
        self._link = None
        self._failures += 1
        self._wake.set()

    async def _carry(self) -> None:
        while not self._done():
            await self._rest(self._tick())
            if self._link is not None or self._must_not_wait():
                await self._carry_some()

    async def _rest(self, seconds: float | None) -> None:
        """Sleep until there is something to do, ``seconds`` at most."""
        if self._link is None:
            pause = self._pause_without_link()
            seconds = pause if seconds is None else min(seconds, pause)
        elif self._backlog.next() or (self._may_take() and (self._outbox or self._unreported())):
            seconds = 0
        else:
            pause = self._pulse.wait if self._may_take() else self._disk_fails_until - monotonic()
            pause = min(pause, _DISK_PAUSE) if self._backlog.waiting else pause
            seconds = pause if seconds is None else min(seconds, pause)
        await self._woken(seconds)
        urgent = self._outbox.fences or self._deadline is not None
        if not urgent and len(self._outbox) < BATCH and not self._backlog.next():
            await self._woken(_LINGER)

    def _pause_without_link(self) -> float:
        """How long to wait for one, or until the disk is to be tried again."""
        if not (self._outbox and self._must_not_wait()):
            return REPORT_SECONDS
        is_late = self._deadline is not None and monotonic() > self._deadline
        return 0.0 if is_late or self._outbox.fences else self._disk_fails_until - monotonic()

    async def _woken(self, seconds: float | None) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._wake.wait()
        self._wake.clear()

    def _must_not_wait(self) -> bool:
        """Without a link: whether memory is no longer the place to wait for one."""
        if self._failures > 0 and (self._outbox.fences > 0 or self._deadline is not None):
            return True
        now = monotonic()
        urgent = now - self._down_since > PATIENCE_SECONDS or self._outbox.crowded
        return urgent and now > self._disk_fails_until

    def _may_take(self) -> bool:
        """Whether there is a place for what the outbox has: the stream, or a disk that did not just fail."""
        if self._link is not None and not self._backlog.own.waiting:
            return True
        return monotonic() > self._disk_fails_until or self._outbox.fences > 0

    async def _carry_some(self) -> None:
        if self._link is None or self._may_take():
            await self._take_some()
        if self._link is not None and (spool := self._backlog.next()):
            await self._empty(spool, self._link)
        elif self._link is not None:
            self._backlog.search()

    async def _take_some(self) -> None:
        messages, fences = self._outbox.take(self._sender.batch)
        self.accounts.taken = messages
        if self._unreported():
            messages.append(self._report.message(self.accounts.losses()))
        if self._link is not None and not self._pulse.wait:
            messages.append(self._pulse.message(self.accounts.totals()))
        safe = not messages or await self._settle(messages)
        self.accounts.taken = ()
        self._outbox.open(fences, safe=safe and (not fences or self._backlog.own.holds()))
        if not safe:
            self._keep(messages)

    async def _settle(self, messages: list[Message]) -> bool:
        """Whether they are acknowledged, or behind everything else on disk."""
        own = self._backlog.own
        is_first = self._link is not None and not own.waiting
        if is_first and self._link is not None and await self._send(messages, self._link, own.doubt):
            return True
        return own.append(messages)

    def _keep(self, messages: list[Message]) -> None:
        """Neither NATS nor the disk takes them: memory has to, for as long as there is time."""
        if self._deadline is None or monotonic() < self._deadline:
            self._disk_fails_until = monotonic() + _DISK_PAUSE
            self._outbox.put_back(messages)
        else:
            self.accounts.not_spooled += sum(not self._report.is_report(each) for each in messages)

    async def _send(self, messages: list[Message], link: Link, doubt: Doubt) -> bool:
        is_settled = await self._sender.send(messages, link, doubt)
        if link.faulty:
            self._lose(link)
        return is_settled

    async def _empty(self, spool: Spool, link: Link) -> None:
        link.meet(spool.doubt)
        spool.keep_doubt()
        place, messages = spool.first(self._sender.batch)
        if messages and await self._send(messages, link, spool.doubt):
            spool.remove(place)
        self._backlog.passed(spool)

    def _done(self) -> bool:
        if self._deadline is None:
            return False
        farewell, self._farewell = self._farewell, _nothing
        farewell()
        if self._pulse.was_heard:
            self._outbox.put(self._pulse.message(self.accounts.totals(), ending=True))
        late = monotonic() > self._deadline
        carried = self._link is None or not self._backlog.next()
        return not self._outbox and (late or (carried and not self._unreported()))

    def _unreported(self) -> bool:
        return self._report.is_due(self.accounts.losses(), ending=self._deadline is not None)


def _call_soon(loop: asyncio.AbstractEventLoop, callback: Callable[[], object]) -> None:
    with suppress(RuntimeError):  # The loop is closed: nobody is left to wake.
        loop.call_soon_threadsafe(callback)


def _nothing() -> None:
    """Nothing is left to be done."""
