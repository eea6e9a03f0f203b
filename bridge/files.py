"""Files that the operating system grants this process: each connection takes one."""

import resource
from contextlib import suppress
from typing import Final

import structlog

log = structlog.get_logger(__name__)

_OURS: Final = 128
"""Files besides the connections: the listener, NATS, libraries, requests that are no WebSocket."""


def with_files_for(connections: int) -> int:
    """``connections``, or as many as there are files for; raises the soft limit as far as allowed."""
    wanted = connections + _OURS
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < wanted and soft != resource.RLIM_INFINITY:
        soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        with suppress(OSError, ValueError):  # macOS has a limit of its own below the hard one
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft >= wanted or soft == resource.RLIM_INFINITY:
        return connections
    granted = max(soft - _OURS, 1)
    log.info("fewer files than connections", wanted=connections, connections=granted, files=soft)
    return granted
