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
