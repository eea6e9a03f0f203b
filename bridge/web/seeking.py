"""Where a client begins: what the handlers need of whoever can ask the stream."""

from contextlib import suppress
from typing import Protocol

from bridge.core.commands import start_of
from bridge.core.connection import Connection
from bridge.core.start import Addressee, Found, Start
from bridge.core.view import View


class Seek(Protocol):
    """Finds where a client wants to begin. Raises `OSError` where the stream does not answer."""

    async def __call__(
        self, client: Addressee, view: View, start: Start, *, is_backfill: bool = False
    ) -> Found:
        """``is_backfill``: it has a connection already, and looks back for ``view``, which it adds."""
        ...


async def found_for(seek: Seek, connection: Connection, text: str) -> Found | None:
    """Where a message of the client looks back to, None if it does not."""
    wanted = start_of(connection, text)
    if wanted is None:
        return None
    with suppress(OSError):
        return await seek(connection, *wanted, is_backfill=True)
    return Found(is_found=False)
