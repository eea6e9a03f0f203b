"""What operators are told over HTTP: who is connected, how the bridges are, what became of a request."""

from pydantic import AwareDatetime, BaseModel, ConfigDict

from contracts.filters import EventFilter


class Body(BaseModel):
    """Read by other versions too: what they do not know, they pass over."""

    model_config = ConfigDict(frozen=True, extra="ignore", use_attribute_docstrings=True)


class Coverage(Body):
    """Whose answers an answer is made of."""

    instance: str
    """The bridge that was asked."""
    answered: list[str]
    """The bridges that answered, the asked one included."""
    missing: list[str]
    """Bridges heard of a moment ago that did not answer in time, or could not be asked."""
    reachable: bool
    """False while the asked bridge has no NATS: it then speaks for itself alone."""

    @property
    def is_complete(self) -> bool:
        """Whether everybody who is known was asked, and answered."""
        return self.reachable and not self.missing


class Failure(Body):
    """Why a request was refused."""

    code: str
    message: str
    field: str | None = None
    """The dotted path of the first bad field."""
    cluster: Coverage | None = None


class ConnectionSummary(Body):
    """One connection, in a line of a list."""

    client_id: str
    instance: str
    endpoint: str
    principal: str | None = None
    """Who the client proved to be; nobody, as long as clients need no token."""
    subscriptions: list[str]
    duration_seconds: float
    cursor: int
    """Everything up to this ``seq`` lies behind the connection."""
    lag: int
    """How far the cursor is behind the head of the log, in sequence numbers."""
    buffered_bytes: int
    """Bytes that the socket has not taken yet."""
    events_sent: int
    messages_sent: int
    """Events, answers and heartbeats."""
    bytes_sent: int


class ConnectionDetails(ConnectionSummary):
    """One connection, explained."""

    state: str
    """``live`` at the head, ``reading`` on in memory,
    ``looking_back`` in the stream, or ``waiting`` for room."""
    lag_events: int
    """Events of its view that it has not been given: if not ``lag_is_exact``, at most so many."""
    lag_bytes: int
    """Bytes of these, and what its socket has not taken: if not ``lag_is_exact``, at least so many."""
    lag_milliseconds: int
    """Since the stream stored the first of these: if not ``lag_is_exact``, at least so many."""
    lag_is_exact: bool
    """False where it is behind what the bridge has in memory, or too far to count."""
    patterns: list[str]
    """What its subscriptions come to: subjects, without those that others cover."""
    filter: EventFilter
    batch: bool
    group_size: int
    """How many connections are served from the same buffer, itself included; 0 unless live."""
    epoch: str
    head: int
    opened_at: AwareDatetime
    last_heartbeat: AwareDatetime | None
    """When the bridge last sent one."""
    last_heard: AwareDatetime
    """When something last came from the client, a pong included."""
    commands_refused: int
    remote: str | None
    user_agent: str | None


class Uptime(Body):
    """Totals since the start, of one bridge or of all."""

    uptime_seconds: float
    connections_opened: int
    connections_closed: int
    messages_sent: int
    """Events, answers and heartbeats."""
    bytes_sent: int
    """Of events."""


class InstanceUptime(Uptime):
    """Of one bridge."""

    instance: str
    active_connections: int


class UptimeStatistics(Uptime):
    """Of all that answered; ``uptime_seconds`` is the longest."""

    instances: list[InstanceUptime]


class ConnectionsData(Body):
    """All counts are of the whole cluster, whatever the page shows."""

    active_connections: int
    subscription_counts: dict[str, int]
    """The most frequent subscriptions, at most 1,000."""
    average_connection_duration: float
    """Seconds."""
    uptime_statistics: UptimeStatistics
    matching: int
    """Connections that the filters select."""
    connections: list[ConnectionSummary]
    """Those of them on this page, by ``client_id``."""
    next: str | None
    """The ``after`` of the next page; null on the last."""


class Connections(Body):
    """Who is connected."""

    status: str = "success"
    data: ConnectionsData
    cluster: Coverage


class Explained(Body):
    """One connection, and every bridge's word on it."""

    status: str = "success"
    data: ConnectionDetails
    cluster: Coverage


class Disconnected(Body):
    """A client's connection was ended."""

    status: str = "success"
    client_id: str
    instances: list[str]
    """Where it was connected."""
    code: int
    reason: str
    cluster: Coverage


class RemovedConnection(Body):
    """A connection that was ended because nothing was heard from it."""

    client_id: str
    instance: str
    endpoint: str
    silent_seconds: float


class Removed(Body):
    """Stale connections were ended."""

    status: str = "success"
    removed: list[RemovedConnection]
    cluster: Coverage


class Broadcast(Body):
    """An event was put into the stream, for everyone or for who has a subscription."""

    status: str = "success"
    event_id: str
    event_type: str
    audience: str | None
    client_id: str | None = None
    sequence: int
    """Its ``seq``: a client that resumes from before it gets it, too."""
    connections_reached: int
    """Those that it is for, among all that are connected to the bridges that answered."""
    connections_behind: int
    """Of these, so many are reading older events still."""
    cluster: Coverage


class Health(Body):
    """How the asked bridge is."""

    status: str
    """``healthy``, or ``degraded`` while it is not at the head of the stream or shuts down."""
    active_connections: int
    total_messages_sent: int
    uptime_seconds: float
    last_cleanup: AwareDatetime | None
    """When a stale connection was last ended."""
    instance: str
    version: str
    peers: list[str]
    """The other bridges that were heard of a moment ago."""
