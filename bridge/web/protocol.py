"""One TCP connection of an HTTP client: aiohttp's protocol, which quotes nothing of a bad request."""

import asyncio
from collections.abc import Coroutine
from http import HTTPStatus
from typing import Any, Final

from aiohttp import web
from aiohttp.http import HttpProcessingError
from aiohttp.http_exceptions import ContentEncodingError, LineTooLong

from bridge.core.counters import Counters
from bridge.web.acceptor import Visitors
from bridge.web.refusals import Refusals
from contracts.operations import Failure

_MALFORMED: Final = (HttpProcessingError, web.RequestPayloadError)
_CODE: Final = "invalid_http"
_TOO_LARGE: Final = "a header is larger than 64 KiB, or the address than 8 KiB"
_NO_HTTP: Final = "this is no HTTP request"
_ENCODED: Final = "the body has an encoding that is not taken"
_PLAIN: Final = "text/plain"
_REASONS: Final = {
    404: "there is nothing at this path",
    405: "this path does not take this method",
    500: "the bridge has failed; its log says how",
    417: "only 100-continue can be expected",
}

_Finished = Coroutine[Any, Any, tuple[web.StreamResponse, bool]]


class HttpConnection(web.RequestHandler):
    """Answers a request that cannot be read without a quote of it, and logs a line a minute of each kind.

    What aiohttp itself refuses, a path that is not there say, is answered in the form of all refusals.
    ``visitors`` are told when there is a request in progress.
    """

    __slots__ = ("_counters", "_is_stopping", "_refusals", "_visitors", "_wire")

    def __init__(
        self,
        server: web.Server,
        visitors: Visitors,
        counters: Counters,
        refusals: Refusals,
        **options: Any,
    ) -> None:
        super().__init__(server, **options)
        self._visitors = visitors
        self._is_stopping = False
        self._counters = counters
        self._refusals = refusals
        self._wire: asyncio.Transport | None = None
        """As long as there is one: aiohttp forgets its own when it begins to close, which may last."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client is there."""
        super().connection_made(transport)
        self._wire = self.transport
        self._visitors.came(self)

    def connection_lost(self, exc: BaseException | None) -> None:
        """It is gone."""
        super().connection_lost(exc)
        self._wire = None
        self._visitors.left(self)

    def asks(self) -> None:
        """A request has begun."""
        self._visitors.asks(self)

    def end(self) -> None:
        """End the connection; what its client has not taken is lost."""
        wire = self._wire
        self.force_close()
        if wire is not None and wire.get_write_buffer_size():
            wire.abort()

    async def shutdown(self, timeout: float | None = 15.0) -> None:  # noqa: ASYNC109 - the signature is aiohttp's
        """The server stops: a request may go on for ``timeout`` seconds."""
        self._is_stopping = True
        await super().shutdown(timeout)

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """The answer to what could not be read, or in which a handler failed."""
        if not isinstance(exc, _MALFORMED):
            return _closing(_plain(super().handle_error(request, status, exc, message).status))
        self._counters.refused[_CODE] += 1
        self._tell(exc)
        return _closing(_failure(400, _CODE, _reason(exc)))

    def log_exception(self, *words: Any, **details: Any) -> None:
        """Log a fault of ours; of each kind of a client's there is a line a minute, without a quote."""
        error = details.get("exc_info")
        if isinstance(error, _MALFORMED):
            self._tell(error)
        elif not (self._is_stopping and isinstance(error, asyncio.InvalidStateError)):
            # That is aiohttp's, about a request that ends just when it ceases to wait for it.
            super().log_exception(*words, **details)

    def finish_response(
        self, request: web.BaseRequest, resp: web.StreamResponse, start_time: float | None
    ) -> _Finished:
        """Send the answer."""
        if self._wire is not None:
            self._visitors.is_answered(self)
        return super().finish_response(request, _readable(resp), start_time)

    def _tell(self, error: BaseException) -> None:
        peer = self.peername
        remote = str(peer[0]) if isinstance(peer, tuple) else None
        cause = error.__cause__ if isinstance(error.__cause__, HttpProcessingError) else error
        self._refusals.tell(f"refused: {_reason(error)}", why=type(cause).__name__, remote=remote)


def _reason(error: BaseException) -> str:
    match error:
        case LineTooLong():
            return _TOO_LARGE
        case ContentEncodingError():
            return _ENCODED
        case _:
            return _NO_HTTP


def _readable(response: web.StreamResponse) -> web.StreamResponse:
    """A refusal of aiohttp's own, which is plain text and may quote, as the routes' refusals are."""
    if not isinstance(response, web.HTTPError) or response.content_type != _PLAIN:
        return response
    answer = _plain(response.status)
    if "Allow" in response.headers:
        answer.headers["Allow"] = response.headers["Allow"]
    return answer


def _plain(status: int) -> web.Response:
    """What there is to say where nothing is known but the status."""
    known = HTTPStatus(status)
    return _failure(status, known.name.lower(), _REASONS.get(status, known.phrase))


def _closing(response: web.Response) -> web.Response:
    """The last one of its connection."""
    response.force_close()
    return response


def _failure(status: int, code: str, reason: str) -> web.Response:
    failure = Failure(code=code, message=reason)
    return web.Response(
        status=status, text=failure.model_dump_json(exclude_none=True), content_type="application/json"
    )
