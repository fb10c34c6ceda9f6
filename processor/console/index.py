"""The halted orders in every order in which they are looked at, kept so as rows change.

A view is a sorted list of the keys of some entries: of one studio or all, of one reason or all, paid
or not. Every change of an entry moves its key in the views that hold it, at the cost of a bisection
each. Those over all studios are always there (`prepare`): picking or sorting a hundred thousand
orders would keep somebody waiting. Those of a studio are made for the first who asks. A page is cut
out of its view by bisection, so that its cost does not grow with what is halted.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Iterable, Iterator, Set
from enum import StrEnum
from typing import Any, Final, NamedTuple, TypeAlias

from sortedcontainers import SortedList

from processor.console.entries import Entry
from schemas.reasons import PRECEDENCE

SortKey = tuple[int, str, str]
"""(instant by which it is sorted, cause, order key): orders broken by one deletion stand together."""

#: A SortedList of SortKey, which is published without types.
Keys: TypeAlias = Any

#: Views of studios that are kept; the one that was not asked for longest is dropped.
_VIEWS_KEPT: Final = 128
#: So many times fewer are few: they are looked at, or sorted, one by one.
_FEW: Final = 8
#: Sorts after every order key, which is ASCII.
_LAST: Final = "\x7f"


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


_ALL: Final = Scope(None, None, None)


def _scopes_of(entry: Entry) -> list[Scope]:
    return [
        Scope(studio_id, code, paid)
        for studio_id in (None, entry.studio_id)
        for code in (None, *entry.codes)
        for paid in (None, entry.paid)
    ]


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

    def __init__(self, scope: Scope, sort: Sort, keys: Iterable[SortKey]) -> None:
        self.scope = scope
        self.sort_key = _SORT_KEYS[sort]
        self.keys: Keys = SortedList(keys)


class Index:
    """All halted orders."""

    def __init__(self) -> None:
        self.entries: dict[str, Entry] = {}
        """By order key."""
        self._studios: dict[str, dict[str, None]] = {}
        self._causes: dict[tuple[str, str], dict[str, None]] = {}
        self._counts: dict[str | None, Counter[int]] = {None: Counter()}
        self._folded: dict[str, str] = {}
        self._shared: dict[tuple[Scope, Sort], View] = {}
        self._studios_views: OrderedDict[tuple[Scope, Sort], View] = OrderedDict()

    def prepare(self) -> Iterator[None]:
        """Make the views over all studios; yields now and then."""
        for sort in _SORT_KEYS:
            for code in (None, *range(len(PRECEDENCE))):
                for paid in (None, True, False):
                    self.view(Scope(None, code, paid), sort)
                    yield

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
        return changes

    def _add(self, entry: Entry) -> None:
        self.entries[entry.key] = entry
        self._folded[entry.key] = entry.order_id.casefold()
        self._studios.setdefault(entry.studio_id, {})[entry.key] = None
        if entry.cause:
            self._causes.setdefault((entry.studio_id, entry.cause), {})[entry.key] = None
        for studio_id in (None, entry.studio_id):
            self._counts.setdefault(studio_id, Counter()).update(entry.codes)
        for view, key in self._places_of(entry):
            view.keys.add(key)

    def _remove(self, entry: Entry) -> None:
        del self.entries[entry.key], self._folded[entry.key]
        _discard(self._studios, entry.studio_id, entry.key)
        if entry.cause:
            _discard(self._causes, (entry.studio_id, entry.cause), entry.key)
        for studio_id in (None, entry.studio_id):
            self._counts[studio_id].subtract(entry.codes)
        if entry.studio_id not in self._studios:
            del self._counts[entry.studio_id]
        for view, key in self._places_of(entry):
            view.keys.remove(key)

    def _places_of(self, entry: Entry) -> Iterator[tuple[View, SortKey]]:
        """Give the views that hold an entry, and its key in each."""
        scopes = _scopes_of(entry)
        for sort, sort_key in _SORT_KEYS.items():
            # One key for all of them: it is most of what a place in a view costs in memory.
            key = sort_key(entry)
            for scope in scopes:
                views = self._shared if scope.studio_id is None else self._studios_views
                view = views.get((scope, sort))
                if view is not None:
                    yield view, key

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
        name = scope, Sort.NEWEST if sort is Sort.OLDEST else sort
        views = self._shared if scope.studio_id is None else self._studios_views
        view = views.get(name)
        if view is None:
            view = views[name] = View(*name, self._keys(*name))
            if len(self._studios_views) > _VIEWS_KEPT:
                self._studios_views.popitem(last=False)
        if scope.studio_id is not None:
            self._studios_views.move_to_end(name)
        return view

    def _keys(self, scope: Scope, sort: Sort) -> list[SortKey]:
        entries = self.entries
        if scope.studio_id is not None:
            sort_key, of_studio = _SORT_KEYS[sort], self._studios.get(scope.studio_id, ())
            return [sort_key(entries[key]) for key in of_studio if scope.holds(entries[key])]
        if scope == _ALL:
            return [_SORT_KEYS[sort](entry) for entry in entries.values()]
        # Picked out of the next larger one, which is sorted already, by one plain condition.
        if scope.paid is None:
            keys = self.view(_ALL, sort).keys
            return [key for key in keys if scope.code in entries[key[2]].codes]
        keys = self.view(Scope(None, scope.code, None), sort).keys
        return [key for key in keys if entries[key[2]].paid is scope.paid]

    def search(self, view: View, keys: Keys, text: str, users: Set[str]) -> Keys:
        """Pick, of some of a view's keys, those of orders with `text` in their id, and of `users`.

        Case does not matter.
        """
        wanted, folded, entries = text.casefold(), self._folded, self.entries
        if len(keys) * _FEW < len(folded):
            found = [key for key in keys if wanted in folded[key[2]] or key[2] in users]
            return SortedList(found)
        # In the order of memory, which is much quicker than in that of the view.
        named = {key for key, order_id in folded.items() if wanted in order_id}
        named |= users & folded.keys()
        if keys is view.keys and len(named) * _FEW < len(keys):
            held = [entry for key in named if view.scope.holds(entry := entries[key])]
            return SortedList(map(view.sort_key, held))
        return SortedList([key for key in keys if key[2] in named])

    def broken_by(self, studio_id: str, cause: str) -> list[Entry]:
        """Give the orders whose primary reason one deletion gave, in no order that means anything."""
        return [self.entries[key] for key in self._causes.get((studio_id, cause), ())]


def _discard(groups: dict, name: object, key: str) -> None:  # type: ignore[type-arg]
    group = groups[name]
    del group[key]
    if not group:
        del groups[name]


def run_of(keys: Keys, at: int, *, backwards: bool) -> int:
    """Give how many orders, from position `at` on, share its instant and deletion."""
    instant, cause, _ = keys[at]
    if not cause:
        return 1
    if backwards:
        return at - int(keys.bisect_left((instant, cause))) + 1
    return int(keys.bisect_left((instant, cause, _LAST))) - at
