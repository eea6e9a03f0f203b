"""The one error of the contracts: bytes, or values, that are not what they should be."""

from collections.abc import Mapping

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

Model = type[BaseModel]


class ContractError(ValueError):
    """Something is not a valid event, command, subject or pattern.

    ``field`` is the dotted path of the first bad field, ``""`` when the whole is at fault.
    ``reason`` says what is wrong with it. Neither ever quotes a value, but the name of a
    subscription: payloads carry secrets.
    """

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(f"{field}: {reason}" if field else reason)
        self.field = field
        self.reason = reason

    @classmethod
    def from_validation(
        cls, error: ValidationError, model: Model | Mapping[str, Model] | None = None
    ) -> "ContractError":
        """The first complaint of pydantic, without the value that caused it.

        ``model``: what could not be made, or the members of a union by their tags; where there is a name that
        it does not have, those that it has are said.
        """
        first = error.errors(include_url=False, include_input=False)[0]
        if first["type"] == "json_invalid":
            return cls("", "not valid JSON")
        if first["type"] == "union_tag_invalid":  # pydantic's own words quote the tag
            return cls(_path(*first["loc"], _tag(first)), f"must be one of {first['ctx']['expected_tags']}")
        if first["type"] == "extra_forbidden":
            return cls(_path(*first["loc"]), _unknown(model, first["loc"][:-1]))
        return cls(_path(*first["loc"]), first["msg"].removeprefix("Value error, "))


def _unknown(model: Model | Mapping[str, Model] | None, path: tuple[int | str, ...]) -> str:
    """What to say of a name that nothing has; ``path`` leads from ``model`` to where it was given."""
    if isinstance(model, Mapping):
        model, path = model.get(str(path[0])) if path else None, path[1:]
    for part in path:
        field = model.model_fields.get(str(part)) if model else None
        inner = field.annotation if field else None
        model = inner if isinstance(inner, type) and issubclass(inner, BaseModel) else None
    if model is None:
        return "is not known"
    return f"is not known; there is {', '.join(model.model_fields) or 'nothing to be given'}"


def _path(*parts: int | str) -> str:
    return ".".join(map(str, parts))


def _tag(error: ErrorDetails) -> str:
    """The key that tells the members of a union apart."""
    return str(error["ctx"]["discriminator"]).strip("'")
