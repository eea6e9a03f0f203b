"""Keys of issuers and values of secrets' names are hidden in texts; ordinary texts stay as they are.

Keys are made here, of their prefix and chance: none of them stands in this file.
"""

# ruff: noqa: E501 - tables, and texts as crews write them

import base64
import string
from random import Random
from timeit import repeat

import pytest

from bridge.crew.content import Cutter
from bridge.crew.secrecy import scrubbed
from bridge.crew.secret_names import is_secret

HEX, LOWER = "0123456789abcdef", string.ascii_lowercase + string.digits
ALNUM, UPPER = string.ascii_letters + string.digits, string.ascii_uppercase + string.digits
FORMS = [
    ("sk-proj-", ALNUM, 74), ("sk-ant-api03-", ALNUM, 93), ("sk-or-v1-", HEX, 64), ("gsk_", ALNUM, 52),
    ("xai-", ALNUM, 80), ("pplx-", ALNUM, 48), ("hf_", string.ascii_letters, 34), ("api_org_", string.ascii_letters, 34),
    ("r8_", ALNUM, 37), ("csk-", LOWER, 48), ("tvly-", ALNUM, 32), ("fc-", HEX, 32), ("pcsk_", ALNUM, 60),
    ("nvapi-", ALNUM, 64), ("AIza", ALNUM, 35), ("tgp_v1_", ALNUM, 43), ("jina_", LOWER, 40),
    ("ghp_", ALNUM, 36), ("gho_", ALNUM, 36), ("ghu_", ALNUM, 36), ("ghs_", ALNUM, 36), ("ghr_", ALNUM, 36),
    ("github_pat_", ALNUM, 82), ("glpat-", ALNUM, 20), ("glptt-", HEX, 40), ("gldt-", ALNUM, 20), ("glrt-", ALNUM, 20),
    ("GR1348941", ALNUM, 20), ("npm_", LOWER, 36), ("pypi-AgEIcHlwaS5vcmc", ALNUM, 60), ("rubygems_", HEX, 48),
    ("AKIA", "ABCDEFGHIJ234567", 16), ("ASIA", "ABCDEFGHIJ234567", 16), ("ABIA", "ABCDEFGHIJ234567", 16),
    ("LTAI", LOWER, 20), ("AKCp", ALNUM, 69), ("cmVmd", ALNUM, 59), ("ATATT3", ALNUM, 186), ("ABSK", ALNUM, 120),
    ("4b1d", ALNUM, 38), ("clojars_".upper(), LOWER, 60), ("dapi", HEX, 32), ("dop_v1_", HEX, 64), ("doo_v1_", HEX, 64),
    ("dor_v1_", HEX, 64), ("dp.pt.", LOWER, 43), ("duffel_live_", LOWER, 43), ("EZAK", LOWER, 54), ("EZTK", LOWER, 54),
    ("EAAM", LOWER, 110), ("FLWSECK_TEST-", HEX, 32), ("fo1_", ALNUM, 43), ("fm2_", ALNUM, 110), ("fio-u-", LOWER, 64),
    ("glc_", ALNUM, 64), ("HRKU-AA", ALNUM, 58), ("ico-", ALNUM, 32), ("lin_api_", LOWER, 40), ("NRAK-", LOWER, 27),
    ("NRJS-", HEX, 19), ("ntn_", ALNUM, 46), ("API-", UPPER, 26), ("sha256~", ALNUM, 43), ("pnu_", ALNUM, 36),
    ("pul-", HEX, 40), ("rdme_", LOWER, 70), ("tk-us-", ALNUM, 48), ("xkeysib-", HEX, 64), ("sntryu_", HEX, 64),
    ("sm_aat_", ALNUM, 16), ("shippo_live_", HEX, 40), ("shpat_", HEX, 32), ("shpca_", HEX, 32), ("shppa_", HEX, 32),
    ("shpss_", HEX, 32), ("xoxb-", string.digits, 12), ("sgp_", HEX, 40), ("sq0atp-", ALNUM, 22), ("EAAA", ALNUM, 60),
    ("sk_live_", ALNUM, 24), ("rk_test_", ALNUM, 24), ("tfp_", LOWER, 59), ("hvb.", ALNUM, 140), ("hvs.", ALNUM, 95),
    ("pscale_tkn_", ALNUM, 40), ("pscale_pw_", ALNUM, 40), ("p8e-", LOWER, 32), ("whsec_", ALNUM, 32),
    ("AGE-SECRET-KEY-1", "QPZRY9X8GF2TVDW0S3JN54KHCE6MUA7L", 58), ("SG.", ALNUM, 66), ("AQVN", ALNUM, 36),
]  # fmt: skip
"""The prefix, the alphabet and the length of what follows, by gitleaks' rules and the issuers' documentation."""


def made(prefix: str, alphabet: str, length: int) -> str:
    """A key of this form, always the same."""
    random = Random(prefix)  # Secrets that open nothing.
    body = "".join(random.choice(alphabet) for _ in range(length))
    if prefix == "xoxb-":
        return f"{prefix}{body}-{body}-{made('', ALNUM, 24)}"
    return f"{prefix}{body[:22]}.{body[23:]}" if prefix == "SG." else prefix + body


@pytest.mark.parametrize("form", FORMS, ids=lambda form: form[0])
def test_the_keys_of_issuers_are_known_by_their_form(form: tuple[str, str, int]) -> None:
    key = made(*form)

    assert Cutter().text("x", f"It says {key}, (again: '{key}').", 2_000) == (
        "It says [redacted], (again: '[redacted]')."
    )


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("DB_PASS=hunter, SMTP_PASS: horsebattery", "DB_PASS=[redacted], SMTP_PASS: [redacted]"),
        ("{'db_pass': 'horse battery'}", "{'db_pass': '[redacted]'}"),
        ("dbPassword = 'horse', clientSecret: hunter2", "dbPassword = '[redacted]', clientSecret: [redacted]"),
        ("export MYSQL_PWD=horse; PGPASSWORD=horse psql", "export MYSQL_PWD=[redacted]; PGPASSWORD=[redacted] psql"),
        ("spring.datasource.password=horse", "spring.datasource.password=[redacted]"),
        ("UID=sa;PWD=horse;Database=x", "UID=sa;PWD=[redacted];Database=x"),
        ("key: token=abc", "key: token=[redacted]"),
        ("at postgres://bob:p@ss/w@db/x", "at postgres://[redacted]@db/x"),
        ("mysqldump -u bob -phorse db", "mysqldump -u bob -p[redacted] db"),
        ("the password is 'horse'", "the password is '[redacted]'"),
        (f"invalid token {'a1' * 12} given", "invalid token [redacted] given"),
        (f"Basic {base64.b64encode(b'bob:horse').decode()} it is", "Basic [redacted] it is"),
        ("tool --smtp-pass horse --dry-run", "tool --smtp-pass [redacted] --dry-run"),
    ],
)  # fmt: skip
def test_secrets_are_known_by_the_parts_of_their_names(text: str, kept: str) -> None:
    assert Cutter().text("x", text, 500) == kept


@pytest.mark.parametrize(
    "name",
    ["DB_PASS", "smtpPass", "clientsecret", "PGPASSWORD", "MYSQL_PWD", "spring.datasource.password", "token2",
     "PHPSESSID", "secret_key_base", "license_key", "Passwort"],
)  # fmt: skip
def test_names_are_secrets_by_their_parts(name: str) -> None:
    assert is_secret(name)


@pytest.mark.parametrize(
    "name",
    ["max_token", "secretary", "password_policy", "SECRET_NAME", "DB_PASSWORD_FILE", "primary_key", "PRIMARY_KEY",
     "first_pass", "bypass", "token_type", "crew_key", "SSH_AUTH_SOCK", "TOKENIZERS_PARALLELISM", "", "123"],
)  # fmt: skip
def test_names_that_have_a_part_in_common_with_secrets_are_none(name: str) -> None:
    assert not is_secret(name)


@pytest.mark.parametrize(
    "text",
    [
        "basic arithmetic= and basic understanding2024, Basic auth=required",
        "total_tokens=1500, max_tokens: 4096, prompt_tokens=12 completion_tokens=3, token=7",
        "a password reset, the secret ingredient is patience, the token is short-lived, password: ask me",
        "password_policy: twelve-characters, secretary: Ann Smith, author=Ann, keyword: tides",
        "client = OpenAI(api_key=os.environ['OPENAI_API_KEY'], password=getpass(), token=token)",
        "def login(user: str, password: str, api_key: Optional[str] = None) -> Token:",
        "api_key: ${OPENAI_API_KEY}, password: <your password>, secret: '{{ secret }}', token=None",
        "PWD=/root/work OLDPWD=/root pwd: /srv/crew",
        "xai-grok-2-vision-1212, gpt-4o-mini-2024-07-18, claude-3-5-sonnet-20241022, fc-bayern-munich-2024-fixtures",
        "https://example.com/sk-learn-is-a-good-library-for-machine-learning-in-2024?page=2",
        "call_AbC123dEf456GhI789jKl012, chatcmpl-9abcDEFghiJKLmnoPQRstuVWX, toolu_01A09q90qw90lq917835lq9",
        "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08, git 3d8faa4c0ffee3d8faa4c0ffee3d8faa4c0ffee1",
        "id 550e8400-e29b-41d4-a716-446655440000, /usr/lib/python3.11/site-packages/crewai/tools/base_tool.py:123",
        "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAA",
        '| key | value |\n|---|---|\n| region | eu-west-1 |\n| pass | 12 |\n{"key": "PROJ-1234", "tests_pass": "all"}',
        "Favourite cookie: chocolate chip with nuts. Session: 10:30. Signature dish: risotto 2024.",
        "mysql -p 3306 is asked for; ssh -p 2222 host; docker run -p 8080:80 web",
        "bearer bonds of 2024, the bearer of news; --max-tokens 4096 --key-file a.pem --password-file p.txt",
    ],
)  # fmt: skip
def test_ordinary_texts_of_crews_stay_as_they_are(text: str) -> None:
    assert Cutter().text("x", text, 1_000) == text


def test_the_working_directory_and_words_in_the_environment_are_no_secrets(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    text = "in /srv/crews/newsroom, by postgres, with /run/secrets/login.json and true, but horse-battery"
    monkeypatch.setenv("PWD", "/srv/crews/newsroom")
    monkeypatch.setenv("DB_PASSWORD", "postgres")
    monkeypatch.setenv("SMTP_PASSWORD", "horse-battery")
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", "/run/secrets/login.json")

    assert Cutter().text("x", text, 500) == text.replace("horse-battery", "[redacted]")


@pytest.mark.parametrize(
    "piece", ["key=", "pass ", "sk-a1 ", "a.pass", "api_key: x ", "--pass ", "basic a", "key: 'a"]
)
def test_the_cost_of_a_text_grows_with_its_length_and_not_with_its_square(piece: str) -> None:
    def seconds(chars: int) -> float:
        return min(repeat(lambda: scrubbed((piece * chars)[:chars], 100_000), number=1, repeat=3))

    assert seconds(100_000) < 40 * seconds(10_000) + 0.05
