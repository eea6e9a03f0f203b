"""SIGTERM: time for the last events, where the process has no plan of its own for it."""

import os
import signal
import threading
from collections.abc import Callable
from types import FrameType
from typing import Any, Final

_FIRST: Final = 1
"""The number of a container's first process, which the signal's default does not end."""


class Sigterm:
    """A handler that is there only if the signal is at its default, and that dies by the signal all the same.

    ``ending`` is called in the handler with a function that ends the process; it must call that, or have
    another thread call it, soon. A second SIGTERM ends the process at once.
    """

    def __init__(self, ending: Callable[[Callable[[], None]], None]) -> None:
        self._ending = ending
        self._handler: Callable[[int, FrameType | None], Any] | None = None

    def install(self) -> None:
        """Do nothing outside the main thread, or where somebody else handles the signal."""
        if threading.current_thread() is not threading.main_thread():
            return
        if signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
            self._handler = self._handle
            signal.signal(signal.SIGTERM, self._handler)

    def remove(self) -> None:
        """Restore the default, if the handler is still there and this is the main thread."""
        if self._handler is None or threading.current_thread() is not threading.main_thread():
            return
        if signal.getsignal(signal.SIGTERM) is self._handler:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
        self._handler = None

    def _handle(self, _number: int, _frame: FrameType | None) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        self._ending(_die)


def _die() -> None:
    os.kill(os.getpid(), signal.SIGTERM)
    if os.getpid() == _FIRST:
        os._exit(128 + signal.SIGTERM)
