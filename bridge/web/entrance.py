"""The check of every request: the name by which it calls the bridge, and the page that it comes from."""

from aiohttp import web

from bridge.core.counters import Counters
from bridge.web.errors import refuse
from bridge.web.origin import Access
from bridge.web.refusals import Refusals


class Entrance:
    """Lets requests in, or raises their refusal; counts those, and tells the log of them."""

    def __init__(self, access: Access, counters: Counters, refusals: Refusals) -> None:
        self._access = access
        self._counters = counters
        self._refusals = refusals

    def check_host(self, request: web.Request) -> None:
        """Refuse who calls the bridge by a name that is not its own."""
        host = _only(request, "Host")
        if self._access.has_host(host):
            return
        self._counters.refused["host_refused"] += 1
        self._refusals.tell(
            "refused: not a name of this bridge; if it is, set BRIDGE_PUBLIC_URL or BRIDGE_ALLOWED_HOSTS",
            host=host,
            remote=request.remote,
        )
        reason = "this is not a name of the bridge; BRIDGE_PUBLIC_URL or BRIDGE_ALLOWED_HOSTS can say it is"
        raise refuse(421, "host_refused", reason)

    def check_page(self, request: web.Request) -> web.HTTPException | None:
        """The refusal of a page that may not connect, and may not change anything; None if it may."""
        origin, host = _only(request, "Origin"), _only(request, "Host")
        if self._access.has_page(origin, host):
            return None
        self._refusals.tell(
            "refused: a page of another origin; if it may connect, set BRIDGE_ALLOWED_ORIGINS, "
            "and where it is the bridge's own page behind a proxy, BRIDGE_PUBLIC_URL",
            origin=origin,
            host=host,
            remote=request.remote,
        )
        return refuse(403, "origin_refused", "pages of this origin may not connect, nor change anything")


def _only(request: web.Request, name: str) -> str | None:
    """A header; one that is given more than once is nobody's."""
    given = request.headers.getall(name, [])
    return ", ".join(given) if given else None
