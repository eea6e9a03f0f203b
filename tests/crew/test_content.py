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
from bridge.crew.secrecy import scrubbed
from bridge.crew.secret_names import is_secret

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

    cutter = Cutter()
    texts = cutter.plain("x", ["a" * 99_000] * 900, 100_000)
    assert 490_000 < sum(map(len, texts)) < 510_000
    assert cutter.notes["x"] == 900

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
        "OPENAI_KEY",
        "signing_key",
        "session_tokens",
        "x-auth",
        "jwt",
    ],
)
def test_names_of_secrets_are_known(name: str) -> None:
    assert is_secret(name)
    assert Cutter().plain("x", {"deep": [{name: "sk-1"}]}, 10) == {"deep": [{name: "[redacted]"}]}


@pytest.mark.parametrize(
    ("value", "kept"),
    [
        ([("X-Api-Key", "ab"), ("Accept", "*/*")], [["X-Api-Key", "[redacted]"], ["Accept", "*/*"]]),
        ({"name": "DB_PASSWORD", "value": "ab"}, {"name": "DB_PASSWORD", "value": "[redacted]"}),
        ({"key": "region", "value": "eu"}, {"key": "region", "value": "eu"}),
        (["tool", "--password", "ab", "-n", "1"], ["tool", "--password", "[redacted]", "-n", "1"]),
        (["I lost my password", "who"], ["I lost my password", "who"]),
        (["password", "user", "mail"], ["password", "user", "mail"]),
        ({"name": ["password"], "value": 1}, {"name": ["password"], "value": 1}),
    ],
)
def test_a_value_whose_name_stands_beside_it_is_hidden_as_well(value: Any, kept: Any) -> None:
    assert Cutter().plain("x", value, 100) == kept


@pytest.mark.parametrize(
    "name", ["total_tokens", "key", "prompt", "max_tokens", "keyword", "compass", "author", "monkey"]
)
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
        ("GET /blob?sv=1&sig=a%2Fb%3D&x=1", "GET /blob?sv=1&sig=[redacted]&x=1"),
        ("s3/x?X-Amz-Signature=0a1b2c&n=1", "s3/x?X-Amz-Signature=[redacted]&n=1"),
        ("X-Api-Key: 0a1b2c3d4e, Accept: */*", "X-Api-Key: [redacted], Accept: */*"),
        ("Authorization: Token 0a1b2c3d4e", "Authorization: Token [redacted]"),
        ("password: hunter22 is wrong", "password: [redacted] is wrong"),
        ("aws_secret_access_key = AbC1/dEf", "aws_secret_access_key = [redacted]"),
        ("AccountKey=AbC1dEf==;Suffix=x", "AccountKey=[redacted];Suffix=x"),
        ("Set-Cookie: sid=0a1b; Path=/\nDate: now", "Set-Cookie: [redacted]\nDate: now"),
        ("deploy --token 0a1b --dry-run", "deploy --token [redacted] --dry-run"),
        ("{'password': b'0a1b', 'n': 1}", "{'password': b'[redacted]', 'n': 1}"),
        ('{"passphrase": ["it\'s \\"me\\"", 1]}', '{"passphrase": ["[redacted]", 1]}'),
        (r'"{\"token\": \"a\nb\", \"n\": 1}"', r'"{\"token\": \"[redacted]\", \"n\": 1}"'),
        (
            "-----BEGIN RSA PRIVATE KEY-----\nMIIE\nAbCd\n-----END RSA PRIVATE KEY-----",
            "-----BEGIN RSA PRIVATE KEY-----[redacted]-----END RSA PRIVATE KEY-----",
        ),
        (r'{"private_key": "-----BEGIN KEY-----\nMIIE\n", "n": 1}', '{"private_key": "[redacted]", "n": 1}'),
        ("tvly-dev-a1B2c3D4e5F6g7H8 and ya29.a0AfH6SMBxxxxxxxxxxxx", "[redacted] and [redacted]"),
        ("https://hooks.slack.com/services/T0/B0/AbC", "https://hooks.slack.com/services/[redacted]"),
        ("api.telegram.org/bot123:AbC-d/send", "api.telegram.org/bot123:[redacted]"),
        ("İ token=0a1b", "İ token=[redacted]"),
        ("at postgres://bob:pa/ss@db/x", "at postgres://[redacted]@db/x"),
        ("at postgres://bob:p@ss@db/x", "at postgres://[redacted]@db/x"),
        ("https://0a1b2c3d4e5f6a7b8c9d@sentry.io/1", "https://[redacted]@sentry.io/1"),
        ("key=a1b2c3d4 and pass: 'hunter22'", "key=[redacted] and pass: '[redacted]'"),
        (
            "X-Auth: a1b2c3d4, user=bob pass=hunter22 host=db",
            "X-Auth: [redacted], user=bob pass=[redacted] host=db",
        ),
        (
            "The password is hunter22, the api key is `a1b2c3`",
            "The password is [redacted], the api key is `[redacted]`",
        ),
        (
            '{"env": [{"name": "DB_PASSWORD", "value": "horse battery"}, {"name": "n", "value": "1"}]}',
            '{"env": [{"name": "DB_PASSWORD", "value": "[redacted]"}, {"name": "n", "value": "1"}]}',
        ),
        (
            r'"[{\"key\": \"X-Api-Key\", \"value\": \"horse\"}]"',
            r'"[{\"key\": \"X-Api-Key\", \"value\": \"[redacted]\"}]"',
        ),
        ("curl -u bob:hunter2 -k, tool --pass hunter2", "curl -u [redacted] -k, tool --pass [redacted]"),
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
        "token == None, tokens: 1500, secret: of the sea, authorization: required, a --key word",
        "the session: at 10:30, https://example.com/?q=key&page=2#code=1",
        "http://host:8080/path/a@b, https://user@host/x, docker run -u 1000:1000 x",
        '{"key": "PROJ-1234"}, primary_key=ab12cd34, auth: required, pass=True, key=value',
        "the token is required, the password is wrong, the secret is 1234567, the answer is a1b2c3d4",
        '[{"name": "primary_key", "value": "id"}, {"name": "author", "value": "Ann"}]',
        "Asia, asiaticpatterns, pass the basic test; cookies: 12",
    ],
)
def test_ordinary_words_stay(text: str) -> None:
    assert Cutter().text("x", text, 500) == text


@pytest.mark.parametrize(
    "text",
    [
        "token:",
        "--",
        "eyj-",
        "sk-",
        "://a:",
        "basic ",
        "key=",
        'token"',
        "'",
        "key=a",
        "pass: a",
        "token is a",
        " -u a",
        "://a",
        "://a@",
        '"name": "token", "value": ',
        '"name": "',
    ],
)
def test_long_answers_are_looked_through_in_their_length_and_not_in_its_square(text: str) -> None:
    """A square would take minutes, and end by the test's timeout."""
    hints = "@ = : key token bearer --key sk- eyj "

    assert scrubbed((hints + text * 100_000)[:100_000], 100_000)


@given(st.text("aİßﬁ \n😀\"'=/?"), st.text("ab01", min_size=1))
def test_what_stands_around_a_secret_stays(before: str, secret: str) -> None:
    assert scrubbed(f"{before} api_key='{secret}' after", 1_000) == f"{before} api_key='[redacted]' after"


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


def test_a_hidden_secret_makes_no_room_for_half_of_another_behind_the_limit() -> None:
    text = f"token={'a1' * 140} {'x ' * 27}eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.c2lnbmF0dXJl"

    assert Cutter().text("x", text, 100) == "token=[redacted]…"


def test_the_secrets_of_the_environment_are_known_wherever_they_stand(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    text = "refused: horse-battery, in Sesame, by STRIPE: Zebra-Crossing"
    assert Cutter().text("x", text, 500) == text

    monkeypatch.setenv("MY_DB_PASSWORD", "horse-battery")
    monkeypatch.setenv("STRIPE_KEY", "Zebra-Crossing")
    monkeypatch.setenv("A_SECRET", "Sesame")
    monkeypatch.setenv("A_PLACE", "refused: ")
    hidden = "refused: [redacted], in Sesame, by STRIPE: [redacted]"
    assert Cutter().text("x", text, 500) == hidden
    assert Cutter().text("x", text * 9, 5_000) == hidden * 9
