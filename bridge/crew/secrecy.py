"""What is never published: values with the name of a secret, and what in a text looks like one."""

import os
import re
from collections.abc import Iterator
from functools import lru_cache
from typing import Final

HIDDEN: Final = "[redacted]"

_KEYS: Final = (
    "access", "account", "api", "encryption", "master", "private", "secret", "service", "shared", "signing",
    "ssh", "storage",
)  # fmt: skip
_NAME: Final = re.compile(
    rf"(?:{'|'.join(_KEYS)})[-_ ]?key|(?-i:[A-Z]_KEY$)|token$|(?:access|api|auth|refresh|session)[-_ ]?tokens"
    r"|secret|passw|passphrase|passcode|pwd|(?:^|[-_.])(?:auth|creds|jwt|otp|pass|pem|sig)$|authoriz|credential"
    r"|cookie|bearer|signature$|session[-_ ]?id|connection[-_ ]?string|dsn$",
    re.I,
)
_SLACK: Final = 256
"""How far beyond a text's limit is looked, so that a secret which the limit cuts is known."""

_ISSUERS: Final = (
    "sk-", "sk_", "rk_", "hf_", "ghp_", "gho_", "ghs_", "ghu_", "github_pat_", "glpat-", "xox", "nvapi-",
    "tvly-", "xai-", "pplx-", "lsv2_", "npm_", "pypi-", "shpat_", "whsec_", "dop_v1_", "r8_", "fc-", "e2b_",
)  # fmt: skip
_NAMED: Final = (
    *(f"{key}[-_ ]?key(?:[-_](?:base|id))?" for key in _KEYS),
    "token", "secret", "passwd", "password", "passphrase", "passcode", "pwd", "credentials?", "authorization",
    "signature", "jwt", "session[-_ ]?id",
)  # fmt: skip
_HINTS: Final = ("key", "token", "secret", "pass", "pwd", "cred", "auth", "signature", "jwt", "session")
_GIVEN: Final = (
    r"(?(2)(?:(?!\2)(?:\\.|.))+"
    r"|(?:(?<==)[^\s\"'\\&,;=][^\s\"'\\&,;]*"
    r"|(?=[^\s\"'\\&,;]{0,99}\d)[^\s\"'\\&,;]{6,}))"
)
"""In quotes, also those of JSON within JSON, up to their end; right behind an equals sign up to a space;
elsewhere only what has a digit, or "the password: ask me" would go.
"""

_MIXED: Final = r"(?=[^\s\"'`\\&,;]{0,99}\d)(?=[^\s\"'`\\&,;]{0,99}[a-z])[^\s\"'`\\&,;]{6,}"
"""Behind what is often no secret: only what has a digit and a letter."""

_Hints = tuple[tuple[str, ...], ...]
_PATTERNS: Final[tuple[tuple[_Hints, re.Pattern[str]], ...]] = (
    (
        (("://",), ("@",)),
        re.compile(
            r"(://)(?:[^/\s@:\"']{0,99}:(?:[^/\s\"']{1,199}|(?!\d{1,5}/)[^\s@\"']{1,199})"
            r"|(?=[^/\s@:\"']{0,99}\d)[^/\s@:\"']{20,199})(?=@)"
        ),
    ),
    (
        (("?", "&"), ("=",)),
        re.compile(
            r"([?&](?:x-amz-)?(?:access|auth|code|jwt|key|pass|sas|session|sessionid|sid|sig|signature"
            r"|security-token)=)[^\s\"'\\&#]+"
        ),
    ),
    (
        (("/bot", "hooks.slack.com/", "/api/webhooks/"),),
        re.compile(r"(/bot\d+:|hooks\.slack\.com/services/|/api/webhooks/\d+/)[^\s\"'\\?]+"),
    ),
    (
        (("bearer ", "basic "),),
        re.compile(r"((?:bearer|basic)(?: token)? +)(?=\S{0,99}[\d=])[\w.~+/=-]{8,}"),
    ),
    ((("cookie:",),), re.compile(r"(cookie: *)[^\r\n\"'\\]+")),
    ((("private key-----",),), re.compile(r"(-----begin [a-z ]*private key-----).*?(?=-----end|\Z)", re.S)),
    ((_ISSUERS,), re.compile(rf"()\b(?:g?{'|'.join(_ISSUERS)})(?=[\w-]{{0,99}}\d|[\w-]{{32}})[\w-]{{16,}}")),
    (
        (("akia", "asia", "aiza", "ya29.", "sg.", "eyj"),),
        re.compile(
            r"()\b(?:a[ks]ia(?=[a-z]*\d)[0-9a-z]{16}\b|aiza[\w-]{30,}|ya29\.[\w.-]{20,}"
            r"|sg\.[\w-]{16,99}\.[\w-]{16,}|eyj[\w-]{8,999}\.[\w-]{8,9999}\.[\w-]*)"
        ),
    ),
    (
        (
            ("=", ":"),
            ("key", "token", "secret", "pass", "pwd", "cred", "auth", "signature", "jwt", "session"),
        ),
        re.compile(
            rf"((?:{'|'.join(_NAMED)})(?:\\*[\"'])?\s*[:=]\s*(?:b|\[\s*)?(?:(?:token|bearer|basic)\s+)?"
            rf"(\\*[\"'])?){_GIVEN}",
            re.S,
        ),
    ),
    (
        (("key", "auth", "pass"), ("=", ":")),
        re.compile(rf"(\b(?:key\s*=|(?:x-)?(?:auth|pass)[\"']?\s*[:=])\s*[\"']?){_MIXED}"),
    ),
    (
        (("key", "token", "secret", "pass"), (" is ",)),
        re.compile(
            r"(\b(?:api[-_ ]?key|token|secret|password|passphrase|passcode) is (?:now )?[\"'`]?)" + _MIXED
        ),
    ),
    (
        (("value",), _HINTS),
        re.compile(
            rf"([\"'](?:name|key|header)\\*[\"']\s*:\s*\\*[\"'][\w.-]{{0,99}}(?:{'|'.join(_NAMED)})[\w.-]{{0,99}}"
            rf"\\*[\"']\s*,\s*\\*[\"']value\\*[\"']\s*:\s*(\\*[\"']))(?:(?!\2)(?:\\.|.))+",
            re.S,
        ),
    ),
    (
        (("--",), ("-key ", "token ", "secret ", "password ", "pass ")),
        re.compile(r"(--[\w-]{0,40}(?:-key|token|secret|password|pass) +)[^\s\"'\\-][^\s\"'\\]*"),
    ),
    (
        (("-u ", "--user "),),
        re.compile(r"((?:^|\s)(?:-u|--user) +[\"']?)(?!\d+:\d+\b)[^\s:\"']{1,99}:[^\s\"']+"),
    ),
)
"""Each looks at the text in lower case, which is five times as fast as ignoring the case, and only where the
text has one of each of its hints. What its first group has matched stays. Nothing looks far ahead without
taking it: an answer of 100,000 characters is looked through in its length, not in its square.
"""
_SHORT: Final = 200
_LEAST_CHARS: Final = 8
"""A shorter value of a variable could be any word."""
_SIGNS: Final = re.compile(
    "|".join(sorted({re.escape(hint) for needed, _ in _PATTERNS for hint in needed[0]}))
)
"""No secret is without one of these. In a short text one look for all is ten times as fast."""


def is_secret(name: str) -> bool:
    """Whether a value of this name is never published."""
    return _NAME.search(name) is not None


def scrubbed(text: str, limit: int, begin: int = 0) -> str:
    """The characters of ``text`` from ``begin`` to ``limit``, without keys, tokens and passwords.

    What stands before and behind them is looked at too. Known are the forms that errors and logs have secrets
    in: URLs with a password or a signature, ``Bearer`` and ``Basic``, cookies, private keys, the prefixes of
    well-known issuers, ``password=``; and what this process's variables with a secret's name hold. A secret
    that looks like any other word is not.
    """
    seen = text[: limit + _SLACK]
    known = _of_environment(len(os.environ))
    whole = not begin and len(text) <= min(limit, _SHORT)
    return _scrubbed_short(seen, known) if whole else _scrubbed(seen, known, limit, begin)


@lru_cache(1)
def _of_environment(_size: int) -> tuple[str, ...]:
    """The secrets among the variables of this process, looked for again when there are more of them."""
    values = (os.environ.get(name, "") for name in tuple(os.environ) if is_secret(name))
    return tuple(value for value in values if len(value) >= _LEAST_CHARS)


@lru_cache(1_024)
def _scrubbed_short(text: str, known: tuple[str, ...]) -> str:
    """Most short texts are names, which every event of a run repeats."""
    if _SIGNS.search(_lower(text)) or any(value in text for value in known):
        return _scrubbed(text, known, len(text))
    return text


def _scrubbed(text: str, known: tuple[str, ...], limit: int, begin: int = 0) -> str:
    lower = _lower(text)
    parts, end = [], begin
    for first, stop in sorted((*_secrets(lower), *_places(text, known))):
        if stop > end and first < limit:
            parts += [text[end:first], HIDDEN] if first >= end or end == begin else []
            end = stop
    return "".join((*parts, text[end:limit])) if parts else text[begin:limit]


def _places(text: str, known: tuple[str, ...]) -> Iterator[tuple[int, int]]:
    for value in known:
        place = text.find(value)
        while place >= 0:
            yield place, place + len(value)
            place = text.find(value, place + len(value))


def _lower(text: str) -> str:
    """In lower case, as long as it was: a few letters of the world would become two."""
    lower = text.lower()
    if len(lower) == len(text):
        return lower
    return "".join(low if len(low := letter.lower()) == 1 else letter for letter in text)


def _secrets(lower: str) -> Iterator[tuple[int, int]]:
    for needed, pattern in _PATTERNS:
        if all(any(hint in lower for hint in hints) for hints in needed):
            for match in pattern.finditer(lower):
                yield match.end(1), match.end()
