"""What a fault of the stream means to whoever has to mend it: a line each, with what to do."""

from typing import Final

from nats.aio.client import Client
from nats.js.errors import APIError

from bridge.broker.stream import StreamSettings
from contracts.nats_faults import denied
from contracts.servers import hidden

OLDEST_SERVER: Final = (2, 10)
"""The first that knows consumers with several filters, and says when it answered: looking back needs both."""
_SIZE: Final = "lower BRIDGE_STREAM_MAX_BYTES ({size})"
_REPLICAS: Final = "lower BRIDGE_STREAM_REPLICAS ({replicas})"
_OFF: Final = (
    "NATS has no JetStream for the bridge: start nats-server with --jetstream, or enable it for the account"
)
_LIMITS: Final = f"the account's limits do not allow the stream {{name}} ({{said}}): {_SIZE}, or raise them"
_LINES: Final[dict[int | None, str]] = {
    None: _OFF,  # nobody is there who would answer
    10002: _LIMITS,
    10005: f"the NATS cluster has no place for the stream {{name}} ({{said}}): {_REPLICAS}, or {_SIZE}, "
    "or add servers",
    10023: _LIMITS,
    10026: "the stream {name} may have no more consumers: raise its max_consumers, or the account's",
    10027: "the account may have no more streams: raise its limit, or name one in BRIDGE_STREAM_NAME",
    10028: f"NATS has too little memory for the stream {{name}}: {_SIZE}, or raise its max_memory_store",
    10039: _OFF,
    10047: f"NATS has too little storage for the stream {{name}}: {_SIZE}, or raise its max_file_store",
    10065: "another stream takes subjects that {name} is to take: name that one in BRIDGE_STREAM_NAME, or "
    "take the subjects from it",
    10074: f"a single nats-server keeps one copy: {_REPLICAS} to 1, or make it a cluster",
    10076: _OFF,
    10120: _LIMITS,
    10122: _LIMITS,
}
"""By JetStream's error code."""


class OldServerError(OSError):
    """The server lacks what the bridge needs."""


def refuse_old(client: Client) -> None:
    """Raise `OldServerError` for a server with which a bridge cannot keep its promises."""
    version = client.connected_server_version
    if (version.major, version.minor) < OLDEST_SERVER:
        oldest = ".".join(map(str, OLDEST_SERVER))
        raise OldServerError(
            f"nats-server {version.major}.{version.minor} is too old: upgrade it to {oldest} or newer "
            "(with 2.11 short-lived events expire)"
        )


def on_stream(error: BaseException, settings: StreamSettings, denial: str | None = None) -> str:
    """A line about ``error``, which came when the stream was made or read.

    ``denial``: what the server did not permit meanwhile, which may be why it did not answer.
    """
    if (denial := denied(error) or denial) is not None:
        return on_denial(denial)
    if isinstance(error, OldServerError):
        return str(error)
    said = hidden(str(error)).removeprefix("nats: ") or type(error).__name__
    line = "the stream {name} cannot be read ({said}): the bridge tries again"
    if isinstance(error, APIError):
        line = _LINES.get(error.err_code, "NATS refuses the stream {name} ({said}): the bridge tries again")
        said = f"{error.description}, error {error.err_code}"
    return line.format(name=settings.name, said=said, size=settings.max_bytes, replicas=settings.replicas)


def on_denial(denial: str) -> str:
    """A line about what the server does not permit."""
    return f"NATS does not permit what the bridge needs: allow its user to {denial[0].lower()}{denial[1:]}"
