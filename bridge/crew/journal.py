"""The journal: gives every event its place in its execution, and joins the chunks of streamed answers.

What it puts in the outbox is in the order of the sequence, whichever threads the events come from.
"""

import threading
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from time import monotonic
from typing import Final

from bridge.crew.answers import Answer, Chunk, whole_words
from bridge.crew.draft import Draft, Policy
from bridge.crew.message import Message
from bridge.crew.outbox import Outbox
from contracts.subjects import ABSENT
from contracts.types import is_short_lived

WINDOW_SECONDS: Final = 0.075
"""How long the chunks of one call are collected."""
_WINDOW_CHARS: Final = 16 * 1024
_PATIENCE_SECONDS: Final = 1.0
"""How long the beginning of a word waits for the rest of it, which may show that it is a secret."""
_MAX_ANSWERS: Final = 256
_MAX_EXECUTIONS: Final = 100_000
"""Beyond this the one that is silent the longest is forgotten, and would begin again at 1."""


_Call = tuple[str | None, str]
"""An execution, and a call of it with the kind of its chunks."""


@dataclass(slots=True)
class Window:
    """The chunks of one call that are not published yet."""

    draft: Draft
    """As the first of them makes it; its data and CrewAI's names are completed at the end."""
    execution: str | None
    closes: float
    patient_until: float
    chunks: list[Chunk] = field(default_factory=list)
    chars: int = 0

    def add(self, chunk: Chunk) -> None:
        """Take one more."""
        self.chunks.append(chunk)
        self.chars += len(chunk.text)

    def split(self, now: float) -> "Window | None":
        """Leave whole words here, and return a window with the rest; None if there is none."""
        count = whole_words(self.chunks) if now < self.patient_until else len(self.chunks)
        rest = self.chunks[count:]
        if not rest:
            return None
        draft = self.draft.named_after(rest[0].event) if count else self.draft
        patient_until = now + _PATIENCE_SECONDS if count else self.patient_until
        window = Window(draft, self.execution, now + WINDOW_SECONDS, patient_until)
        for chunk in rest:
            window.add(chunk)
        self.chunks, self.chars = self.chunks[:count], self.chars - window.chars
        return window


class Journal:
    """Stamps and queues, in any thread."""

    def __init__(self, outbox: Outbox, policy: Policy) -> None:
        self._lock = threading.RLock()
        self._outbox = outbox
        self._policy = policy
        self._sequences: dict[str, int] = {}
        self._windows: dict[_Call, Window] = {}
        self._answers: dict[_Call, Answer] = {}
        self._over: set[str] = set()
        self._ready: deque[tuple[str | None, Draft, bytes]] = deque()
        self._is_placing = False

    def write(self, execution: str | None, drafts: Sequence[Draft]) -> None:
        """Queue events of one execution, behind the chunks that came before them."""
        bodies = [draft.encode(execution, self._policy) for draft in drafts]
        with self._lock:
            if self._windows:
                self._close(window for window in self._windows.items() if window[0][0] == execution)
            for draft, body in zip(drafts, bodies, strict=True):
                self._put(execution, draft, body)

    def chunk(self, execution: str | None, call: str, chunk: Chunk, first: Callable[[], Draft]) -> None:
        """Add a chunk to the window of its call; ``first`` makes the draft for one that is new."""
        with self._lock:
            window = self._windows.get((execution, call))
            if window is None:
                now = monotonic()
                window = Window(first(), execution, now + WINDOW_SECONDS, now + _PATIENCE_SECONDS)
                self._windows[execution, call] = window
                self._outbox.call()
            window.add(chunk)
            if window.chars > _WINDOW_CHARS:
                self._close_words(((execution, call), window))

    def close_due(self) -> float | None:
        """Queue the windows whose time is over; the seconds until the next is, None if there is none."""
        if not self._windows:
            return None
        with self._lock:
            now = monotonic()
            for window in tuple(self._windows.items()):
                if window[1].closes <= now:
                    self._close_words(window)
            return min((window.closes - now for window in self._windows.values()), default=None)

    def close_all(self) -> None:
        """Queue every window as it is."""
        with self._lock:
            self._close(self._windows.items())

    def end(self, execution: str, draft: Draft) -> None:
        """Write the last event of an execution: nothing of it is taken after this."""
        self.write(execution, [draft])
        with self._lock:
            self._over.add(execution)

    def _close_words(self, window: tuple[_Call, Window]) -> None:
        """Queue what is whole; the beginning of a word has to wait."""
        call, closing = window
        rest = closing.split(monotonic()) if self._policy.content != "none" else None
        self._close([window] if closing.chunks else [])
        if rest is not None:
            self._windows[call] = rest

    def _close(self, windows: Iterable[tuple[_Call, Window]]) -> None:
        for call, window in tuple(windows):
            if self._windows.pop(call, None) is None:
                continue  # What a signal's handler has emitted meanwhile closed it.
            draft = self._joined(call, window)
            self._put(window.execution, draft, draft.encode(window.execution, self._policy))

    def _joined(self, call: _Call, window: Window) -> Draft:
        answer = self._answers.pop(call, None) or Answer(self._policy.content)
        self._answers[call] = answer
        if len(self._answers) > _MAX_ANSWERS:
            del self._answers[next(iter(self._answers))]
        text = answer.let_out("".join(chunk.text for chunk in window.chunks))
        data = {**window.draft.data, "text": text, "chunks": len(window.chunks), "chars": window.chars}
        return window.draft._replace(data=data | ({"cut": {"text": window.chars}} if answer.is_cut else {}))

    def _put(self, execution: str | None, draft: Draft, body: bytes) -> None:
        """Place it behind what is being placed: a signal's handler can emit in the middle of that."""
        self._ready.append((execution, draft, body))
        if self._is_placing:
            return
        self._is_placing = True
        try:
            while self._ready:
                self._place(*self._ready.popleft())
        finally:
            self._is_placing = False

    def _place(self, execution: str | None, draft: Draft, body: bytes) -> None:
        if execution in self._over:
            return
        subject = f"{draft.event_type}.{draft.ids.crew or ABSENT}.{execution or ABSENT}"
        self._outbox.put(
            Message(draft.event_id, subject, self._stamped(execution, body), is_short_lived(draft.event_type))
        )

    def _stamped(self, execution: str | None, body: bytes) -> bytes:
        if execution is None:
            return body
        sequence = self._sequences.pop(execution, 0) + 1
        self._sequences[execution] = sequence
        if len(self._sequences) > _MAX_EXECUTIONS:
            del self._sequences[next(iter(self._sequences))]
        return b'{"sequence":%d,' % sequence + body[1:]
