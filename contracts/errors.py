"""The one error of the contracts: bytes, or values, that are not what they should be."""

from pydantic import ValidationError
from pydantic_core import ErrorDetails


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
    def from_validation(cls, error: ValidationError) -> "ContractError":
        """The first complaint of pydantic, without the value that caused it."""
        first = error.errors(include_url=False, include_input=False)[0]
        if first["type"] == "json_invalid":
            return cls("", "not valid JSON")
        if first["type"] == "union_tag_invalid":  # pydantic's own words quote the tag
            return cls(_path(*first["loc"], _tag(first)), f"must be one of {first['ctx']['expected_tags']}")
        return cls(_path(*first["loc"]), first["msg"].removeprefix("Value error, "))


def _path(*parts: int | str) -> str:
    return ".".join(map(str, parts))


def _tag(error: ErrorDetails) -> str:
    """The key that tells the members of a union apart."""
    return str(error["ctx"]["discriminator"]).strip("'")
