"""The pulse: an event every half minute that says that this worker is there, and what waits in it."""

import os
import socket
from collections.abc import Mapping
from time import monotonic
from typing import Final
from uuid import uuid4

from bridge.crew.losses import COMPONENT
from bridge.crew.message import Message
from contracts import create_system_event

PULSE_SECONDS: Final = 30.0
"""Who is silent for three of these, and has not said goodbye, is gone."""


def worker_name() -> str:
    """A name that no other worker has: host, process, and eight digits by chance.

    A process has one for as long as its tap is there; a forked child, and a tap that follows one that was
    closed, count anew and so have another.
    """
    return f"{socket.gethostname()}:{os.getpid()}:{uuid4().hex[:8]}"


class Pulse:
    """Due every ``seconds``, for the first time after as many: a short-lived worker has none."""

    def __init__(self, seconds: float = PULSE_SECONDS, worker: str | None = None) -> None:
        self._seconds = seconds
        self._next = monotonic() + seconds
        self.worker = worker or worker_name()
        """Whose it is: its ``instance``, and the ``metadata.worker`` of all that this worker publishes."""
        self._was_heard = False

    @property
    def wait(self) -> float:
        """Seconds until it is due; 0 if it is."""
        return max(self._next - monotonic(), 0.0)

    @property
    def was_heard(self) -> bool:
        """Whether somebody would miss it."""
        return self._was_heard

    def message(self, totals: Mapping[str, int], *, ending: bool = False) -> Message:
        """The next beat; ``ending`` is goodbye."""
        self._next = monotonic() + self._seconds
        self._was_heard = not ending
        data = {"status": "down" if ending else "ok", "instance": self.worker, **totals}
        metadata = {"worker": self.worker}
        return Message.of(
            create_system_event(COMPONENT, "health_check", source=COMPONENT, data=data, metadata=metadata)
        )
