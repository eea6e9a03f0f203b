"""Who is known, by what is heard."""

from bridge.broker.peers import FORGET_SECONDS, HELLO_SECONDS, Hello, Peers


class Clock:
    """A time that passes when it is told to."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def _hello(id_: str, state: str = "here", instance: str = "") -> bytes:
    return (
        Hello.model_validate({"id": id_, "instance": instance or id_, "state": state})
        .model_dump_json()
        .encode()
    )


def test_who_is_heard_is_known_until_it_says_goodbye() -> None:
    peers = Peers("me", Clock())
    peers.hear(_hello("a"))
    peers.hear(_hello("b"))
    peers.hear(_hello("me"))
    peers.hear(b"no hello")
    peers.hear(_hello("a", "leaving"))
    peers.hear(_hello("c", "leaving"))

    assert peers.known() == {"b": "b"}


def test_only_who_asks_others_is_answered() -> None:
    peers = Peers("me", Clock())

    assert peers.hear(_hello("a", "asking"))
    assert not peers.hear(_hello("a", "here"))
    assert not peers.hear(_hello("me", "asking"))


def test_who_is_silent_for_long_is_forgotten() -> None:
    clock = Clock()
    peers = Peers("me", clock)
    peers.hear(_hello("a"))
    clock.now = FORGET_SECONDS
    peers.hear(_hello("b"))
    assert peers.known().keys() == {"a", "b"}
    clock.now += 0.1

    assert peers.known().keys() == {"b"}


def test_who_missed_a_hello_and_whose_name_another_bears_was_replaced_by_it() -> None:
    clock = Clock()
    peers = Peers("me", clock)
    peers.hear(_hello("old", instance="a"))
    peers.hear(_hello("twin", instance="a"))
    assert peers.known().keys() == {"old", "twin"}
    clock.now = 2 * HELLO_SECONDS
    peers.hear(_hello("twin", instance="a"))
    peers.hear(_hello("new", instance="a"))

    assert peers.known().keys() == {"twin", "new"}
