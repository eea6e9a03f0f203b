"""What a client names when it subscribes: an alias or a pattern."""

from difflib import get_close_matches
from typing import Final, NamedTuple

from contracts.catalog import BUILTIN, families
from contracts.errors import ContractError
from contracts.subjects import ANY, Pattern, Subject
from contracts.types import family_of

GLOBAL: Final = "global"
METRICS: Final = "metrics"
EVERYONE: Final = "everyone"
"""As an audience: all who are connected, whatever they are subscribed to."""
_EXECUTION: Final = "execution_"
_CREW: Final = "crew_"
_UPDATES: Final = "_updates"
_NEAR: Final = 0.75
"""How alike two names are of which one may be meant by the other."""
_LONGEST_SHOWN: Final = 64
_FORMS: Final = (
    "use global, metrics, <family>_updates, execution_<id>, crew_<id>, or a pattern such as task.*"
)


class Subscription(NamedTuple):
    """A subscription by the name the client gave it, and the pattern it stands for."""

    name: str
    pattern: Pattern


def execution(execution_id: str) -> Subscription:
    """All events of one execution. A malformed id raises `ContractError`."""
    token = Subject.build("execution.any", execution_id=execution_id).execution_id
    return Subscription(_EXECUTION + token, Pattern(ANY, ANY, ANY, token))


def crew(crew_id: str) -> Subscription:
    """All events of one crew. A malformed id raises `ContractError`."""
    token = Subject.build("crew.any", crew_id=crew_id).crew_id
    return Subscription(_CREW + token, Pattern(ANY, ANY, token, ANY))


def _known(pattern: Pattern) -> Pattern:
    """A pattern over a family that does not exist can only be a mistake."""
    if pattern.family != ANY and pattern.family not in families():
        near = get_close_matches(pattern.family, sorted(families()), 1, _NEAR)
        hint = f"did you mean '{near[0]}'?" if near else f"there are {_listed(families())}"
        raise ContractError("subscription", f"{_shown(pattern.family)} is no known family: {hint}")
    return pattern


def _listed(names: frozenset[str]) -> str:
    """The built-in families, and how many others there are: those may be many."""
    builtin = {family_of(event_type) for event_type in BUILTIN}
    more = len(names - builtin)
    return ", ".join(sorted(builtin)) + (f", and {more} custom" if more else "")


def audience_of(name: str) -> Pattern | None:
    """Whom an event is for that is addressed to ``name``: who has this subscription; None: everyone.

    What is neither ``everyone`` nor a subscription raises `ContractError`.
    """
    return None if name == EVERYONE else parse_subscription(name).pattern


_FIXED: Final = {
    GLOBAL: Pattern(ANY, ANY, ANY, ANY),
    METRICS: Pattern("system", "health_check", ANY, ANY),
}


def parse_subscription(name: str) -> Subscription:
    """Read ``global``, ``metrics``, ``<family>_updates``, ``execution_<id>``, ``crew_<id>`` or a pattern.

    Where an id reads like an alias (an execution named ``updates``) the alias wins; its pattern
    ``*.*.*.updates`` reaches the id. Anything else raises `ContractError`.
    """
    if name in _FIXED:
        return Subscription(name, _FIXED[name])
    if "." in name or name == ">":
        return Subscription(name, _known(Pattern.parse(name)))
    if name.endswith(_UPDATES) and name.removesuffix(_UPDATES) in families():
        return Subscription(name, Pattern(name.removesuffix(_UPDATES), ANY, ANY, ANY))
    if name.startswith(_EXECUTION):
        return execution(name.removeprefix(_EXECUTION))
    if name.startswith(_CREW):
        return crew(name.removeprefix(_CREW))
    raise ContractError("subscription", f"{_shown(name)} is neither an alias nor a pattern: {_meant(name)}")


def _shown(name: str) -> str:
    """What was given, as far as it is short and plain: subscriptions are no payload, and hold no secrets."""
    return f"'{name}'" if len(name) <= _LONGEST_SHOWN and name.isprintable() else "what was given"


def _meant(name: str) -> str:
    """What would do, the most likely first."""
    aliases = [GLOBAL, METRICS, *(f"{family}{_UPDATES}" for family in sorted(families()))]
    if near := get_close_matches(name, aliases, 1, _NEAR):
        return f"did you mean '{near[0]}'?"
    return _FORMS
