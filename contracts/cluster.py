"""What bridges ask each other, and the answer that belongs to each question.

Bridges of two versions may talk for as long as an upgrade takes: keys that one does not know, it passes over.
"""

from typing import Annotated, Literal, NamedTuple

from pydantic import Field

from contracts.operations import Body, ConnectionDetails, ConnectionSummary, InstanceUptime, RemovedConnection


class Survey(Body):
    """The question how many are connected, to what, and who are the next ``limit`` of those selected."""

    limit: int
    after: tuple[str, str] | None = None
    """``client_id`` and instance of the last connection that is known already."""
    subscription: str | None = None
    endpoint: str | None = None
    principal: str | None = None
    min_lag: int = 0


class Surveyed(Body):
    """One bridge's answer."""

    uptime: InstanceUptime
    subscription_counts: dict[str, int]
    connection_seconds: float
    """How long all connections have lasted, together."""
    matching: int
    connections: list[ConnectionSummary]


class Explain(Body):
    """The question what is known of a client."""

    client_id: str


class Explanation(Body):
    """None: it is not connected here."""

    connection: ConnectionDetails | None


class Disconnect(Body):
    """The request to end a client's connection."""

    client_id: str
    code: int
    reason: str


class Ended(Body):
    """Whether there was one."""

    ended: bool


class CleanUp(Body):
    """The request to end connections that were silent for so long, by default as long as a bridge allows."""

    silent_seconds: float | None = None


class Cleaned(Body):
    """Whose connections were ended."""

    removed: list[RemovedConnection]


class Reach(Body):
    """The question for how many clients the event at ``seq`` is."""

    epoch: str
    seq: int


class Reached(Body):
    """Of those that were connected when it came."""

    reached: int
    behind: int
    """Of these, so many read on in the log, and will come to it."""
    is_known: bool
    """False: the event did not come to this bridge in time."""


class Send(Body):
    """The request to send a text, at once, to one client, or to who has a subscription, or to everyone."""

    text: str
    client_id: str | None = None
    subscription: str | None = None


class Delivered(Body):
    """To how many it was sent."""

    reached: int
    skipped: int
    """To so many it was not, since their sockets were full."""


class Tapping(Body):
    """The wish to follow what a client is sent, and with ``explain``, what it is not."""

    client_id: str
    explain: bool = False


class Arrival(Body):
    """The news that a client with an id of its own is connected here, and the question who else has it."""

    kind: Literal["arrival"] = "arrival"
    client_id: str
    to: str | None = None
    """The bridge that is asked; None: all of them."""


class Holding(Body):
    """The answer of a bridge that has one, too."""

    kind: Literal["holding"] = "holding"
    client_id: str
    to: str
    asked_at: float
    """``sent_at`` of the question."""
    age: float
    """For how many seconds it has been open."""
    opened_at: float
    """By the clock of who answers: it names the connection, and is compared with nothing else."""


class Release(Body):
    """The judgement that the connection of this ``opened_at`` is the older one."""

    kind: Literal["release"] = "release"
    client_id: str
    to: str
    opened_at: float


class Takeover(Body):
    """What a bridge tells the others of clients that connect to another one than before."""

    bridge_id: str
    sent_at: float
    """By the clock of the teller, in seconds."""
    news: list[Annotated[Arrival | Holding | Release, Field(discriminator="kind")]]


class Reply(NamedTuple):
    """One bridge's answer, as it came."""

    instance: str
    body: bytes


class Replies(NamedTuple):
    """What came back from the other bridges."""

    answers: tuple[Reply, ...]
    missing: tuple[str, ...]
    """Bridges heard of a moment ago that did not answer in time, or could not be asked."""
    reachable: bool
    """Whether anybody could be asked."""
