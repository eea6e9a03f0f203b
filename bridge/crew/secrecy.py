"""What is never published: values with the name of a secret, and what in a text looks like one."""

import re
from typing import Final

HIDDEN: Final = "[redacted]"

_NAME: Final = re.compile(
    r"(?:api|access|private)[-_ ]?key|token$|secret|passw|passphrase|pwd|(?:^|[-_])pass$|authoriz|credential"
    r"|cookie|bearer|connection[-_ ]?string|dsn$",
    re.I,
)
_SLACK: Final = 256
"""How far beyond a text's limit is looked, so that a secret which the limit cuts is known."""

_NAMED: Final = r"(?:api|access|private)[-_ ]?key|token|secret|password|passwd|pwd|authorization"
_ENDS: Final = ("key", "token", "secret", "password", "passwd", "pwd", "authorization")
_GIVES: Final = ("=", '":', "':", '" :', "' :")
_ISSUERS: Final = (
    "sk-", "sk_", "rk_", "hf_", "ghp_", "gho_", "ghs_", "ghu_", "github_pat_", "glpat-", "xox", "nvapi-",
    "akia", "aiza",
)  # fmt: skip

_PATTERNS: Final[tuple[tuple[tuple[tuple[str, ...], ...], re.Pattern[str]], ...]] = (
    ((("://",),), re.compile(r"(://)[^/\s@:\"']*:[^/\s@\"']+(?=@)")),
    ((("bearer ", "basic "),), re.compile(r"(\b(?:bearer|basic) +)(?=\S*[\d=])[\w.~+/=-]{8,}", re.I)),
    (
        (_ISSUERS,),
        re.compile(
            r"()\b(?:(?:g?sk|rk|hf|gh[a-z]|github_pat|glpat|xox[a-z]|nvapi)[-_](?=[\w-]*\d|[\w-]{32})[\w-]{16,}"
            r"|AKIA[0-9A-Z]{16}|AIza[\w-]{30,})"
        ),
    ),
    ((("eyj",),), re.compile(r"()\beyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]*")),
    ((_GIVES, _ENDS), re.compile(rf"((?:{_NAMED})\\*[\"']?\s*[:=]\s*\\*[\"'])[^\"'\\]+", re.I)),
    ((_GIVES, _ENDS), re.compile(rf"((?:{_NAMED})=)[^\s\"'\\&,;]+", re.I)),
)
"""What is looked for first, one of each: in 2,000 characters that takes 60 µs, all the patterns 400.

The group at the beginning of a pattern stays.
"""


def is_secret(name: str) -> bool:
    """Whether a value of this name is never published."""
    return _NAME.search(name) is not None


def scrubbed(text: str, limit: int) -> str:
    """The first ``limit`` characters of ``text``, and some, without keys, tokens and passwords.

    Known are the forms that errors and logs have them in: URLs with a password, ``Bearer`` and ``Basic``,
    the prefixes of well-known issuers, ``password=``. A secret that looks like any other word is not.
    """
    text = text[: limit + _SLACK]
    lower = text.lower()
    for needed, pattern in _PATTERNS:
        if all(any(hint in lower for hint in hints) for hints in needed):
            text = pattern.sub(rf"\1{HIDDEN}", text)
    return text
