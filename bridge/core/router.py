"""From an event to the groups that want it, without looking at every group."""

from collections.abc import Callable

from bridge.core.connection import Connection
from bridge.core.entry import Entry
from bridge.core.group import Group
from bridge.core.index import PatternIndex
from bridge.core.view import View


class EventRouter:
    """The groups of live connections, one a view, and the index that finds them by subject.

    ``wake`` is called when the first group has something to flush.
    """

    def __init__(self, wake: Callable[[], None]) -> None:
        self._wake = wake
        self._groups: dict[View, Group[Connection]] = {}
        self._index: PatternIndex[Group[Connection]] = PatternIndex()
        self._dirty: dict[Group[Connection], None] = {}

    def __len__(self) -> int:
        return len(self._groups)

    @property
    def live(self) -> int:
        """How many connections are in groups."""
        return sum(map(len, self._groups.values()))

    def known(self, view: View) -> View:
        """The view of the group that is there for ``view``, or itself."""
        group = self._groups.get(view)
        return view if group is None else group.view

    def route(self, entry: Entry) -> None:
        """Append ``entry`` to every group whose view wants it, or to all groups if it is for all."""
        for group in self._groups.values() if entry.is_for_all else self._index.match(entry.audience):
            if entry.is_for_all or group.view.is_unfiltered or group.view.filter.matches(entry):
                group.pending.append(entry)
                self._mark(group)

    def take_dirty(self) -> dict[Group[Connection], None]:
        """The groups with something pending; the next ones are counted anew."""
        dirty, self._dirty = self._dirty, {}
        return dirty

    def join(self, connection: Connection) -> None:
        """Put a connection that has been given everything up to the head into the group of its view."""
        group = self._groups.get(connection.view)
        if group is None:
            group = self._groups[connection.view] = Group(connection.view)
            for pattern in group.view.patterns:
                self._index.add(pattern, group)
        group.join(connection)
        connection.group = group

    def leave(self, connection: Connection) -> None:
        """Take a connection out of its group, if it is in one."""
        group, connection.group = connection.group, None
        if group is None:
            return
        group.leave(connection)
        if not group:
            del self._groups[group.view]
            for pattern in group.view.patterns:
                self._index.discard(pattern, group)

    def _mark(self, group: Group[Connection]) -> None:
        if not self._dirty:
            self._wake()
        self._dirty[group] = None
