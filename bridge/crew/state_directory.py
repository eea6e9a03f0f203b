"""Where a user's programs keep what outlives them: for each stream of each server a directory of its own."""

import os
import tempfile
from hashlib import sha256
from pathlib import Path

from contracts.servers import without_credentials


def default_directory(nats_url: str, stream: str) -> Path:
    """A place in the user's state directory for what goes to this stream on these servers, and to no other.

    A temporary one for who has no home. Neither credentials nor the order of the servers matter.
    """
    servers = sorted(url.strip().lower() for url in without_credentials(nats_url).split(","))
    place = sha256("\n".join([*servers, stream]).encode()).hexdigest()[:16]
    state = os.environ.get("XDG_STATE_HOME")
    try:
        base = Path(state) if state else Path.home() / ".local" / "state"
    except RuntimeError:
        base = Path(tempfile.gettempdir()) / f"crew-bridge-{os.getuid()}"
    return base / "crew-bridge" / "spool" / place
