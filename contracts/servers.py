"""Addresses of NATS servers, and the credentials that they may carry."""

import re
from collections.abc import Iterable
from typing import Final
from urllib.parse import unquote, urlsplit

_CREDENTIALS: Final = re.compile(r"(?<=://)[^\s,]*@")


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
