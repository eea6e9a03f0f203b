"""Which pages may connect. Browsers let every page open a WebSocket to every host: the server must look."""

from collections.abc import Collection
from urllib.parse import urlsplit

_LOOPBACK = {"localhost", "127.0.0.1", "::1"}
ANY_ORIGIN = "*"


def is_allowed(origin: str | None, host: str, allowed: Collection[str]) -> bool:
    """Whether a page from ``origin`` may connect to ``host`` (both as the request's headers name them).

    Allowed are: no origin at all (not a browser), the bridge's own pages, what the operator lists, and
    between loopback addresses any port (a development server beside the bridge).
    """
    if origin is None or ANY_ORIGIN in allowed or origin in allowed:
        return True
    try:
        page, own = urlsplit(origin), urlsplit(f"//{host}")
    except ValueError:
        return False
    if page.netloc == host:
        return True
    return page.hostname in _LOOPBACK and own.hostname in _LOOPBACK
