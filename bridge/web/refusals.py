"""Log lines about what is refused again and again: one at once, then one a minute with a count.

Whoever is refused may come as often as they like, and must not be able to fill the log.
"""

import asyncio
from collections import Counter
from typing import Final

import structlog

log = structlog.get_logger(__name__)

_SECONDS: Final = 60.0
_MOST: Final = 200
"""Characters of a value that somebody else chose."""


class Refusals:
    """Told of every refusal. Used within a running event loop."""

    def __init__(self, seconds: float = _SECONDS) -> None:
        self._seconds = seconds
        self._counts: Counter[str] = Counter()
        """Of each kind that was told of in the last minute, how often since."""
        self._latest: dict[str, dict[str, str | None]] = {}

    def tell(self, words: str, **details: str | None) -> None:
        """``words``, one of a closed list, say what is refused and what to do; ``details`` are this one's."""
        if words not in self._counts:
            self._counts[words] = 0
            self._say(words, details)
            return
        self._counts[words] += 1
        self._latest[words] = details

    def _again(self, words: str) -> None:
        count = self._counts.pop(words)
        if count:
            self._counts[words] = 0
            self._say(words, {**self._latest.pop(words), "times": str(count)})

    def _say(self, words: str, details: dict[str, str | None]) -> None:
        shown = {name: _readable(value) for name, value in details.items() if value is not None}
        log.warning(words, **shown)
        asyncio.get_running_loop().call_later(self._seconds, self._again, words)


def _readable(text: str) -> str:
    """What a terminal can be trusted with."""
    return text[:_MOST].encode("ascii", "backslashreplace").decode() if text.isprintable() else "unreadable"
