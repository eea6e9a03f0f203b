"""The labels, and their values where these are a closed list: each is there from the start, at 0.

Without the 0, the first rise of a number would be no rise to Prometheus.
"""

from typing import Final, NamedTuple, get_args

from bridge.core.socket import CloseCode
from contracts.messages import GapReason, RecoveryReason
from contracts.types import FAMILIES, EventType


class Label(NamedTuple):
    """A label's name, and the values known beforehand."""

    name: str
    values: tuple[str, ...] = ()


FAMILY: Final = Label("family", FAMILIES)
TYPE: Final = Label("type", (*map(str, EventType), "other"))
ENDPOINT: Final = Label("endpoint")
STATE: Final = Label("state")
WORK: Final = Label("work")
TOKEN_KIND: Final = Label("kind", ("input", "output", "unknown"))
ACTION: Final = Label("action", ("subscribe", "unsubscribe", "filter", "ping", "list"))
ERROR: Final = Label(
    "code",
    (
        *("invalid_json", "invalid_command", "unknown_action", "invalid_subscription", "not_subscribed"),
        *("too_many_subscriptions", "busy", "unavailable", "binary_unsupported"),
    ),
)
REFUSAL: Final = Label(
    "code",
    (
        *("invalid_http", "invalid_request", "not_a_websocket", "origin_refused", "host_refused"),
        *("starting", "draining", "unavailable", "too_fast", "too_many_connections"),
    ),
)
SILENCE: Final = Label("reason", ("too_slow", "no_room"))
OPERATION: Final = Label(
    "operation",
    (
        *("health", "list_connections", "explain_connection", "tap", "disconnect", "clean_up"),
        *("broadcast", "broadcast_to_subscription"),
    ),
)
OPERATOR_ERROR: Final = Label(
    "code",
    (
        *("invalid_json", "invalid_request", "invalid_subscription", "too_large", "unknown_client"),
        *("too_slow", "too_many_taps", "stream_unavailable", "cluster_unavailable", "unavailable"),
        *("origin_refused", "host_refused", "http", "internal"),
    ),
)
CLOSE_CODE: Final = Label(
    "code", (*(str(int(code)) for code in CloseCode), "1000", "1001", "1006", "1009", "other")
)
BAD_FIELD: Final = Label("field", ("json", "subject", "event_type", "data", "unknown_key", "internal"))
HISTORY_COST: Final = Label("by")
RECOVERY: Final = Label("reason", get_args(RecoveryReason))
GAP: Final = Label("reason", get_args(GapReason))
RESET: Final = Label(
    "reason", ("reconnect", "silence", "hole", "overflow", "order", "stream", "behind", "error")
)
