"""The promise: every connection is given its view's events, each once, in order, or is told what is missing.

A machine does to a hub what the world does to it, and asks a slow, obvious model what each client is owed.
"""

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, Final

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from bridge.core.commands import answer, start_of
from bridge.core.connection import Connection
from bridge.core.cursor import MAX_GIVEN
from bridge.core.entry import Entry
from bridge.core.history import Chunk, Request
from bridge.core.hub import Hub
from bridge.core.log import Log
from bridge.core.socket import CloseCode
from bridge.core.start import Found
from bridge.core.view import View
from contracts.filters import EventFilter
from contracts.messages import Error, Message, Recovery, Subscribed
from contracts.subscriptions import parse_subscription
from contracts.types import EventPriority
from tests.core.model import COVERING, FILTERS, VIEWS, Client, Fact
from tests.core.parts import LIMIT, FakeSocket, event
from tests.core.stream import FakeStream

CLIENTS: Final = ("k0", "k1", "k2", "k3", "k4")
SIZES: Final = (0, 0, 100, 3_000, 100_000)

facts: Final = st.builds(
    Fact,
    seq=st.integers(1, 3),
    event_type=st.sampled_from(["task.completed", "task.progress", "custom.note"]),
    crew=st.sampled_from([None, "c1", "c2"]),
    execution=st.sampled_from([None, "e1", "e2"]),
    agent=st.sampled_from([None, "a1", "a2"]),
    priority=st.sampled_from([str(priority) for priority in EventPriority]),
    addressee=st.sampled_from([None] * 6 + list(CLIENTS[:2])),
    audience=st.sampled_from([None] * 8 + list(COVERING)),
)
names: Final = st.lists(st.sampled_from(list(VIEWS)), min_size=1, max_size=3, unique=True)
filters: Final = st.integers(0, len(FILTERS) - 1)
cursors: Final = st.none() | st.integers(0, 120) | st.integers(-12, -1)
"""A negative one lies so far before what comes next: -1 is the head."""
epochs: Final = st.sampled_from(["this", "this", "this", None, "another"])
who: Final = st.integers(0, 11)
"""Picks among those that there are."""


class Bridge(RuleBasedStateMachine):
    """The world around one hub."""

    def __init__(self) -> None:
        super().__init__()
        self.log = Log(1 << 24)
        self.facts: list[Fact] = []
        self.clients: dict[str, Client] = {}
        self.gone: list[Client] = []
        self.flushing: Iterator[None] | None = None
        self.is_woken = False
        self.epochs = 0
        self.stream = FakeStream()
        self.max_replay: int | None = None
        self.began = 0
        """Of what was before it, the hub knows nothing."""
        self.looks = 0
        """How much of the stream's past is read before a cursor is judged."""
        self.answers: list[tuple[Request, Chunk]] = []
        """Read from the stream, not brought to the hub yet: what they say may have become old."""
        self.hub = self._hub()

    def _hub(self) -> Hub:
        self.log.reset(f"e{self.epochs}", 0)
        return Hub(
            self.log,
            buffer_limit=LIMIT,
            wake=self._wake,
            full=self._full,
            fetch=self.stream.asked.append,
            now=lambda: 0,
            max_replay=self.max_replay,
        )

    def _wake(self) -> None:
        self.is_woken = True

    def _full(self, connection: Connection) -> None:
        self.clients[connection.client_id].is_away = True

    def _pick(self, index: int) -> Client:
        return list(self.clients.values())[index % len(self.clients)]

    def _gone(self) -> int:
        return min(self.stream.first - 1, self.log.floor)

    def _forgive(self, client: Client, point: int) -> None:
        client.forgive(self._gone(), lambda fact: fact.seq > point)

    def _hear_all(self) -> None:
        for client in self.clients.values():
            client.hear(self.stream.first, self.log.floor, self.stream.removed)

    # What the stream brings.

    @initialize(
        max_bytes=st.sampled_from([3_000, 8_000, 1 << 24]),
        floor=st.sampled_from([0, 0, 7]),
        first=st.sampled_from([1, 8]),
        looks=st.sampled_from([0, 3, 1_000]),
        max_replay=st.sampled_from([None, None, None, 20]),
    )
    def begin(self, max_bytes: int, floor: int, first: int, looks: int, max_replay: int | None) -> None:
        self.looks, self.max_replay = looks, max_replay
        self.log = Log(max_bytes)
        self.stream.reset(min(first, floor + 1))
        self.hub = self._hub()
        self.hub.reset("e0", floor)
        self.began = floor

    @rule(fact=facts, size=st.sampled_from(SIZES))
    def publish(self, fact: Fact, size: int) -> None:
        self._publish(fact, size)

    @rule(burst=st.lists(facts, min_size=5, max_size=40))
    def publish_a_burst(self, burst: list[Fact]) -> None:
        for fact in burst:
            self._publish(fact, 0)

    def _publish(self, drawn: Fact, size: int) -> None:
        fact = replace(drawn, seq=self.log.head + drawn.seq)
        if fact.audience is not None:
            fact = replace(fact, addressee=None)
        self.facts.append(fact)
        for client in self.clients.values():
            if client.wants(fact):
                client.owed.append(fact)
        entry = _entry(fact, size)
        self.stream.entries.append(entry)
        self.hub.publish(entry)

    @rule(step=st.integers(1, 3))
    def reject(self, step: int) -> None:
        self.hub.reject(self.log.head + step, "event_type")

    @rule(length=st.integers(1, 4))
    def announce_gap(self, length: int) -> None:
        fact = Fact(self.log.head + length, first=self.log.head + 1)
        self.facts.append(fact)
        for client in self.clients.values():
            client.owed.append(fact)
        self.stream.forget(fact.seq + 1)
        self.hub.announce_gap(self.log.head + 1, self.log.head + length, "retention")

    @rule(share=st.sampled_from([0.1, 0.5, 0.9, 1.0]))
    def retention(self, share: float) -> None:
        """The stream loses its beginning, of what the ring has, too."""
        self._hear_all()
        first = self.stream.first
        self.stream.forget(first + int((self.log.head + 1 - first) * share))

    @rule(begin=st.floats(0, 1), length=st.integers(1, 30), step=st.integers(1, 4))
    def remove(self, begin: float, length: int, step: int) -> None:
        """An operator takes something from between, of what the ring has, too."""
        self._hear_all()
        first = int(self.log.head * begin)
        known = {fact.seq for fact in self.facts if fact.first is None}
        self.stream.remove(*known.intersection(range(first, first + length, step)))

    @rule(floor=st.integers(0, 5), first=st.integers(0, 5))
    def reset(self, floor: int, first: int) -> None:
        self._hear_all()
        self.stream.reset(max(1, floor + 1 - first))
        self.epochs += 1
        self.hub.reset(f"e{self.epochs}", floor)
        self.began = floor
        for client in self.clients.values():
            assert client.socket.closed is not None
            assert client.socket.closed[0] == CloseCode.STREAM_RESET
        self.gone.extend(self.clients.values())
        self.clients.clear()
        self.facts.clear()

    # What the stream answers.

    @precondition(lambda self: self.stream.asked)
    @rule(index=who, most=st.sampled_from([1, 2, 5, 1_000]))
    def read_the_stream(self, index: int, most: int) -> None:
        """In any order, in pieces of any size."""
        request = self.stream.asked.pop(index % len(self.stream.asked))
        self._read(request, most)

    def _read(self, request: Request, most: int) -> None:
        if request.epoch == self.log.epoch:
            assert request.after < request.upto <= self.log.floor
            self.answers.append((request, self.stream.read(request, most)))

    @precondition(lambda self: self.answers)
    @rule(index=who)
    def bring_an_answer(self, index: int) -> None:
        """Also when nobody needs it any more, or the stream is another one."""
        request, chunk = self.answers.pop(index % len(self.answers))
        self.hub.supply(request, chunk)
        self._hear_all()

    @precondition(lambda self: self.answers and self.stream.asked)
    @rule(index=who, other=who)
    def bring_an_answer_to_another_question(self, index: int, other: int) -> None:
        """One that covers the question, though it was asked from further back: answers are kept."""
        place = other % len(self.stream.asked)
        asked, (request, chunk) = self.stream.asked[place], self.answers[index % len(self.answers)]
        is_same = (request.epoch, request.patterns) == (asked.epoch, asked.patterns)
        if is_same and chunk.covers(asked.after):
            del self.stream.asked[place]
            self.hub.supply(asked, chunk)
            self._hear_all()

    # What the pump does.

    @rule()
    def flush_wholly(self) -> None:
        self._finish_flush()
        self._flush_once()

    @rule(steps=st.integers(1, 5))
    def flush_partly(self, steps: int) -> None:
        if self.flushing is None and self.is_woken:
            self.is_woken = False
            self.flushing = self.hub.flush()
        for _ in range(steps):
            if self.flushing is not None and next(self.flushing, self) is self:
                self.flushing = None
        self._hear_all()

    def _finish_flush(self) -> None:
        for _ in self.flushing or ():
            pass
        self.flushing = None

    def _flush_once(self) -> None:
        """Only when the hub asked for it: a wake that is forgotten must show."""
        if self.is_woken:
            self.is_woken = False
            for _ in self.hub.flush():
                pass
        self._hear_all()

    # What browsers do.

    @rule(
        client_id=st.sampled_from(CLIENTS),
        subscriptions=st.sampled_from([["global"], ["crew_c1"]])
        | st.lists(st.sampled_from(list(VIEWS)), max_size=3, unique=True),
        flt=st.just(0) | filters,
        batch=st.sampled_from([False, False, False, True]),
        since=cursors,
        epoch=epochs,
    )
    def connect(
        self,
        client_id: str,
        subscriptions: list[str],
        flt: int,
        batch: bool,
        since: int | None,
        epoch: str | None,
    ) -> None:
        since = self._absolute(since)
        self._connect(client_id, subscriptions, flt, batch, since, self._epoch(epoch))

    def _connect(
        self,
        client_id: str,
        subscriptions: list[str],
        flt: int,
        batch: bool,
        since: int | None,
        epoch: str | None,
    ) -> None:
        self._hear_all()
        older = self.clients.get(client_id)
        socket = FakeSocket()
        connection = Connection(client_id, "test", socket, 0.0)
        connection.subscriptions = {name: parse_subscription(name) for name in subscriptions}
        connection.filter = EventFilter.model_validate(FILTERS[flt][0])
        connection.batch = batch
        self.clients[client_id] = client = Client(connection, socket, subscriptions, flt)
        client.is_bounded = self.max_replay is not None
        chunk = self._look(connection, since, epoch, view=None)
        recovery = self.hub.open(connection, since, epoch, chunk)
        assert not socket.written
        if older is not None:
            assert older.socket.closed is not None
            assert older.socket.closed[0] == CloseCode.REPLACED
            self.gone.append(older)
        if since is not None:
            begin, reason = self._place(since, epoch)
            client.owed.extend(fact for fact in self.facts if fact.seq > begin and client.wants(fact))
            self._note_claims(client, since, epoch)
            is_owed = (since, epoch) != (0, None)
            self._check_recovery(client, recovery, begin, reason, chunk, is_owed=is_owed)
        else:
            assert recovery is None

    def _note_claims(self, client: Client, since: int, epoch: str | None) -> None:
        """Who asks for what is kept, or is told that its cursor is none, has no claim to what was removed."""
        if (since, epoch) == (0, None) or epoch not in (None, self.log.epoch):
            client.unclaimed |= {fact.seq for fact in self.facts}

    def _look(
        self, connection: Connection, since: int | None, epoch: str | None, view: View | None
    ) -> Chunk | None:
        """What is asked of the stream before a cursor is judged; not always is there an answer."""
        if since is None or not self.looks:
            return None
        is_backfill = view is not None
        request = self.hub.question(
            connection, view or connection.current_view(), since, epoch, is_backfill=is_backfill
        )
        return None if request is None else self.stream.read(request, self.looks)

    def _absolute(self, since: int | None) -> int | None:
        return since if since is None or since >= 0 else max(0, self.log.head + 1 + since)

    def _epoch(self, epoch: str | None) -> str | None:
        return self.log.epoch if epoch == "this" else epoch

    def _place(self, since: int, epoch: str | None) -> tuple[int, str]:
        begin, reason = self._judged(since, epoch)
        least = 0 if self.max_replay is None else self.log.head - self.max_replay
        if begin >= least:
            return begin, reason
        return least, reason if reason == "stream_reset" else "too_many"

    def _judged(self, since: int, epoch: str | None) -> tuple[int, str]:
        if epoch not in (None, self.log.epoch):
            return 0, "stream_reset"
        if since > self.log.head:
            return self.log.head, "unknown_cursor"
        assert self.log.first <= self.stream.first
        oldest = min(self.log.first - 1, self.log.floor)
        if since == 0 and epoch is None:
            return max(0, oldest), "replayed"
        is_loss = since < oldest and (
            since < self.began or any(since < f.seq <= oldest and not f.is_passing for f in self.facts)
        )
        is_gap_to_come = any(f.first is not None and f.seq > max(since, self.log.floor) for f in self.facts)
        return since, "too_old" if is_loss or is_gap_to_come else "replayed"

    def _found(self, connection: Connection, command: dict[str, Any]) -> Found | None:
        start = start_of(connection, json.dumps(command))
        assert (start is None) == ("since" not in command)
        if start is None:
            return None
        since, epoch = command["since"], command["epoch"]
        return Found(since, epoch, self._look(connection, since, epoch, start[0]))

    def _check_recovery(
        self,
        client: Client,
        recovery: Recovery | None,
        begin: int,
        reason: str,
        chunk: Chunk | None,
        *,
        is_owed: bool,
    ) -> None:
        assert recovery is not None
        count = self._count(client, recovery.from_ - 1, chunk)
        if recovery.count is None and not is_owed and chunk is not None and chunk.lost is not None:
            count = None  # everything that is kept begins later than what was asked for: another question
        if recovery.from_ > begin + 1:
            assert client.changes > MAX_GIVEN / 2
            reason = "too_many"
        else:
            assert recovery.from_ == begin + 1
        if reason == "replayed" and is_owed and chunk is not None and chunk.lacks(begin):
            reason = "too_old"
        if reason == "replayed" and count == 0:
            reason = "nothing_missed"
        assert (recovery.to, recovery.count, recovery.reason) == (self.log.head, count, reason)
        assert recovery.recovered == (reason in {"replayed", "nothing_missed"})

    def _count(self, client: Client, after: int, chunk: Chunk | None) -> int | None:
        """How many events follow, None if a part of them is still to be read from the stream."""
        floor = self.log.floor
        if after < floor and (chunk is None or chunk.upto < floor):
            return None
        return sum(
            fact.first is None and fact.seq > after and (fact.seq > floor or self._is_kept(fact.seq))
            for fact in client.owed
        )

    def _is_kept(self, seq: int) -> bool:
        return seq >= self.stream.first and seq not in self.stream.removed

    @precondition(lambda self: self.clients)
    @rule(index=who)
    def disconnect(self, index: int) -> None:
        self._disconnect(self._pick(index))

    def _disconnect(self, client: Client) -> None:
        self._hear_all()
        del self.clients[client.connection.client_id]
        self.gone.append(client)
        self.hub.close(client.connection, CloseCode.DISCONNECTED, "bye")
        self.hub.close(client.connection, CloseCode.DISCONNECTED, "bye again")

    @precondition(lambda self: self.clients)
    @rule(index=who, is_informed=st.booleans())
    def reconnect_where_it_was(self, index: int, is_informed: bool) -> None:
        """With the last seq that it saw, or with what a pong told it."""
        client = self._pick(index)
        cursor = client.connection.resume_point(self.log.head)
        self._disconnect(client)
        since = cursor if is_informed else max(client.given, default=cursor)
        connection = client.connection
        names = sorted(client.subscriptions)
        self._connect(connection.client_id, names, client.filter, connection.batch, since, self.log.epoch)
        if not client.changes:
            again = client.given & {fact.seq for fact in self.clients[connection.client_id].owed}
            assert not again

    @precondition(lambda self: self.clients)
    @rule(
        index=who,
        burst=st.lists(facts, min_size=12, max_size=25),
        step=st.integers(1, 4),
        back=st.integers(0, 40),
        is_new=st.booleans(),
        read=st.sampled_from([1, 5, 1_000]),
    )
    def remove_while_one_is_away(
        self, index: int, burst: list[Fact], step: int, back: int, is_new: bool, read: int
    ) -> None:
        client = self._pick(index)
        self._disconnect(client)
        since = 0 if is_new else max(0, client.connection.resume_point(self.log.head) - back)
        self.publish_a_burst(burst)
        known = [fact.seq for fact in self.facts if fact.first is None and fact.seq > since]
        self.stream.remove(*known[1::step])
        name, names = client.connection.client_id, sorted(client.subscriptions)
        epoch = None if is_new else self.log.epoch
        self._connect(name, names, client.filter, client.connection.batch, since, epoch)
        self._finish_flush()
        self._flush_once()
        while self.stream.asked:
            self._read(self.stream.asked.pop(), read)
            for request, chunk in self.answers:
                self.hub.supply(request, chunk)
            self.answers.clear()
            self._flush_once()

    @precondition(lambda self: self.clients)
    @rule(
        index=who,
        subscriptions=names,
        since=cursors,
        epoch=epochs,
    )
    def subscribe(self, index: int, subscriptions: list[str], since: int | None, epoch: str | None) -> None:
        self._subscribe(self._pick(index), subscriptions, since, epoch)

    def _subscribe(
        self, client: Client, subscriptions: list[str], since: int | None, epoch: str | None = "this"
    ) -> None:
        since, epoch = self._absolute(since), self._epoch(epoch)
        cursor = {} if since is None else {"since": since, "epoch": epoch}
        command = {"action": "subscribe", "subscriptions": subscriptions, **cursor}
        found = self._found(client.connection, command)
        is_behind = client.connection.group is None
        said = self._command(client, found, **command)
        if isinstance(said, Subscribed):
            client.subscriptions |= set(subscriptions)
            client.view_changed()
            if since is not None:
                begin, reason = self._place(since, epoch)
                assert said.recovery is not None
                really = said.recovery.from_ - 1
                client.look_back([fact for fact in self.facts if fact.seq > really], set(subscriptions))
                self._note_claims(client, since, epoch)
                chunk = None if found is None or (is_behind and said.recovery.count is None) else found.chunk
                is_owed = (since, epoch) != (0, None)
                self._check_recovery(client, said.recovery, begin, reason, chunk, is_owed=is_owed)
        else:
            self._check_refusal(client, said, "busy")
        self._say(client, said)

    @precondition(lambda self: self.clients)
    @rule(index=who, subscriptions=names)
    def unsubscribe(self, index: int, subscriptions: list[str]) -> None:
        self._unsubscribe(self._pick(index), subscriptions)

    def _unsubscribe(self, client: Client, subscriptions: list[str]) -> None:
        said = self._command(client, action="unsubscribe", subscriptions=subscriptions)
        if not isinstance(said, Error):
            assert client.subscriptions >= set(subscriptions)
            client.subscriptions -= set(subscriptions)
            client.view_changed()
        elif client.subscriptions >= set(subscriptions):
            self._check_refusal(client, said, "busy")
        else:
            self._check_refusal(client, said, "busy", "not_subscribed")
        self._say(client, said)

    @precondition(lambda self: self.clients)
    @rule(index=who, flt=filters)
    def narrow(self, index: int, flt: int) -> None:
        client = self._pick(index)
        said = self._command(client, action="filter", filter=FILTERS[flt][0])
        if isinstance(said, Error):
            self._check_refusal(client, said, "busy")
        else:
            client.filter = flt
            client.view_changed()
        self._say(client, said)

    @precondition(lambda self: self.clients)
    @rule(index=who, flood=st.lists(st.tuples(facts, names, st.none() | st.integers(-6, -1)), max_size=40))
    def change_the_view_all_the_time(
        self, index: int, flood: list[tuple[Fact, list[str], int | None]]
    ) -> None:
        client = self._pick(index)
        for fact, subscriptions, since in flood:
            self._subscribe(client, subscriptions, since)
            self._publish(fact, 0)
            self._finish_flush()
            self._flush_once()
            self._unsubscribe(client, subscriptions)

    @precondition(lambda self: self.clients)
    @rule(index=who, text=st.sampled_from(['{"action":"ping"}', '{"action":"list"}', "{", '{"action":"x"}']))
    def ask(self, index: int, text: str) -> None:
        client = self._pick(index)
        client.hear(self.stream.first, self.log.floor, self.stream.removed)
        self._say(client, answer(self.hub, client.connection, text))

    @precondition(lambda self: self.gone)
    @rule(index=who, name=st.sampled_from(list(VIEWS)))
    def say_something_after_the_end(self, index: int, name: str) -> None:
        client = self.gone[index % len(self.gone)]
        command = {"action": "subscribe", "subscriptions": [name], "since": 0}
        answer(self.hub, client.connection, json.dumps(command), Found(0))
        self.hub.drained(client.connection)
        assert client.connection.group is None

    def _command(self, client: Client, found: Found | None = None, **command: Any) -> Message:
        """The answer; until it is said, nothing comes that was not owed before."""
        client.hear(self.stream.first, self.log.floor, self.stream.removed)
        said = answer(self.hub, client.connection, json.dumps({"id": 5, **command}), found)
        client.hear(self.stream.first, self.log.floor, self.stream.removed)
        assert not client.answers
        return said

    def _say(self, client: Client, said: Message) -> None:
        client.connection.say(said)
        client.hear(self.stream.first, self.log.floor, self.stream.removed)
        assert client.answers == [json.loads(said.to_json())]
        client.answers.clear()

    def _check_refusal(self, client: Client, said: Message, *codes: str) -> None:
        assert isinstance(said, Error)
        assert said.code in codes
        assert said.code != "busy" or client.connection.group is None

    # What sockets do.

    @precondition(lambda self: self.clients)
    @rule(index=who, backlog=st.sampled_from([0, LIMIT, LIMIT + 1]))
    def stick(self, index: int, backlog: int) -> None:
        """Nobody reads at the other end any more."""
        socket = self._pick(index).socket
        socket.is_stuck = True
        socket.backlog = max(socket.backlog, backlog)

    @precondition(lambda self: self.clients)
    @rule(index=who, is_stuck=st.booleans())
    def drain(self, index: int, is_stuck: bool) -> None:
        self._drain(self._pick(index), is_stuck)

    def _drain(self, client: Client, is_stuck: bool) -> None:
        """The hub hears of room only where it said that a socket is full: it must always say so."""
        client.socket.is_stuck = is_stuck
        client.socket.backlog = 0
        if client.is_away:
            client.is_away = False
            self.hub.drained(client.connection)

    # What always holds.

    @invariant()
    def the_ring_is_bounded(self) -> None:
        assert self.log.bytes <= self.log.max_bytes or len(self.log) == 1

    @invariant()
    def a_connection_can_always_resume_where_it_is(self) -> None:
        for client in self.clients.values():
            client.hear(self.stream.first, self.log.floor, self.stream.removed)
            connection = client.connection
            point = connection.resume_point(self.log.head)
            assert point <= self.log.head
            self._forgive(client, point)
            assert all(fact.seq > point for fact in client.owed)
            if not any(segment.is_backfill for segment in connection.cursor.todo):
                assert all(seq <= point for seq in client.given)

    @rule()
    def quiesce(self) -> None:
        """Everybody reads, and the pump runs until nothing is due: all is delivered and all are live."""
        self._finish_flush()
        for client in self.clients.values():
            self._drain(client, is_stuck=False)
        for _ in range(2_000):
            self._flush_once()
            self._answer_all()
        assert not self.is_woken
        assert self.hub.waiting == 0
        for client in self.clients.values():
            client.forgive(self._gone())
            assert not client.owed
            assert client.connection.group is not None
        assert self.hub.readers == 0
        assert self.hub.router.live == len(self.clients) == len(self.hub.connections)

    def _answer_all(self) -> None:
        while self.stream.asked:
            self._read(self.stream.asked.pop(), 1_000)
        for request, chunk in self.answers:
            self.hub.supply(request, chunk)
        self.answers.clear()

    def teardown(self) -> None:
        self.quiesce()


def _entry(fact: Fact, size: int) -> Entry:
    optional = {"agent_id": fact.agent, "client_id": fact.addressee, "audience": fact.audience}
    envelope = {key: value for key, value in optional.items() if value is not None}
    return event(
        fact.seq,
        fact.event_type,
        crew=fact.crew,
        execution=fact.execution,
        size=size,
        priority=fact.priority,
        **envelope,
    )


TestBridge = Bridge.TestCase
