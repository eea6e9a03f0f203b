"""Names of secrets, known by their parts: ``DB_PASS``, ``clientSecret``, ``x-api-key``."""

import re
from functools import lru_cache
from itertools import pairwise
from typing import Final

_WORD: Final = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[^\W\d_A-Za-z]+")
_SECRET: Final = re.compile(
    r".*(?:secrets?|passw(?:or)?ds?|passphrase|passcode|pwd|credentials?|sess(?:ion)?id|passwort|kennwort)"
    r"|creds|authorization|cookies?|bearer|contraseña|contrasena|wachtwoord|senha|пароль|密码|密碼|パスワード"
)
"""A word that makes a secret of the name that it is in, also where it is written together: ``dbpassword``."""
_AT_THE_END: Final = re.compile(
    r".*token|.*signature|.*dsn|auth|jwt|[ht]?otp|pass|pem|psk|sig"
    r"|(?:admin|basic|db|ftp|http|key|mail|master|my|mysql|pg|proxy|redis|root|smtp|sql|ssh|user)pass"
)
_KEYS: Final = (
    "access", "account", "admin", "api", "auth", "client", "consumer", "decryption", "deploy",
    "encryption", "hmac",
    "license", "master", "private", "secret", "security", "service", "shared", "signing", "ssh", "storage",
    "subscription", "webhook",
)  # fmt: skip
_TOKENS: Final = ("access", "api", "auth", "bearer", "refresh", "session")
_KEY: Final = re.compile(rf"(?:{'|'.join(_KEYS)})keys?|(?:{'|'.join(_TOKENS)})tokens")
_PAIRS: Final = frozenset(
    {*((word, key) for word in _KEYS for key in ("key", "keys")), *((word, "tokens") for word in _TOKENS)}
    | {("session", "id"), ("connection", "string"), ("pass", "phrase"), ("pass", "code"), ("pass", "word")}
)
_NO_SECRET: Final = frozenset(
    {
        "age", "alg", "algorithm", "change", "consent", "count", "dir", "directory", "domain",
        "enabled", "expiration",
        "expires", "expiry", "field", "file", "filename", "format", "hint", "length", "limit",
        "manager", "name",
        "path", "policy", "prompt", "provider", "required", "reset", "rotation", "rules", "status", "store",
        "strength", "ttl", "type", "types", "usage", "version",
    }
)  # fmt: skip
"""A name that ends so is about a secret, and not of one: ``password_policy``, ``SECRET_NAME``."""
_COUNTED: Final = frozenset(
    {"completion", "input", "max", "min", "next", "num", "output", "per", "prompt", "total"}
)
"""``max_token`` is a number of tokens."""
_PASSES: Final = frozenset(
    {"all", "band", "first", "high", "last", "low", "multi", "one", "second", "single", "tests"}
)
_OPEN_KEYS: Final = frozenset(
    {
        "agent", "cache", "crew", "foreign", "group", "idempotency", "index", "issue", "object", "partition",
        "primary", "project", "public", "publishable", "row", "routing", "sort", "task",
    }
)  # fmt: skip


def words(name: str) -> list[str]:
    """The parts of a name, whether it is written ``like_this``, ``like-this`` or ``likeThis``."""
    return [word.lower() for word in _WORD.findall(name)]


@lru_cache(4_096)
def is_secret(name: str) -> bool:
    """Whether a value of this name is a secret."""
    parts = words(name)
    if not parts or parts[-1] in _NO_SECRET:
        return False
    return (
        any(_SECRET.fullmatch(word) or _KEY.fullmatch(word) for word in parts)
        or not _PAIRS.isdisjoint(pairwise(parts))
        or _ends_as_secret(parts)
        or (name.isupper() and parts[-1] == "key" and not _OPEN_KEYS.intersection(parts) and len(parts) > 1)
    )


def _ends_as_secret(parts: list[str]) -> bool:
    before = parts[-2] if len(parts) > 1 else ""
    if parts[-1] == "token" and before in _COUNTED:
        return False
    if parts[-1] == "pass" and before in _PASSES:
        return False
    return _AT_THE_END.fullmatch(parts[-1]) is not None
