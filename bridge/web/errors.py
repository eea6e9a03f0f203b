"""HTTP answers that say what is wrong, in the same words as WebSocket errors."""

from aiohttp import web

from contracts.operations import Coverage, Failure


class _TooLarge(web.HTTPClientError):
    """aiohttp's own wants sizes and says them in plain text."""

    status_code = 413


_KINDS: dict[int, type[web.HTTPException]] = {
    400: web.HTTPBadRequest,
    403: web.HTTPForbidden,
    404: web.HTTPNotFound,
    408: web.HTTPRequestTimeout,
    413: _TooLarge,
    421: web.HTTPMisdirectedRequest,
    422: web.HTTPUnprocessableEntity,
    503: web.HTTPServiceUnavailable,
}


class UnknownClientError(LookupError):
    """No bridge that answered has a connection of the client; ``cluster`` says which answered."""

    def __init__(self, client_id: str, cluster: Coverage) -> None:
        super().__init__(client_id)
        self.cluster = cluster

    @property
    def refusal(self) -> web.HTTPException:
        """The answer to who asked over HTTP."""
        where = "" if self.cluster.is_complete else " on the bridges that answered"
        return refuse(404, "unknown_client", f"no connection of this client{where}", cluster=self.cluster)


def refuse(
    status: int,
    code: str,
    message: str,
    field: str | None = None,
    *,
    cluster: Coverage | None = None,
    **headers: str,
) -> web.HTTPException:
    """An exception that answers with ``{"code", "message", "field"}``; raise it."""
    failure = Failure(code=code, message=message, field=field or None, cluster=cluster)
    return _KINDS[status](
        text=failure.model_dump_json(exclude_none=True),
        content_type="application/json",
        headers={name.replace("_", "-"): value for name, value in headers.items()},
    )
