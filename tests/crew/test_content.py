"""What passes is plain, bounded and has no secrets."""

import json
from datetime import UTC, datetime
from enum import Enum
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic_core import to_json

from bridge.crew.content import Cutter, stub, text_of
from bridge.crew.secrecy import is_secret

ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary() | st.datetimes(),
    lambda inner: (
        st.lists(inner) | st.dictionaries(st.text() | st.integers(), inner) | st.sets(st.integers())
    ),
    max_leaves=60,
)


class Colour(Enum):
    RED = "red"


class Output:
    raw = "the answer"


class Llm:
    api_key = "sk-1"

    def __repr__(self) -> str:
        return self.api_key


@given(ANYTHING)
def test_anything_becomes_json_that_says_the_same_at_every_reading(value: object) -> None:
    data = Cutter().plain("x", value, 100)

    text = to_json(data)
    assert json.loads(text, parse_constant=pytest.fail) == data


@given(st.text(alphabet=st.characters()), st.integers(1, 50))
def test_a_text_is_never_longer_than_its_limit_and_says_how_long_it_was(text: str, limit: int) -> None:
    cutter = Cutter()

    kept = cutter.text("x", text, limit)
    assert len(kept) <= limit
    assert cutter.notes == ({"x": len(text)} if len(text) > limit else {})


def test_a_text_that_is_no_unicode_becomes_some() -> None:
    assert Cutter().text("x", "a\ud800b", 10) == "a?b"


def test_values_are_bounded_in_number_and_depth() -> None:
    cutter = Cutter()
    assert len(json.dumps(cutter.plain("x", [["a"] * 1_000] * 1_000, 10))) < 50_000
    assert cutter.notes == {"x": 1_000}

    deep: list[Any] = []
    for _ in range(100):
        deep = [deep]
    assert json.dumps(Cutter().plain("x", deep, 10)).count("[") <= 8


def test_a_value_that_contains_itself_has_an_end() -> None:
    loop: dict[str, Any] = {}
    loop["me"] = loop

    assert Cutter().plain("x", loop, 10)


@pytest.mark.parametrize(
    "name",
    [
        "api_key",
        "OPENAI_API_KEY",
        "apiKey",
        "password",
        "db_passwd",
        "Authorization",
        "client_secret",
        "access_token",
        "X-Api-Key",
        "access-key-id",
        "db_pwd",
        "pass",
    ],
)
def test_names_of_secrets_are_known(name: str) -> None:
    assert is_secret(name)
    assert Cutter().plain("x", {"deep": [{name: "sk-1"}]}, 10) == {"deep": [{name: "[redacted]"}]}


@pytest.mark.parametrize("name", ["total_tokens", "key", "prompt", "max_tokens", "keyword", "compass"])
def test_harmless_names_are_left_alone(name: str) -> None:
    assert not is_secret(name)


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("401 Authorization: Bearer abc123def456ghi for you", "401 Authorization: Bearer [redacted] for you"),
        ("Incorrect API key provided: sk-proj-a1B2c3D4e5F6g7H8.", "Incorrect API key provided: [redacted]."),
        (f"sk-{'LETTERS' * 6} only", "[redacted] only"),
        ("at postgres://bob:hunter2@db/x", "at postgres://[redacted]@db/x"),
        ("GET /v1?api_key=abc123&q=tides", "GET /v1?api_key=[redacted]&q=tides"),
        ('{"password": "correct horse", "n": 1}', '{"password": "[redacted]", "n": 1}'),
        ("with ghp_0123456789abcdefghij and AKIA0123456789ABCDEF", "with [redacted] and [redacted]"),
        ("eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.c2lnbmF0dXJl", "[redacted]"),
    ],
)
def test_what_looks_like_a_secret_is_hidden_wherever_it_stands(text: str, kept: str) -> None:
    assert Cutter().text("x", text, 500) == kept
    assert Cutter().text("x", ValueError(text), 500) == kept


@pytest.mark.parametrize(
    "text",
    [
        "a basic understanding of tokens: the key is patience",
        "https://example.com/@user/sk-learn-is-a-good-library",
        "scikit, task-2024, the password: ask your admin",
    ],
)
def test_ordinary_words_stay(text: str) -> None:
    assert Cutter().text("x", text, 500) == text


def test_a_secret_that_the_limit_would_cut_is_known() -> None:
    assert "sk-" not in Cutter().text("x", "x " * 40 + "sk-a1b2c3d4e5f6g7h8i9j0", 90)


def test_an_error_that_cannot_say_what_it_is_is_named() -> None:
    class MuteError(Exception):
        def __str__(self) -> str:
            raise RuntimeError

    assert text_of(MuteError()) == "MuteError"


def test_an_object_is_only_named() -> None:
    assert Cutter().plain("x", {"llm": Llm()}, 100) == {"llm": "<Llm>"}
    assert text_of(Output()) == "the answer"
    assert text_of(ValueError("no")) == "no"
    assert text_of(ValueError()) == "ValueError"
    assert text_of(Colour.RED) == "red"
    assert text_of(UUID(int=1)).endswith("01")
    assert text_of(datetime(2026, 1, 1, tzinfo=UTC)) == "2026-01-01 00:00:00+00:00"


def test_numbers_that_a_browser_would_round_are_text() -> None:
    assert Cutter().plain("x", [2**60, 10**400, float("nan"), 1.5, 7], 100) == [
        "1.15292e+18",
        "<int>",
        "nan",
        1.5,
        7,
    ]


def test_a_stub_keeps_what_is_small() -> None:
    assert stub({"error": "x" * 900, "tool": "t", "n": 1, "deep": {"a": 1}}, 12_345) == {
        "error": "x" * 200,
        "tool": "t",
        "n": 1,
        "too_large": 12_345,
    }
