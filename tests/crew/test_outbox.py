"""The outbox: takes what threads leave, in their order, within its bounds."""

from bridge.crew.message import Message
from bridge.crew.outbox import Outbox


def message(name: str, size: int = 10, *, short_lived: bool = False) -> Message:
    return Message(name, "", b"x" * (size - len(name)), short_lived)


def names(messages: list[Message]) -> list[str]:
    return [message.event_id for message in messages]


def test_messages_are_taken_in_the_order_in_which_they_were_put() -> None:
    outbox = Outbox()
    for name in "abcde":
        outbox.put(message(name))

    assert names(outbox.take(3)[0]) == ["a", "b", "c"]
    assert names(outbox.take(3)[0]) == ["d", "e"]
    assert outbox.bytes_waiting == 0


def test_a_fence_comes_with_the_last_message_before_it() -> None:
    outbox = Outbox()
    outbox.put(message("a"))
    fence = outbox.fence()
    outbox.put(message("b"))

    messages, fences = outbox.take(10)
    assert (names(messages), fences) == (["a"], [fence])
    outbox.open(fences, safe=True)
    assert fence.passed.is_set()
    assert fence.safe
    assert names(outbox.take(10)[0]) == ["b"]


def test_a_fence_in_an_empty_outbox_is_taken_alone() -> None:
    outbox = Outbox()
    fence = outbox.fence()

    assert outbox.take(10) == ([], [fence])


def test_what_is_put_back_comes_first_and_nobody_waits_for_it() -> None:
    outbox = Outbox()
    for name in "abcd":
        outbox.put(message(name))
    fence = outbox.fence()
    taken, _ = outbox.take(2)
    outbox.put_back(taken)

    assert fence.passed.is_set()
    assert not fence.safe
    assert (outbox.fences, outbox.bytes_waiting) == (0, 40)
    assert names(outbox.take(10)[0]) == ["a", "b", "c", "d"]


def test_what_is_short_lived_makes_room_for_the_rest() -> None:
    outbox = Outbox(max_bytes=40)
    outbox.put(message("a"))
    outbox.put(message("chunk1", short_lived=True))
    outbox.put(message("chunk2", short_lived=True))
    fence = outbox.fence()
    outbox.put(message("b"))
    outbox.put(message("c"))

    assert outbox.shed == 2
    messages, fences = outbox.take(10)
    assert (names(messages), fences) == (["a"], [fence])
    assert names(outbox.take(10)[0]) == ["b", "c"]


def test_a_short_lived_message_that_finds_no_room_displaces_nothing() -> None:
    outbox = Outbox(max_bytes=20)
    outbox.put(message("a"))
    outbox.put(message("chunk1", short_lived=True))
    outbox.put(message("chunk2", short_lived=True))

    assert outbox.shed == 1
    assert names(outbox.take(10)[0]) == ["a", "chunk1"]


def test_what_finds_no_room_at_all_is_counted() -> None:
    outbox = Outbox(max_bytes=20)
    for name in "abc":
        outbox.put(message(name))

    assert (outbox.shed, outbox.bytes_waiting, len(outbox)) == (1, 20, 2)


def test_it_is_crowded_when_a_quarter_is_taken() -> None:
    outbox = Outbox(max_bytes=40)
    outbox.put(message("a"))
    assert not outbox.crowded

    outbox.put(message("b"))
    assert outbox.crowded


def test_a_listener_is_woken_once_until_it_takes() -> None:
    wakings: list[str] = []
    outbox = Outbox()
    outbox.put(message("before"))
    outbox.listen(lambda: wakings.append("!"))
    outbox.put(message("a"))
    outbox.put(message("b"))
    assert len(wakings) == 1

    outbox.take(10)
    outbox.put(message("c"))
    assert len(wakings) == 2


def test_what_is_short_lived_makes_room_also_after_it_was_taken_and_put_back() -> None:
    outbox = Outbox(max_bytes=30)
    for name, short_lived in (("a", True), ("b", False), ("c", True)):
        outbox.put(message(name, short_lived=short_lived))
    outbox.put_back(outbox.take(2)[0])
    outbox.put(message("d"))
    outbox.put(message("e"))

    assert outbox.shed == 2
    assert names(outbox.take(10)[0]) == ["b", "d", "e"]


def test_what_is_full_of_what_must_stay_takes_no_more_and_does_not_look_through_it() -> None:
    class Watched(Message):
        looks = 0

        def __getattribute__(self, name: str) -> object:
            Watched.looks += name == "short_lived"
            return super().__getattribute__(name)

    outbox = Outbox(max_bytes=1_000)
    for number in range(100):
        outbox.put(Watched(*message(str(number))))
    Watched.looks = 0
    for number in range(100):
        outbox.put(message(f"late {number}"))

    assert (len(outbox), outbox.shed, Watched.looks) == (100, 100, 0)
