"""The halted orders in every order in which they are looked at, kept so as rows change.

A view is a sorted list of the keys of some entries: of one studio or all, of one reason or all. The
first who asks for a view has it made; from then on every change of an entry moves its key in it.
A page is cut out of its view by bisection, so that its cost does not grow with what is halted.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections import Counter, OrderedDict
from collections.abc import Iterable
from enum import StrEnum
from typing import Final, NamedTuple

from processor.console.entries import Entry

SortKey = tuple[int, str, str]
"""(instant by which it is sorted, cause, order key): orders broken by one deletion stand together."""

#: Views that are kept; the one that was not asked for longest is dropped.
_VIEWS_KEPT: Final = 128
#: From so many changes at once, beside a share of the view, sorting anew is quicker than moving.
_MANY: Final = 64


class Sort(StrEnum):
    """In which order halted orders are listed."""

    NEWEST = "newest"
    OLDEST = "oldest"
    DEADLINE = "deadline"
    """What can be restored for the shortest time first."""
    PLACED = "placed"


class Scope(NamedTuple):
    """Which entries are in a view."""

    studio_id: str | None
    """None: of all studios."""
    code: int | None
    """Position of a reason that they have; None: any."""
    paid: bool | None
    """None: both."""

    def holds(self, entry: Entry) -> bool:
        """Tell whether an entry is in it."""
        return (
            (self.studio_id is None or entry.studio_id == self.studio_id)
            and (self.code is None or self.code in entry.codes)
            and (self.paid is None or entry.paid == self.paid)
        )


def _by_since(entry: Entry) -> SortKey:
    return -entry.since_us, entry.cause, entry.key


def _by_deadline(entry: Entry) -> SortKey:
    return entry.deadline_us, entry.cause, entry.key


def _by_placed(entry: Entry) -> SortKey:
    return -entry.placed_us, "", entry.key


# The oldest are the newest, read backwards.
_SORT_KEYS: Final = {
    Sort.NEWEST: _by_since,
    Sort.DEADLINE: _by_deadline,
    Sort.PLACED: _by_placed,
}


class View:
    """The sorted keys of the entries of one scope."""

    __slots__ = ("keys", "scope", "sort_key")

    def __init__(self, scope: Scope, sort: Sort, entries: Iterable[Entry]) -> None:
        self.scope = scope
        self.sort_key = _SORT_KEYS[sort]
        self.keys = sorted([self.sort_key(x) for x in entries if scope.holds(x)])

    def change(self, changes: list[tuple[Entry | None, Entry | None]]) -> None:
        """Take entries out, and put others in."""
        holds, sort_key = self.scope.holds, self.sort_key
        out = {sort_key(old) for old, _ in changes if old is not None and holds(old)}
        into = {sort_key(new) for _, new in changes if new is not None and holds(new)}
        out, into = out - into, into - out
        keys = self.keys
        if len(out) + len(into) > _MANY + len(keys) // 100:
            kept = [x for x in keys if x not in out] if out else keys
            self.keys = sorted([*kept, *into])
            return
        for key in out:
            del keys[bisect_left(keys, key)]
        for key in into:
            insort(keys, key)


class Index:
    """All halted orders."""

    def __init__(self) -> None:
        self.entries: dict[str, Entry] = {}
        """By order key."""
        self.version = 0
        """Changes whenever an entry does."""
        self._studios: dict[str, dict[str, None]] = {}
        self._causes: dict[tuple[str, str], dict[str, None]] = {}
        self._counts: dict[str | None, Counter[int]] = {None: Counter()}
        self._views: OrderedDict[tuple[Scope, Sort], View] = OrderedDict()

    # ---- what changes it

    def change(
        self, found: Iterable[tuple[str, Entry | None]]
    ) -> list[tuple[Entry | None, Entry | None]]:
        """Take what orders have become; gives what differs as (before, after)."""
        changes = []
        # The last of several for the same order is what counts.
        for key, new in dict(found).items():
            old = self.entries.get(key)
            if old == new:
                continue
            changes.append((old, new))
            if old is not None:
                self._remove(old)
            if new is not None:
                self._add(new)
        if changes:
            self.version += 1
            for view in self._views.values():
                view.change(changes)
        return changes

    def _add(self, entry: Entry) -> None:
        self.entries[entry.key] = entry
        self._studios.setdefault(entry.studio_id, {})[entry.key] = None
        if entry.cause:
            self._causes.setdefault((entry.studio_id, entry.cause), {})[entry.key] = None
        for studio_id in (None, entry.studio_id):
            self._counts.setdefault(studio_id, Counter()).update(entry.codes)

    def _remove(self, entry: Entry) -> None:
        del self.entries[entry.key]
        _discard(self._studios, entry.studio_id, entry.key)
        if entry.cause:
            _discard(self._causes, (entry.studio_id, entry.cause), entry.key)
        for studio_id in (None, entry.studio_id):
            self._counts[studio_id].subtract(entry.codes)
        if entry.studio_id not in self._studios:
            del self._counts[entry.studio_id]

    # ---- what it says

    def total(self, studio_id: str | None) -> int:
        """Give how many orders are halted."""
        return len(self.entries) if studio_id is None else len(self._studios.get(studio_id, ()))

    def count(self, studio_id: str | None, code: int) -> int:
        """Give how many orders have a reason."""
        counts = self._counts.get(studio_id)
        return 0 if counts is None else counts[code]

    def view(self, scope: Scope, sort: Sort) -> View:
        """Give the sorted keys of a scope."""
        name = (scope, Sort.NEWEST if sort is Sort.OLDEST else sort)
        view = self._views.get(name)
        if view is None:
            of_studio = self._studios.get(scope.studio_id or "", {})
            entries = (
                self.entries.values()
                if scope.studio_id is None
                else [self.entries[key] for key in of_studio]
            )
            view = self._views[name] = View(*name, entries)
            if len(self._views) > _VIEWS_KEPT:
                self._views.popitem(last=False)
        self._views.move_to_end(name)
        return view

    def broken_by(self, studio_id: str, cause: str) -> list[Entry]:
        """Give the orders whose primary reason one deletion gave, by order key."""
        return [self.entries[key] for key in sorted(self._causes.get((studio_id, cause), ()))]


def _discard(groups: dict, name: object, key: str) -> None:  # type: ignore[type-arg]
    group = groups[name]
    del group[key]
    if not group:
        del groups[name]


def run_of(keys: list[SortKey], at: int, *, backwards: bool) -> int:
    """Give how many orders, from position `at` on, share its instant and deletion."""
    first = keys[at]
    if not first[1]:
        return 1
    if backwards:
        return at - bisect_left(keys, first[:2]) + 1
    return bisect_right(keys, first[:2], at, key=_run) - at


def _run(key: SortKey) -> tuple[int, str]:
    return key[:2]
