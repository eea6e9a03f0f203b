"""The names under which the bridge may be called, and the pages that may connect.

Browsers let every page open a WebSocket to every host: the server must look. And whoever owns a name can let
it lead to this machine, so that a page of theirs and the bridge seem to be one site (DNS rebinding): a name
that nobody told the bridge is none of its own. Addresses are: no page can come to have one by a trick.
"""

from collections.abc import Collection
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Final, NamedTuple, Self
from urllib.parse import SplitResult, urlsplit

ANY: Final = "*"
_PORTS: Final = {"http": 80, "https": 443}
_DEFAULT_PORTS: Final = frozenset({None, *_PORTS.values()})


class _Site(NamedTuple):
    """A host, and its port unless that is a default one: proxies write, add and drop those as they like."""

    host: str
    port: int | None


@dataclass(frozen=True, slots=True)
class Access:
    """What the operator allows. Made by `of`."""

    hosts: frozenset[str]
    origins: frozenset[str]

    @classmethod
    def of(cls, hosts: Collection[str], origins: Collection[str], public_url: str | None) -> Self:
        """``public_url`` is where browsers find the bridge: one of its names, and its pages' origin."""
        if public_url is not None:
            own = urlsplit(public_url)
            hosts, origins = (*hosts, own.hostname or ""), (*origins, f"{own.scheme}://{own.netloc}")
        return cls(frozenset(map(_plain, hosts)), frozenset(map(_normal, origins)))

    def has_host(self, host: str | None) -> bool:
        """Whether the bridge may be called so in a ``Host`` header; who sends none is no browser."""
        if host is None or ANY in self.hosts:
            return True
        site = _site(host)
        return site is not None and (
            site.host in self.hosts or _is_address(site.host) or _is_localhost(site.host)
        )

    def has_page(self, origin: str | None, host: str | None) -> bool:
        """Whether a page from ``origin`` may connect to ``host``, both as the request's headers name them.

        Allowed are: no origin at all (not a browser), the bridge's own pages, what the operator lists, and
        between loopback addresses any port (a development server beside the bridge).
        """
        if origin is None or ANY in self.origins or _normal(origin) in self.origins:
            return True
        page, own = _page(origin), _site(host or "")
        if page is None or own is None:
            return False
        return page == own or (_is_loopback(page.host) and _is_loopback(own.host))


def _page(origin: str) -> _Site | None:
    """None for what is no origin of a web page, such as ``null``."""
    try:
        parts = urlsplit(origin)
    except ValueError:
        return None
    return _of(parts) if parts.scheme in _PORTS and f"{parts.scheme}://{parts.netloc}" == origin else None


def _site(host: str) -> _Site | None:
    """Of a ``Host`` header; None for what is no host."""
    try:
        parts = urlsplit(f"//{host}")
    except ValueError:
        return None
    return _of(parts) if parts.netloc == host else None


def _of(parts: SplitResult) -> _Site | None:
    try:
        port = parts.port
    except ValueError:
        return None
    if not parts.hostname or "@" in parts.netloc:
        return None
    return _Site(_plain(parts.hostname), None if port in _DEFAULT_PORTS else port)


def _plain(host: str) -> str:
    """One spelling of each host."""
    host = host.lower().removesuffix(".")
    try:
        return str(ip_address(host.strip("[]")))
    except ValueError:
        return host


def _normal(origin: str) -> str:
    """One spelling of each origin; what is none of a web page stays as it is."""
    page, (scheme, _, rest) = _page(origin), origin.partition("://")
    if page is None:
        return origin
    port = urlsplit(f"//{rest}").port or _PORTS[scheme]
    return f"{scheme}://{page.host}:{port}"


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def _is_localhost(host: str) -> bool:
    """Nobody can own these names (RFC 6761, 6.3)."""
    return host == "localhost" or host.endswith(".localhost")


def _is_loopback(host: str) -> bool:
    return _is_localhost(host) or (_is_address(host) and ip_address(host).is_loopback)
