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
    413: _TooLarge,
    422: web.HTTPUnprocessableEntity,
    503: web.HTTPServiceUnavailable,
}


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
