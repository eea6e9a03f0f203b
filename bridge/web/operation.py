"""One HTTP operation: what it takes, what it does, and what it answers, for the router and for OpenAPI."""

import asyncio
import re
from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, Final, Generic, TypeVar

from aiohttp import web
from multidict import MultiMapping
from pydantic import BaseModel, ConfigDict, ValidationError

from bridge.web.audit import AUDIT, Act, Audit
from bridge.web.errors import refuse
from bridge.web.shore import SHORE
from contracts.errors import ContractError

_BODY_SECONDS: Final = 15.0


class Nothing(BaseModel):
    """No parameter, no body."""

    model_config = ConfigDict(frozen=True, extra="forbid")


Q = TypeVar("Q", bound=BaseModel)
B = TypeVar("B", bound=BaseModel)
M = TypeVar("M", bound=BaseModel)


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation(Generic[Q, B]):
    """``act`` is given the request, its query and its body, read and valid; it returns an ``answer``.

    Or a response that it has written itself, in the form of ``answer``, line by line.
    """

    name: str
    method: str
    path: str
    summary: str
    act: Callable[[web.Request, Q, B], Awaitable[BaseModel | web.StreamResponse]]
    query: type[Q]
    body: type[B]
    answer: type[BaseModel]
    media_type: str = "application/json"
    refusals: tuple[int, ...] = ()
    """Statuses it may refuse with, besides those for a malformed query or body."""

    @property
    def is_change(self) -> bool:
        """Whether it changes something: then it is audited."""
        return self.method not in {"GET", "HEAD"}

    def route(self, prefix: str) -> web.RouteDef:
        """Its place in the router, under ``prefix``."""
        return web.route(self.method, prefix + matching(self.path), self.handle)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Read, act, answer; and keep the record."""
        audit = request.app[AUDIT]
        audit.called(self.name)
        try:
            with self._recording(request, audit) as act:
                self._let_in(request)
                query = read_query(self.query, request.query)
                body = await self._read_body(request)
                act.parameters.update(_given(query) | _given(body))
                answer = await self._carry_out(request, query, body)
        except Exception as error:
            audit.failed(error)
            raise
        if isinstance(answer, web.StreamResponse):
            return answer
        return web.Response(text=answer.model_dump_json(), content_type="application/json")

    def _let_in(self, request: web.Request) -> None:
        """A browser sends what any page wants to any host: only pages that may connect change anything."""
        entrance = request.app[SHORE].entrance
        entrance.check_host(request)
        stranger = entrance.check_page(request) if self.is_change else None
        if stranger is not None:
            raise stranger

    async def _carry_out(self, request: web.Request, query: Q, body: B) -> BaseModel | web.StreamResponse:
        try:
            return await self.act(request, query, body)
        except ContractError as error:
            raise refuse(422, "invalid_request", error.reason, error.field) from None

    def _recording(self, request: web.Request, audit: Audit) -> AbstractContextManager[Act]:
        """Only of changes is a record kept."""
        target = next(iter(request.match_info.values()), None)
        act = Act(self.name, target, request.remote)
        return audit.recording(act) if self.is_change else nullcontext(act)

    async def _read_body(self, request: web.Request) -> B:
        """No body is as good as an empty object, where nothing is required."""
        try:
            async with asyncio.timeout(_BODY_SECONDS):
                text = await request.read() or b"{}"
        except TimeoutError:
            raise refuse(408, "too_slow", f"the body has not come within {_BODY_SECONDS:g} s") from None
        except web.HTTPRequestEntityTooLarge:
            raise refuse(413, "too_large", "the body is larger than 1 MiB") from None
        except web.RequestPayloadError:
            raise refuse(400, "invalid_json", "the body is not encoded as its headers say") from None
        except ConnectionError:
            raise refuse(400, "invalid_json", "the client went away before its body had come") from None
        return _valid(self.body, lambda model: model.model_validate_json(text))


def matching(path: str) -> str:
    """``path`` for the router, whose ``{name}`` by itself takes no braces: ids may have some."""
    return re.sub(r"\{(\w+)\}", r"{\1:[^/]+}", path)


def read_query(model: type[M], query: MultiMapping[str]) -> M:
    """Query parameters; an unknown, repeated or malformed one is refused."""
    repeated = next((name for name in query if len(query.getall(name)) > 1), None)
    if repeated is not None:
        raise refuse(422, "invalid_request", "is given more than once", repeated)
    given: dict[str, Any] = dict(query)
    return _valid(model, lambda model: model.model_validate(given))


def _given(model: BaseModel) -> dict[str, object]:
    """What the record may keep: no payloads."""
    return model.model_dump(mode="json", exclude={"data", "metadata"}, exclude_none=True)


def _valid(model: type[M], read: Callable[[type[M]], M]) -> M:
    try:
        return read(model)
    except ValidationError as error:
        fault = ContractError.from_validation(error, model)
        is_json = error.errors(include_input=False)[0]["type"] != "json_invalid"
    if is_json:
        raise refuse(422, "invalid_request", fault.reason, fault.field)
    raise refuse(400, "invalid_json", fault.reason)
