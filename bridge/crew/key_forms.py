"""Keys and tokens known by their form: the prefix that their issuer gives them, and what follows it.

The facts are those of gitleaks' and detect-secrets' rules, and of the documentation of model providers.
"""

import re
from collections.abc import Iterator
from functools import lru_cache
from typing import Final

_USUAL: Final = r"[\w-]{16,}"
_HEX: Final = r"[0-9a-f]"
_ALNUM: Final = r"[0-9a-z]"


def _usual(*prefixes: str) -> dict[str, str]:
    return dict.fromkeys(prefixes, _USUAL)


_FORMS: Final[dict[str, str]] = {
    **_usual(
        # Models and what goes with them.
        "sk-",
        "sk_",
        "rk_",
        "gsk_",
        "csk-",
        "xai-",
        "pplx-",
        "nvapi-",
        "hf_",
        "api_org_",
        "r8_",
        "fw_",
        "fw-",
        "tgp_v1_",
        "jina_",
        "tvly-",
        "fc-",
        "lsv2_",
        "ls__",
        "pcsk_",
        "apify_api_",
        "bb_live_",
        "e2b_",
        "dtn_",
        "tfp_",
        # Code and packages.
        "ghp_",
        "gho_",
        "ghs_",
        "ghu_",
        "ghr_",
        "github_pat_",
        "glpat-",
        "glptt-",
        "gldt-",
        "glrt-",
        "glft-",
        "glsoat-",
        "glimt-",
        "glagent-",
        "glffct-",
        "glcbt-",
        "gloas-",
        "gr1348941",
        "npm_",
        "pypi-",
        "rubygems_",
        "clojars_",
        "dckr_pat_",
        "sgp_",
        "pnu_",
        "rdme_",
        "nfp_",
        # Clouds, data and operations.
        "dop_v1_",
        "doo_v1_",
        "dor_v1_",
        "pscale_tkn_",
        "pscale_oauth_",
        "pscale_pw_",
        "sbp_",
        "sb_secret_",
        "napi_",
        "tskey-",
        "glc_",
        "glsa_",
        "sntryu_",
        "nrjs-",
        "nrii-",
        "nrak-",
        "hrku-aa",
        "fo1_",
        "fm1a_",
        "fm1r_",
        "fm2_",
        "sm_aat_",
        "sm_pat_",
        "sm_sat_",
        "bedrock-api-key-",
        "tk-us-",
        "phx_",
        "vcp_",
        # Chat, mail, payment and shops.
        "xoxa",
        "xoxb",
        "xoxe",
        "xoxo",
        "xoxp",
        "xoxr",
        "xoxs",
        "xapp-",
        "shpat_",
        "shpca_",
        "shppa_",
        "shpss_",
        "whsec_",
        "xkeysib-",
        "sq0atp-",
        "sq0csp-",
        "shippo_live_",
        "shippo_test_",
        "flwseck_test-",
        "flwseck-",
        "duffel_live_",
        "duffel_test_",
        "lin_api_",
        "ntn_",
        "figd_",
        "fio-u-",
        "pmak-",
        "dnkey-",
        "s-s4t2ud-",
        "s-s4t2af-",
        "live_pub_",
        "test_pub_",
    ),
    **dict.fromkeys(("ops_ey", "sntrys_ey", "absk"), r"[\w+/-]{100,}={0,2}"),
    **dict.fromkeys(
        ("akia", "asia", "abia", "acca", "a3t"), rf"(?={_ALNUM}*\d|){_ALNUM}{{16,17}}(?![0-9a-z])"
    ),
    **dict.fromkeys(("ezak", "eztk"), rf"{_ALNUM}{{54}}(?![0-9a-z])"),
    **dict.fromkeys(("hvs.", "hvb.", "aq."), r"[\w-]{30,}"),
    **dict.fromkeys(("atatt3", "atctt3", "atbb"), r"[\w=-]{24,}"),
    **dict.fromkeys(("eaam", "eaac", "eaaa"), r"[\w-]{22,}"),
    **dict.fromkeys(("live_", "test_"), rf"{_HEX}{{35}}(?![0-9a-z])|[0-9a-z_=-]{{40}}(?![0-9a-z_=-])"),
    **dict.fromkeys(("pat.", "sat."), r"[\w-]{22}\.[0-9a-z]{24}\.[0-9a-z]{20}"),
    "aiza": r"[\w-]{30,}",
    "ya29.": r"[\w.-]{20,}",
    "sg.": r"[\w-]{16,99}\.[\w-]{16,}",
    "ltai": rf"{_ALNUM}{{20}}(?![0-9a-z])",
    "akcp": r"[0-9a-z]{69}",
    "cmvmd": r"[0-9a-z]{59}",
    "4b1d": rf"{_ALNUM}{{38}}(?![0-9a-z])",
    "dapi": rf"{_HEX}{{32}}",
    "pul-": rf"{_HEX}{{40}}",
    "ico-": rf"{_ALNUM}{{32}}",
    "api-": rf"{_ALNUM}{{26}}(?![0-9a-z-])",
    "key-": rf"{_HEX}{{32}}(?![0-9a-z])",
    "p8e-": rf"{_ALNUM}{{32}}",
    "a3-": r"[0-9a-z]{6}-(?:[0-9a-z]{11}|[0-9a-z]{6}-[0-9a-z]{5})(?:-[0-9a-z]{5}){3}",
    "age-secret-key-1": r"[0-9a-z]{58}",
    "dp.pt.": r"[0-9a-z]{40,}",
    "dt0c01.": r"[0-9a-z]{24}\.[0-9a-z]{64}",
    "v1.0-": r"[0-9a-f]{24}-[0-9a-f]{146}",
    "sha256~": r"[\w-]{43}",
    "pk.": r"[0-9a-z]{60}\.[0-9a-z]{22}",
    "re_": r"[0-9a-z]{8}_[0-9a-z]{24}",
    "access-sandbox-": r"[0-9a-f-]{36}",
    "access-development-": r"[0-9a-f-]{36}",
    "access-production-": r"[0-9a-f-]{36}",
    "aqvn": r"[\w-]{35,38}(?![\w-])",
    "t1.": r"[\w-]+={0,2}\.[\w-]{86}",
}
LEAST_CHARS: Final = 18
_CHANCE: Final = re.compile(r"(?=[a-z]*\d)(?=\d*[a-z])[a-z0-9]{12}|[a-z0-9]{20}")
"""What is made of words, as the names of models and pages are, has nothing of the kind."""


def keys(lower: str) -> Iterator[tuple[int, int]]:
    """Where keys are in a text in lower case. One without long words, which is most of them, costs a look."""
    long = " ".join(word for word in lower.split() if len(word) >= LEAST_CHARS)
    found = tuple(prefix for prefix in _FORMS if prefix in long) if long else ()
    if found:
        for match in _pattern(found).finditer(lower):
            if _CHANCE.search(match[0]):
                yield match.span()


@lru_cache(256)
def _pattern(prefixes: tuple[str, ...]) -> re.Pattern[str]:
    """Only of what is there: all of them together are fifty times as slow."""
    forms = (f"{re.escape(prefix)}(?:{_FORMS[prefix]})" for prefix in prefixes)
    return re.compile(rf"(?<![a-z0-9_])(?:{'|'.join(forms)})")
