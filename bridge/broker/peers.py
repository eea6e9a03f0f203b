"""Which other bridges there are: whoever said so a moment ago, and has not said goodbye."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

HELLO_SECONDS: Final = 2.0
"""How often a bridge says that it is there."""
FORGET_SECONDS: Final = 15.0
"""A bridge that was not heard for so long is none any more: its absence is for the monitoring to tell."""
_SUCCEEDS_SECONDS: Final = 1.5 * HELLO_SECONDS
"""Who missed a hello and whose name another bridge bears now was replaced by it."""


class Hello(BaseModel):
    """What a bridge says to all others, and on every change to itself."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    id: str
    """Of this life of the bridge."""
    instance: str
    state: Literal["asking", "here", "leaving"]
    """``asking`` is ``here`` from one that wants to know who else is."""


@dataclass(slots=True)
class _Peer:
    instance: str
    heard: float


class Peers:
    """The others, by what is heard of them. ``clock`` is monotonic, in seconds."""

    def __init__(self, own_id: str, clock: Callable[[], float]) -> None:
        self._own_id = own_id
        self._clock = clock
        self._peers: dict[str, _Peer] = {}

    def hear(self, data: bytes) -> bool:
        """Somebody said something; whether they want an answer."""
        try:
            hello = Hello.model_validate_json(data)
        except ValidationError:
            return False
        if hello.id == self._own_id:
            return False
        if hello.state == "leaving":
            self._peers.pop(hello.id, None)
            return False
        if hello.id not in self._peers:
            self._replace(hello.instance)
        self._peers[hello.id] = _Peer(hello.instance, self._clock())
        return hello.state == "asking"

    def known(self) -> dict[str, str]:
        """The names of those that should answer, by id."""
        oldest = self._clock() - FORGET_SECONDS
        self._peers = {id_: peer for id_, peer in self._peers.items() if peer.heard >= oldest}
        return {id_: peer.instance for id_, peer in self._peers.items()}

    def _replace(self, instance: str) -> None:
        latest = self._clock() - _SUCCEEDS_SECONDS
        for id_, peer in tuple(self._peers.items()):
            if peer.instance == instance and peer.heard < latest:
                del self._peers[id_]
