"""What is never published: values with the name of a secret, and what in a text looks like one."""

import binascii
import os
import re
from collections.abc import Iterator
from functools import lru_cache
from typing import Final

from bridge.crew.assignments import STEMS, assigned, is_harmless
from bridge.crew.key_forms import LEAST_CHARS, keys
from bridge.crew.secret_names import is_secret

HIDDEN: Final = "[redacted]"

_SLACK: Final = 256
"""How far beyond a text's limit is looked, so that a secret which the limit cuts is known."""

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
        (
            ("postgres", "mysql", "mariadb", "mongodb", "redis", "amqp", "nats", "mssql"),
            ("://",),
            ("@",),
        ),
        re.compile(
            r"((?:postgres|mysql|mariadb|mongodb|redis|amqp|nats|mssql)[\w+]{0,20}://)"
            r"[^/\s@:\"']{0,99}:[^\s\"'?]{1,199}(?=@)"
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
    ((("bearer ",),), re.compile(r"(bearer(?: token)? +)(?=\S{0,99}\d|[\w.~+/-]{24})[\w.~+/=-]{8,}")),
    ((("cookie:",),), re.compile(r"(cookie: *)(?=[^\s=;:,\"']{1,99}=)[^\r\n\"'\\]+")),
    ((("private key-----",),), re.compile(r"(-----begin [a-z ]*private key-----).*?(?=-----end|\Z)", re.S)),
    (
        (("eyj",),),
        re.compile(r"()\beyj[\w-]{8,999}\.[\w-]{8,9999}\.[\w-]*"),
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
        (("key", "token", "secret", "pass"), (" is ",)),
        re.compile(
            r"(\b(?:api[-_ ]?key|token|secret|password|passphrase|passcode) is:? (?:now )?([\"'`]))"
            r"[^\s\"'`\\]{3,99}(?=\2)"
        ),
    ),
    (
        (("token", "key"),),
        re.compile(
            r"(\b(?:token|(?:api|access|secret)[-_ ]key)(?: provided)?:? +[\"'`]?)"
            r"(?=[a-z]*\d)(?=\d*[a-z])[a-z0-9]{20,}={0,2}(?![\w./-])"
        ),
    ),
    (
        (("mysql", "mariadb", "sshpass", "redis-cli"), (" -p", " -a ")),
        re.compile(
            r"(\b(?:(?:mysql|mariadb)[\w-]{0,12}\b[^\n|;&]{0,200}? -p(?!\d{1,5}\b)|sshpass -p ?"
            r"|redis-cli\b[^\n|;&]{0,200}? -a ))[^\s\"'\\]{2,}"
        ),
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
_BASIC: Final = re.compile(r"basic +([a-z0-9+/]{8,400}={0,2})(?![\w+/=])")
_OPTION: Final = re.compile(r"(?<![\w-])--([a-z][\w-]{1,60}) +([^\s\"'\\-][^\s\"'\\]*)")
_NAMED: Final = re.compile(
    r"[\"'](?:name|key|header)\\*[\"']\s{0,9}:\s{0,9}\\*[\"']([\w.-]{1,99})"
    r"\\*[\"']\s{0,9},\s{0,9}\\*[\"']value\\*[\"']\s{0,9}:\s{0,9}(\\*[\"'])((?:(?!\2)(?:\\.|.))+)",
    re.S,
)
"""As in ``{"name": "DB_PASSWORD", "value": "…"}``."""
_SHORT: Final = 200
_LEAST_CHARS: Final = 8
"""A shorter value of a variable could be any word."""
_WORD: Final = re.compile(r"[a-z]{1,11}")
"""A value of a variable that is a word, such as ``postgres``, is everywhere in texts, and no secret."""
_GIVEN: Final = "|".join(STEMS)
_SIGNS: Final = re.compile(
    "|".join(
        (
            *sorted({re.escape(hint) for needed, _ in _PATTERNS for hint in needed[0]} - {"token", "key"}),
            rf"[=:>].*(?:{_GIVEN})|(?:{_GIVEN}).*[=:]",
            "basic |--|token |key ",
            rf"\S{{{LEAST_CHARS}}}",
        )
    ),
    re.S,
)
"""No secret is without one of these. In a short text one look for all is ten times as fast."""


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
    found = ((name, os.environ.get(name, "")) for name in tuple(os.environ) if is_secret(name))
    return tuple(value for name, value in found if _tells(name, value))


def _tells(name: str, value: str) -> bool:
    """Whether a variable's value is none that texts have for other reasons: a word, a file, a switch."""
    is_word = _WORD.fullmatch(value) is not None or value.startswith("/")
    return len(value) >= _LEAST_CHARS and not is_word and not is_harmless(name, value, quoted=True)


@lru_cache(1_024)
def _scrubbed_short(text: str, known: tuple[str, ...]) -> str:
    """Most short texts are names, which every event of a run repeats."""
    if _SIGNS.search(_lower(text)) or any(value in text for value in known):
        return _scrubbed(text, known, len(text))
    return text


def _scrubbed(text: str, known: tuple[str, ...], limit: int, begin: int = 0) -> str:
    lower = _lower(text)
    parts, end = [], begin
    for first, stop in sorted((*_secrets(text, lower), *_places(text, known))):
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


def _secrets(text: str, lower: str) -> Iterator[tuple[int, int]]:
    for needed, pattern in _PATTERNS:
        if all(any(hint in lower for hint in hints) for hints in needed):
            for match in pattern.finditer(lower):
                yield match.end(1), match.end()
    yield from keys(lower)
    if "=" in lower or ":" in lower:
        yield from assigned(text, lower)
    yield from _judged(text, lower)


def _judged(text: str, lower: str) -> Iterator[tuple[int, int]]:
    """What a pattern alone cannot tell from ordinary words."""
    if "basic " in lower:
        yield from (m.span(1) for m in _BASIC.finditer(lower) if _is_login(text[m.start(1) : m.end(1)]))
    if "--" in lower:
        yield from (m.span(2) for m in _OPTION.finditer(lower) if is_secret(m[1]))
    if "value" in lower:
        yield from (m.span(3) for m in _NAMED.finditer(lower) if is_secret(text[m.start(1) : m.end(1)]))


def _is_login(text: str) -> bool:
    """Whether it is what ``Basic`` has to be followed by: a name and a password, encoded."""
    try:
        return b":" in binascii.a2b_base64(text)
    except binascii.Error:
        return False
