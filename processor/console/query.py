"""What somebody wants to see of the halted orders, and the page of them that answers it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Annotated, Final
from urllib.parse import quote, unquote

from msgspec import Meta, Struct
from sortedcontainers import SortedList

from processor.console.entries import Entry
from processor.console.index import Index, Keys, Scope, Sort, SortKey, run_of
from schemas.reasons import PRECEDENCE, ReasonCode

PAGE_MAX: Final = 200
PAGE_DEFAULT: Final = 50
SEARCH_MAX: Final = 256

#: The last sort key of a page, its texts percent-encoded.
CURSOR_PATTERN: Final = "^(-?[0-9]{1,19}![A-Za-z0-9._~%-]{0,1600}![A-Za-z0-9._~%/-]{1,6000})?$"
_is_cursor: Final = re.compile(CURSOR_PATTERN).fullmatch

SearchText = Annotated[str, Meta(max_length=SEARCH_MAX)]


class BadCursor(Exception):
    """A cursor that no page gave."""


class Query(Struct, frozen=True, kw_only=True):
    """Filters, order and place of a page."""

    studio_id: str | None = None
    reason: ReasonCode | None = None
    paid: bool | None = None
    search: SearchText = ""
    """Part of an order's id, whatever its case; or the whole id of an asset."""
    cause: str = ""
    """Only the orders that this deletion broke; needs a studio."""
    sort: Sort = Sort.NEWEST
    cursor: str = ""
    limit: Annotated[int, Meta(ge=1, le=PAGE_MAX)] = PAGE_DEFAULT
    grouped: bool = False

    @property
    def scope(self) -> Scope:
        """What of it is answered by a view."""
        code = None if self.reason is None else PRECEDENCE.index(self.reason)
        return Scope(self.studio_id, code, self.paid)


class Item(Struct, frozen=True):
    """One line of a page: an order, or several that one deletion broke."""

    entry: Entry
    """The order, or the first of them."""
    count: int
    """How many they are."""


class Page(Struct, frozen=True):
    """Some items, and how to get at the next ones."""

    items: list[Item]
    next_cursor: str | None
    """None: there are no more."""
    total: int
    """Orders that the filters leave."""


Finder = Callable[[str], set[str]]
"""Order keys of those that refer to an asset with this id."""


def find_keys(index: Index, query: Query, find: Finder) -> Keys:
    """Give the sort keys of all orders that the filters leave, those of the newest first."""
    view = index.view(query.scope, query.sort)
    keys = view.keys
    if query.cause and query.studio_id is not None:
        broken = index.broken_by(query.studio_id, query.cause)
        keys = SortedList([view.sort_key(entry) for entry in broken if view.scope.holds(entry)])
    if query.search:
        keys = index.search(view, keys, query.search, find(query.search))
    return keys


def find_page(index: Index, query: Query, find: Finder) -> Page:
    """Answer a query; raises BadCursor."""
    place = _place(query.cursor) if query.cursor else None
    keys = find_keys(index, query, find)
    backwards = query.sort is Sort.OLDEST
    grouped = query.grouped and not (query.search or query.cause) and query.sort is not Sort.PLACED
    items: list[Item] = []
    last: SortKey | None = None
    more = False
    for at, count in _walk(keys, place, backwards=backwards, grouped=grouped):
        if len(items) == query.limit:
            more = True
            break
        items.append(Item(index.entries[keys[at][2]], count))
        last = keys[at - count + 1 if backwards else at + count - 1]
    cursor = _cursor(last) if more and last is not None else None
    return Page(items, cursor, len(keys))


def _walk(
    keys: Keys, place: SortKey | None, *, backwards: bool, grouped: bool
) -> Iterator[tuple[int, int]]:
    """Give the positions after a place, each with how many orders are taken together there."""
    if backwards:
        at = (len(keys) if place is None else keys.bisect_left(place)) - 1
    else:
        at = 0 if place is None else keys.bisect_right(place)
    while 0 <= at < len(keys):
        count = run_of(keys, at, backwards=backwards) if grouped else 1
        yield at, count
        at += -count if backwards else count


def _cursor(key: SortKey) -> str:
    at, cause, order_key = key
    return f"{at}!{quote(cause, safe='')}!{order_key}"


def _place(cursor: str) -> SortKey:
    if not _is_cursor(cursor):
        raise BadCursor("The cursor is none that a page gave. Start again without a cursor.")
    at, cause, order_key = cursor.split("!")
    return int(at), unquote(cause), order_key
