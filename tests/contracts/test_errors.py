"""The error: which field, what is wrong with it, and never a value."""

from typing import Literal

import pytest
from pydantic import BaseModel, Field, ValidationError

from contracts.errors import ContractError


class Cat(BaseModel):
    kind: Literal["cat"]


class Dog(BaseModel):
    kind: Literal["dog"]


class Owner(BaseModel):
    pet: Cat | Dog = Field(discriminator="kind")


def complaint(text: str) -> ContractError:
    with pytest.raises(ValidationError) as refused:
        Owner.model_validate_json(text)
    return ContractError.from_validation(refused.value)


def test_it_reads_as_the_field_and_the_reason() -> None:
    assert str(ContractError("data.error", "is missing")) == "data.error: is missing"
    assert str(ContractError("", "not valid JSON")) == "not valid JSON"


def test_what_is_not_json_is_nobodys_field() -> None:
    error = complaint("{sesame")

    assert (error.field, error.reason) == ("", "not valid JSON")


def test_an_unknown_member_of_a_union_is_refused_without_being_quoted() -> None:
    error = complaint('{"pet": {"kind": "sesame"}}')

    assert (error.field, error.reason) == ("pet.kind", "must be one of 'cat', 'dog'")


def test_the_field_is_a_dotted_path() -> None:
    assert complaint("{}").field == "pet"
    assert complaint('{"pet": 5}').field == "pet"


class Empty(BaseModel, extra="forbid"):
    pass


class Strict(BaseModel, extra="forbid"):
    name: str = ""
    inner: Empty = Empty()
    others: list[Empty] = []


@pytest.mark.parametrize(
    ("given", "field", "reason"),
    [
        ({"nmae": 1}, "nmae", "is not known; there is name, inner, others"),
        ({"inner": {"x": 1}}, "inner.x", "is not known; there is nothing to be given"),
        ({"others": [{"x": 1}]}, "others.0.x", "is not known"),
    ],
)
def test_of_an_unknown_name_those_that_there_are_are_said(
    given: dict[str, object], field: str, reason: str
) -> None:
    with pytest.raises(ValidationError) as refused:
        Strict.model_validate(given)
    error = ContractError.from_validation(refused.value, Strict)

    assert (error.field, error.reason) == (field, reason)
    assert ContractError.from_validation(refused.value).reason == "is not known"
    assert ContractError.from_validation(refused.value, {"strict": Strict}).reason == "is not known"
