"""What kept an event from the stream, in a line for whoever tried to publish it, and as an exit code."""

from typing import Final

from nats.js.errors import NoStreamResponseError, NotFoundError, ServiceUnavailableError

from contracts.nats_faults import denied, no_connection

NO_SERVER: Final = 1
NO_LOGIN: Final = 3
DENIED: Final = 4
NO_JETSTREAM: Final = 5
NO_STREAM: Final = 6
_SETTING: Final = "--nats or BRIDGE_NATS_URL"


def told(error: Exception | None, url: str, stream: str, subject: str) -> tuple[str, int]:
    """Why nobody at ``url`` took what was published on ``subject``, with what to do; and the exit code."""
    if isinstance(error, NoStreamResponseError):
        return f"the stream {stream} does not take {subject}: add it to its subjects", NO_STREAM
    if isinstance(error, NotFoundError):
        return f"NATS has no stream {stream}: start a bridge, which makes it", NO_STREAM
    if isinstance(error, ServiceUnavailableError):
        return "NATS has no JetStream: start nats-server with --jetstream, or enable it", NO_JETSTREAM
    if error is not None and (denial := denied(error)):
        return f"NATS does not permit {denial[0].lower()}{denial[1:]}: allow it to the user", DENIED
    line = no_connection(error or TimeoutError(), url, _SETTING)
    return line, NO_LOGIN if "credentials" in line else NO_SERVER
