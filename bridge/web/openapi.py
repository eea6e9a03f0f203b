"""The OpenAPI description of the routes, made from the same table as the router, and from the models."""

import re
from collections.abc import Sequence
from importlib.metadata import version
from typing import Any, Final

from pydantic import BaseModel
from pydantic.json_schema import JsonSchemaMode, models_json_schema

from bridge.web.operation import Nothing, Operation
from bridge.web.plain import Plain
from contracts.operations import Failure

Json = dict[str, Any]
Route = Operation[Any, Any] | Plain
Table = Sequence[tuple[str, Route]]

_REF: Final = "#/components/schemas/{model}"
_WORDS: Final = {
    101: "The WebSocket is open",
    200: "Done",
    400: "Not readable",
    403: "Origin not allowed",
    404: "No bridge that answered knows the client",
    408: "Too slow",
    413: "Too large",
    421: "Not a name of this bridge",
    422: "A parameter or a field is not what it should be",
    503: "Not now; try again",
}


def described(table: Table) -> Json:
    """OpenAPI 3.1."""
    schemas = _Schemas(table)
    paths: dict[str, Json] = {}
    for prefix, route in table:
        paths.setdefault(prefix + route.path, {})[route.method.lower()] = _operation(route, schemas)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Crew Bridge",
            "version": version("crew-bridge"),
            "summary": "Events of CrewAI crews, live in browsers, and the administration of the bridges.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "paths": paths,
        "components": {"schemas": schemas.components},
    }


class _Schemas:
    """The schemas of all models of the routes."""

    def __init__(self, table: Table) -> None:
        wanted: dict[tuple[type[BaseModel], JsonSchemaMode], None] = {(Failure, "serialization"): None}
        for _, route in table:
            wanted[route.query, "validation"] = None
            if isinstance(route, Operation):
                wanted[route.body, "validation"] = None
                wanted[route.answer, "serialization"] = None
        found, definitions = models_json_schema(list(wanted), ref_template=_REF)
        self._names = {key: ref["$ref"].rpartition("/")[2] for key, ref in found.items()}
        self._all: dict[str, Json] = definitions["$defs"]
        queries = {self._names[key] for key in wanted if _is_query(key[0], table)}
        self.components = {name: schema for name, schema in self._all.items() if name not in queries}

    def parameters(self, query: type[BaseModel]) -> list[Json]:
        """The query parameters that ``query`` has."""
        schema = self._all[self._names[query, "validation"]]
        return [_parameter(name, part) for name, part in schema.get("properties", {}).items()]

    def ref(self, model: type[BaseModel], mode: JsonSchemaMode) -> Json:
        """Where the model's schema is."""
        return {"$ref": _REF.format(model=self._names[model, mode])}


def _is_query(model: type[BaseModel], table: Table) -> bool:
    return any(model is route.query for _, route in table)


def _parameter(name: str, schema: Json) -> Json:
    """A list is written with commas."""
    parts = dict(schema)
    description = parts.pop("description", "")
    parts.pop("title", None)
    return {
        "name": name,
        "in": "query",
        "description": description,
        "schema": parts,
        "style": "form",
        "explode": False,
    }


def _operation(route: Route, schemas: _Schemas) -> Json:
    described: Json = {
        "operationId": route.name,
        "summary": route.summary,
        "parameters": [*map(_path_parameter, _names(route.path)), *schemas.parameters(route.query)],
        "responses": {str(status): answer for status, answer in sorted(_answers(route, schemas).items())},
    }
    if isinstance(route, Operation) and route.body is not Nothing:
        described["requestBody"] = {
            "required": any(field.is_required() for field in route.body.model_fields.values()),
            "content": {"application/json": {"schema": schemas.ref(route.body, "validation")}},
        }
    return described


def _names(path: str) -> list[str]:
    return re.findall(r"\{(\w+)\}", path)


def _path_parameter(name: str) -> Json:
    return {"name": name, "in": "path", "required": True, "schema": {"type": "string", "minLength": 1}}


def _answers(route: Route, schemas: _Schemas) -> dict[int, Json]:
    failure = {"application/json": {"schema": schemas.ref(Failure, "serialization")}}
    answers: dict[int, Json] = {}
    if isinstance(route, Plain):
        for status, media_type in route.answers.items():
            answers[status] = {"description": _WORDS[status]}
            if media_type:
                answers[status]["content"] = {media_type: {}}
        refusals: tuple[int, ...] = route.refusals
    else:
        content = {route.media_type: {"schema": schemas.ref(route.answer, "serialization")}}
        answers[200] = {"description": _WORDS[200], "content": content}
        refusals = (*route.refusals, 400, 408, 413, 421, 422, *([403] if route.is_change else []))
    for status in refusals:
        answers[status] = {"description": _WORDS[status], "content": failure}
    return answers
