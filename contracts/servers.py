"""Addresses of NATS servers, and the credentials that they may carry."""

import re
from collections.abc import Iterable
from typing import Final
from urllib.parse import unquote, urlsplit

_SCHEMES: Final = ({"nats", "tls"}, {"ws", "wss"})
"""Those that may stand together in one list."""
_SERVER: Final = re.compile(r"(?:(nats|tls|ws|wss)://(?=\S+$)|(?=[^\s/]+$))(.*)")
_CREDENTIALS: Final = re.compile(r"(?<=://)[^\s,]*@")


def servers(urls: str) -> str:
    """``urls``, one or several with commas between them, as they are.

    Raises `ValueError` where the NATS client could not use one; it quotes nothing, for passwords' sake.
    """
    schemes = set(map(_scheme, urls.split(",")))
    if not any(schemes <= together for together in _SCHEMES):
        raise ValueError(
            "must name servers like nats://host:4222 (or tls://, ws://, wss://), separated by commas,"
            " not WebSocket and others in one list"
        )
    return urls


def _scheme(url: str) -> str:
    """That of a server's URL; empty if it is none."""
    found = _SERVER.fullmatch(url.strip())
    scheme, rest = found.groups() if found else (None, "")
    try:
        parts = urlsplit(f"nats://{rest}")
        usable = parts.hostname not in {None, "none"} and parts.port != 0
    except ValueError:  # A port that is no number, half an IPv6 address.
        usable = False
    return (scheme or "nats") if usable else ""


def login(urls: Iterable[str]) -> dict[str, str]:
    """``user`` and ``password``, or ``token``, of the first of ``urls`` that has any; decoded from ``%40``.

    What URLs reserve has to be encoded in them; without a password, what is in the user's place is a token.
    """
    for url in urls:
        parts = urlsplit(url)
        if parts.username and parts.password is not None:
            return {"user": unquote(parts.username), "password": unquote(parts.password)}
        if parts.username:
            return {"token": unquote(parts.username)}
    return {}


def without_credentials(urls: str) -> str:
    """``urls``, one or several with commas between them, as they may be shown."""
    return ",".join(map(_bare, urls.split(",")))


def hidden(text: str) -> str:
    """``text``, such as that of an error, without the credentials of URLs in it."""
    return _CREDENTIALS.sub("", text)


def _bare(url: str) -> str:
    before, scheme, rest = url.rpartition("://")
    return f"{before}{scheme}{rest.rpartition('@')[2]}"
