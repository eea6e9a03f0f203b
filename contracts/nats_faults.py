"""What keeps somebody from a NATS server, said so that whoever has to mend it knows what to do."""

import os
import re
import ssl
from socket import gaierror
from typing import Final

from contracts.servers import hidden, login, without_credentials

_ABOUT_CREDENTIALS: Final = ("authorization", "authentication")
_ABOUT_CROWDS: Final = ("maximum connections exceeded", "maximum account active connections exceeded")
_NOT_NATS: Final = ("expecting info", "info message", "not enough values to unpack")
_VAGUE: Final = (ConnectionResetError, ConnectionAbortedError, BrokenPipeError, EOFError)
_DENIAL: Final = re.compile(r"permissions violation for (.*[^'\s])", re.IGNORECASE)


def no_connection(error: BaseException, server: str, setting: str) -> str:
    """A line about ``error``, which came instead of a connection to ``server``; credentials are not shown.

    ``setting`` is what names the server, and may be wrong.

    >>> no_connection(ConnectionRefusedError(111, "Connection refused"), "nats://db:4222", "BRIDGE_NATS_URL")
    'no NATS server answers at nats://db:4222 (Connection refused): start it, or correct BRIDGE_NATS_URL'
    """
    where, text = without_credentials(server), str(error).lower()
    if any(words in text for words in _ABOUT_CREDENTIALS):
        return _about_credentials(server, where, setting)
    if any(words in text for words in _ABOUT_CROWDS):
        return f"NATS at {where} takes no more connections: raise its max_connections"
    if isinstance(error, ssl.SSLError):
        return _about_tls(error, where, setting)
    if any(words in text for words in _NOT_NATS):
        return (
            f"what answers at {where} is no NATS server: correct {setting}, which has to name the port for "
            "clients (4222 by default)"
        )
    return f"no NATS server answers at {where} ({_cause(error)}): start it, or correct {setting}"


def is_vague(error: BaseException) -> bool:
    """Whether it only says that a connection has ended: what was said of it before tells more."""
    return isinstance(error, _VAGUE)


def denied(error: BaseException) -> str | None:
    """What the server does not permit, as ``Publish to "task.completed"``; None where it denies nothing."""
    found = _DENIAL.search(str(error))
    return found[1] if found else None


def _about_credentials(server: str, where: str, setting: str) -> str:
    if login([server if "://" in server else f"nats://{server}"]):
        return (
            f"NATS at {where} refuses the credentials in {setting}: correct them; what URLs reserve is "
            "percent-encoded there (%40 for @)"
        )
    return (
        f"NATS at {where} wants credentials, and {setting} has none for it: put them in, as in "
        "nats://user:password@host:4222"
    )


def _about_tls(error: ssl.SSLError, where: str, setting: str) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return (
            f"the certificate of NATS at {where} is not trusted ({error.verify_message}): name the file of "
            f"its authority in SSL_CERT_FILE, or name the server in {setting} as its certificate does"
        )
    return f"no TLS with NATS at {where} ({error.strerror}): correct the TLS of the server, or {setting}"


def _cause(error: BaseException) -> str:
    if isinstance(error, gaierror):
        return "its name has no address"
    if isinstance(error, TimeoutError):
        return "no answer in time"
    if isinstance(error, OSError) and error.errno:
        return os.strerror(error.errno)
    return hidden(str(error)).removeprefix("nats: ") or type(error).__name__
