"""HTTP answers that say what is wrong, in the same words as WebSocket errors."""

import json

from aiohttp import web


def refuse(
    status: int, code: str, message: str, field: str | None = None, **headers: str
) -> web.HTTPException:
    """An exception that answers with ``{"code", "message", "field"}``; raise it."""
    body = {"code": code, "message": message} | ({"field": field} if field else {})
    kinds = {400: web.HTTPBadRequest, 403: web.HTTPForbidden, 503: web.HTTPServiceUnavailable}
    return kinds[status](
        text=json.dumps(body),
        content_type="application/json",
        headers={name.replace("_", "-"): value for name, value in headers.items()},
    )
