"""A streamed answer: what of its chunks is let out, window by window.

A secret comes in pieces. So a window ends between two words where it can, and what is let out of it is seen
together with what came before.
"""

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from bridge.crew.content import TEXT_CHARS, Content, unicode
from bridge.crew.secrecy import scrubbed

_MEMORY_CHARS: Final = 4_096
"""A private key fits in it."""
_WORD_CHARS: Final = 256
"""What is longer is no word that is worth waiting for."""


class Chunk(NamedTuple):
    """A piece of an answer, and CrewAI's event that brought it."""

    text: str
    event: Any


class Answer:
    """One answer of one call, from its first chunk to its last."""

    def __init__(self, content: Content) -> None:
        self._before = ""
        self._room = TEXT_CHARS[content]

    def let_out(self, text: str) -> str:
        """What of ``text``, which follows all that was asked for before, may be published."""
        room, self._room = self._room, self._room - len(text)
        if room <= 0:
            return ""
        begin, whole = len(self._before), self._before + text
        self._before = whole[-_MEMORY_CHARS:]
        return unicode(scrubbed(whole, begin + min(room, len(text)), begin))

    @property
    def is_cut(self) -> bool:
        """Whether something of it was left out because of its length."""
        return self._room < 0


def whole_words(chunks: Sequence[Chunk]) -> int:
    """How many of the first chunks end where a word does; all, if the last word is too long to wait for."""
    waiting = 0
    for index in range(len(chunks), 0, -1):
        after = chunks[index].text[:1] if index < len(chunks) else "x"
        if not (_is_word(chunks[index - 1].text[-1:]) and _is_word(after)):
            return index
        waiting += len(chunks[index - 1].text)
        if waiting > _WORD_CHARS:
            return len(chunks)
    return 0


def _is_word(letter: str) -> bool:
    """Whether it can be in the middle of a secret; so can nothing at all."""
    return not letter or "!" <= letter <= "~"
