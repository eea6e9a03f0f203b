"""What keeps the bridge from its work: in the log, again every minute, and for who asks if it is ready."""

import asyncio
from time import monotonic
from typing import Final

import structlog

log = structlog.get_logger(__name__)

_AGAIN_SECONDS: Final = 60.0
_LOOKS: Final = 20
"""So often within that time it is looked whether something has to be said again."""


class Problems:
    """The latest word of each source: a line that says what is wrong, and what to do."""

    def __init__(self, again_seconds: float = _AGAIN_SECONDS) -> None:
        self._again_seconds = again_seconds
        self._words: dict[str, str] = {}
        self._blocking: set[str] = set()
        self._said: dict[str, float] = {}

    @property
    def reason(self) -> str | None:
        """All that is wrong now, in one line."""
        return "; ".join(dict.fromkeys(self._words.values())) or None

    @property
    def is_blocking(self) -> bool:
        """Whether some of it lets nobody be served as promised, though the feed goes on."""
        return bool(self._blocking)

    def tell(self, source: str, words: str, *, blocking: bool = False) -> None:
        """Something is wrong, until it is `solved`. ``blocking``: the bridge is not ready meanwhile."""
        self._words[source] = words
        (self._blocking.add if blocking else self._blocking.discard)(source)
        self.mention(words)

    def solved(self, source: str) -> None:
        """Nothing is wrong any more that ``source`` knows of."""
        self._words.pop(source, None)
        self._blocking.discard(source)

    def mention(self, words: str) -> None:
        """Log it as an error, unless that was done a moment ago."""
        now = monotonic()
        self._said = {said: at for said, at in self._said.items() if now - at < self._again_seconds}
        if words not in self._said:
            self._said[words] = now
            log.error(words)

    async def repeat_for_ever(self) -> None:
        """Say again what still is wrong, now and then; ends by cancellation only."""
        while True:
            await asyncio.sleep(self._again_seconds / _LOOKS)
            for words in tuple(self._words.values()):
                self.mention(words)
