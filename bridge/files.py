"""Files that the operating system grants this process: each connection takes one."""

import resource
import sys
from contextlib import suppress
from typing import Final

import structlog

log = structlog.get_logger(__name__)

_OURS: Final = 128
"""Files besides the connections: the listener, NATS, libraries, requests that are no WebSocket."""


_RESERVE: Final = 48
"""Those of them that no client of the bridge's port gets: NATS, listeners, the operator's port, libraries."""
OPERATORS: Final = 16
"""TCP connections that the operator's port may have at once."""
_SPARE: Final = 1024
"""TCP connections besides those of the clients that are served: requests, and who says nothing."""
_LEAST: Final = 8


def sockets_for(connections: int) -> int:
    """TCP connections that the clients' port may have at once, where so many clients are served."""
    soft = _raised(connections + _SPARE + _RESERVE)
    return max(min(connections + _SPARE, soft - _RESERVE), _LEAST)


def with_files_for(connections: int) -> int:
    """``connections``, or as many as there are files for; raises the soft limit as far as allowed."""
    wanted = connections + _OURS
    soft = _raised(wanted)
    if soft >= wanted:
        return connections
    granted = max(soft - _OURS, 1)
    log.warning(
        "fewer open files than clients that may connect: raise the limit (LimitNOFILE, ulimit -n)",
        max_connections=connections,
        granted=granted,
        files=soft,
        needed=wanted,
    )
    return granted


def _raised(wanted: int) -> int:
    """The limit of open files, which is raised to ``wanted`` as far as allowed."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < wanted and soft != resource.RLIM_INFINITY:
        soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        with suppress(OSError, ValueError):  # macOS has a limit of its own below the hard one
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return sys.maxsize if soft == resource.RLIM_INFINITY else soft
