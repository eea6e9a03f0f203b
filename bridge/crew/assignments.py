"""Secrets that a text gives with their names: ``DB_PASS=…``, ``"api_key": "…"``, ``SMTP_PASS: …``."""

import re
from collections.abc import Iterator
from typing import Final

from bridge.crew.secret_names import is_secret, words

STEMS: Final = (
    "key", "token", "pass", "secret", "pwd", "cred", "auth", "signature", "jwt", "otp", "session", "sessid",
    "sig", "dsn", "pem", "connection", "kennwort", "contrase", "wachtwoord", "senha", "пароль", "密",
    "パスワード",
)  # fmt: skip
_GIVING: Final = re.compile(
    rf"(?:{'|'.join(STEMS)})[\w.-]{{0,40}}(\\*[\"'`])?\s{{0,9}}(?:=>|:=|[:=])\s{{0,9}}"
)
_VALUE: Final = re.compile(
    r"(?:b|\[\s{0,9})?(?:(?:token|bearer|basic)\s{1,9})?(\\*[\"'])?"
    r"(?(1)(?:(?!\1)(?:\\.|.))+"
    r"|(?:(?<==)[^\s\"'\\&,;=][^\s\"'\\&,;]*|(?=[^\s\"'\\&,;]{0,99}\d)[^\s\"'\\&,;]{6,}))",
    re.S,
)
"""In quotes, also those of JSON within JSON, up to their end; right behind an equals sign up to a space;
elsewhere only what has a digit, or "the password: ask me" would go.
"""
_CONFIGURED: Final = re.compile(r"()[^\s\"'\\&,;{}()\[\]<>|]{4,}(?=[ \t]*(?:[\r\n,;}\\]|\Z))")
"""Behind a name that is no word of prose, such as ``SMTP_PASS``: all that the line has."""
_MIXED: Final = re.compile(
    r"(\\*[\"'])?(?=[^\s\"'`\\&,;]{0,99}\d)(?=[^\s\"'`\\&,;]{0,99}[a-z])[^\s\"'`\\&,;]{6,}"
)
"""Behind what is often no secret: only what has a digit and a letter."""
_SCHEME: Final = re.compile(r"(?:b(?=[\"'])|\[\s{0,9})?(?:(?:token|bearer|basic)\s{1,9})?")
_OFTEN_NONE: Final = frozenset({"pass", "auth", "sig", "pem", "otp", "cookie", "cookies", "x-auth", "xauth"})
_HARMLESS: Final = re.compile(
    r"none|null|nil|true|false|yes|no|str|string|int|integer|bool|boolean|bytes|any|required|missing|unset"
    r"|undefined|empty|invalid|expired|basic|bearer|digest|oauth2?|[*x.•_-]+|<[^<>]*>|\$?\{+[^{}]*\}+|\$\(?\w+\)?"
    r"|(?:secret)?str\b.*|optional\b.*|\[redacted\].*"
)
_CODE: Final = re.compile(
    r"(?:[a-z_]\w*\.)*[a-z_]\w*[(\[].*|(?:self|os|settings|config|process|env|args|app)\..*"
)
_NAME_CHARS: Final = 64
_FEW_DIGITS: Final = 3


def assigned(text: str, lower: str) -> Iterator[tuple[int, int]]:
    """Where values of secrets are in ``text``."""
    giving = _GIVING.search(lower)
    while giving is not None:
        end = giving.end()
        if value := _value(text, lower, giving):
            yield value
            end = value[1]
        giving = _GIVING.search(lower, end)


def _value(text: str, lower: str, giving: re.Match[str]) -> tuple[int, int] | None:
    name = _name(text, giving)
    if not is_secret(name):
        return None
    found = _form(name).match(lower, giving.end())
    if found is None and _is_no_prose(name):
        found = _CONFIGURED.match(lower, giving.end())
    if found is None:
        return None
    begin = _begin(found, lower)
    is_quoted = bool(found[1])
    return None if is_harmless(name, text[begin : found.end()], quoted=is_quoted) else (begin, found.end())


def _form(name: str) -> re.Pattern[str]:
    return _MIXED if name.lower() in _OFTEN_NONE else _VALUE


def _begin(found: re.Match[str], lower: str) -> int:
    """Where the value itself begins, behind its quote or its scheme."""
    if found[1]:
        return found.end(1)
    scheme = _SCHEME.match(lower, found.start(), found.end())
    return scheme.end() if scheme else found.start()


def _name(text: str, giving: re.Match[str]) -> str:
    """The whole name that ends before the sign; two words of it, as in ``API key``."""
    end = giving.start()
    while end < giving.end() and (text[end].isalnum() or text[end] in "_.-"):
        end += 1
    begin = _back(text, giving.start())
    if text[begin - 1 : begin] == " " and begin > 1 and not is_secret(text[begin:end]):
        begin = _back(text, begin - 1)
    return text[begin:end]


def _back(text: str, end: int) -> int:
    begin, least = end, max(0, end - _NAME_CHARS)
    while begin > least and (text[begin - 1].isalnum() or text[begin - 1] in "_.-"):
        begin -= 1
    return begin


def _is_no_prose(name: str) -> bool:
    return name.isupper() or len(words(name)) > 1


def is_harmless(name: str, value: str, *, quoted: bool) -> bool:
    """Whether a value tells nothing, whatever its name: a type, a placeholder, a directory, code."""
    lower = value.lower()
    if _HARMLESS.fullmatch(lower):
        return True
    if lower.startswith(("/", "~/", "./")) and words(name)[-1:] in (["pwd"], ["oldpwd"]):
        return True
    if quoted:
        return False
    bare = value.rstrip(")]}")
    return (
        (value.isdigit() and len(value) <= _FEW_DIGITS)
        or _CODE.match(lower) is not None
        or (bare.replace("_", "a").isalpha() and set(words(name)) <= set(words(bare)))
    )
