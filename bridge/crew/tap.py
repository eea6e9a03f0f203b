"""The tap: everything that the crews of this process do, on its way to the stream."""

import atexit
import logging
import os
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from bridge.crew.connection import Options
from bridge.crew.courier import Courier
from bridge.crew.draft import Policy
from bridge.crew.endings import Sigterm
from bridge.crew.journal import Journal
from bridge.crew.ledger import Ledger
from bridge.crew.message import Message
from bridge.crew.outbox import Outbox
from bridge.crew.pulse import Pulse, worker_name
from bridge.crew.recorder import Recorder
from contracts import WebSocketEvent

log = logging.getLogger(__name__)

_ENDED: Final = "the process ended before the run did"
_TERMINATED: Final = "the process was terminated (SIGTERM) before the run ended"
_inherited: Final[list[object]] = []
"""What a forked child must neither use nor close: its parent does both."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """Where a worker's events go, and how long anything may wait for that."""

    nats_url: str = field(repr=False)
    stream: str
    nats_options: Options | None
    spool_directory: Path
    max_queue_bytes: int
    end_wait_seconds: float
    exit_wait_seconds: float


class Tap:
    """Records and delivers, until closed.

    Safe in any thread. In a forked child it starts anew with the child's first event.
    """

    def __init__(self, delivery: Delivery, policy: Policy, ledger: Ledger) -> None:
        self._delivery = delivery
        self._policy = policy
        self._starting = threading.Lock()
        self._stale = False
        self._is_closed = False
        self._detach: Callable[[], None] = _nothing
        self._build(ledger)
        self._sigterm = Sigterm(self._terminated)
        self._sigterm.install()
        atexit.register(self._end)
        os.register_at_fork(after_in_child=self._forked)

    @property
    def closed(self) -> bool:
        """Whether it records no more."""
        return self._is_closed or not (self._stale or self._courier.alive)

    def attach(self, detach: Callable[[], None]) -> None:
        """Say how to undo whatever brings events here, for when the tap is closed."""
        self._detach = detach

    def record(self, source: Any, event: Any) -> None:
        """Take note of an event of CrewAI's. Never raises; waits only where an execution ends."""
        try:
            if self._stale:
                self._renew()
        except RuntimeError:
            log.debug("no thread can be started any more", exc_info=True)
            return
        self._recorder.record(source, event)

    def publish(self, event: WebSocketEvent) -> None:
        """Queue an event of the application's own. Never waits; see `flush`."""
        if self._stale:
            self._renew()
        metadata = {"worker": self._worker, **event.metadata}
        self._outbox.put(Message.of(event.model_copy(update={"metadata": metadata})))

    def flush(self, seconds: float = 5.0) -> bool:
        """Whether all that was recorded is stored by NATS or kept on disk, waiting ``seconds`` at most."""
        self._recorder.publish_announcements()
        self._journal.close_all()
        return self._courier.flush(seconds)

    def statistics(self) -> dict[str, int]:
        """What was published and lost since the start, and what waits, in memory and on disk."""
        return {
            "published": self._courier.accounts.published,
            "waiting": self._courier.accounts.waiting,
            "waiting_bytes": self._courier.accounts.waiting_bytes,
            "on_disk": self._courier.accounts.on_disk,
            **self._courier.accounts.losses(),
            "not_recorded": self._recorder.failures,
        }

    def close(self) -> None:
        """Stop recording, deliver what there is or keep it on disk, and let go of the process."""
        self._is_closed = True
        self._detach()
        self._sigterm.remove()
        atexit.unregister(self._end)
        if not self._stale:
            self._recorder.publish_announcements()
            self._journal.close_all()
            self._courier.stop(self._delivery.exit_wait_seconds)

    def _build(self, ledger: Ledger) -> None:
        delivery, self._worker = self._delivery, worker_name()
        policy = replace(self._policy, worker=self._worker)
        self._outbox = Outbox(delivery.max_queue_bytes)
        self._journal = Journal(self._outbox, policy)
        self._recorder = Recorder(ledger, self._journal, policy, self._execution_ended)
        self._courier = Courier(
            self._outbox,
            delivery.nats_url,
            stream=delivery.stream,
            options=delivery.nats_options,
            spool_directory=delivery.spool_directory,
            tick=self._journal.close_due,
            pulse=Pulse(worker=self._worker),
        )
        self._courier.start()

    def _execution_ended(self) -> None:
        self._courier.flush(self._delivery.end_wait_seconds)

    def _end(self) -> None:
        """The process ends in an orderly way."""
        if not self._stale:
            self._give_up(_ENDED)
            self._courier.stop(self._delivery.exit_wait_seconds)

    def _terminated(self, die: Callable[[], None]) -> None:
        """SIGTERM, in the middle of whatever the main thread does: another thread has to do the rest."""
        if self._stale or not self._courier.alive:
            die()
        else:
            seconds = self._delivery.exit_wait_seconds
            self._courier.stop_soon(seconds, lambda: self._give_up(_TERMINATED), die)

    def _give_up(self, reason: str) -> None:
        self._recorder.end_open_runs(reason)
        self._journal.close_all()

    def _forked(self) -> None:
        self._stale = True
        self._starting = threading.Lock()

    def _renew(self) -> None:
        """In a forked child: threads, connections and locks are the parent's, and what waits it delivers."""
        with self._starting:
            if not self._stale:
                return
            _inherited.append((self._outbox, self._journal, self._recorder, self._courier))
            self._build(self._recorder.ledger.forked())
            self._stale = False
        if "multiprocessing.util" in sys.modules:
            # Its children leave by os._exit, where atexit is not heard.
            sys.modules["multiprocessing.util"].Finalize(None, self._end, exitpriority=0)


def _nothing() -> None:
    """Nothing was attached."""
