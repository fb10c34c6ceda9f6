"""Manual Revision: the halted orders, and the same as a file."""

from __future__ import annotations

import asyncio
import csv
import io
from collections.abc import AsyncIterator
from typing import Any, Final

import msgspec
from msgspec import Struct
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from processor.console.access import Viewer
from processor.console.entries import Entry
from processor.console.index import Sort
from processor.console.problems import Refused
from processor.console.query import (
    BadCursor,
    Finder,
    Item,
    Page,
    Query,
    SearchText,
    find_keys,
    find_page,
)
from processor.console.requests import convert, studio_seen, viewer_of
from processor.console.site import Site
from processor.console.templating import address
from processor.console.views import HaltView, Viewing, listed
from processor.console.words import Words
from schemas.instants import format_instant
from schemas.reasons import PRECEDENCE, ReasonCode

#: Rows of a file that are made at once; then others are answered. A row takes half a millisecond.
_CSV_ROWS: Final = 20
#: A spreadsheet takes a text that begins with one of these for a formula.
_FORMULA_STARTS: Final = ("=", "+", "-", "@", "\t", "\r")


class Shown(Struct, frozen=True, kw_only=True):
    """What the address of the list says; empty means any."""

    studio_id: str = ""
    reason: ReasonCode | None = None
    paid: bool | None = None
    q: SearchText = ""
    cause: str = ""
    sort: Sort = Sort.NEWEST
    cursor: str = ""

    def query(self, viewer: Viewer) -> Query:
        """Turn it into a query for what the viewer may see."""
        return Query(
            studio_id=studio_seen(viewer, self.studio_id),
            reason=self.reason,
            paid=self.paid,
            search=self.q,
            cause=self.cause,
            sort=self.sort,
            cursor=self.cursor,
            grouped=True,
        )

    def address(self, path: str = "/halts", **changes: Any) -> str:
        """Give the address of this list with something else in it, from its first page."""
        shown = msgspec.structs.asdict(self) | {"cursor": ""} | changes
        if shown["sort"] == Sort.NEWEST:
            shown["sort"] = ""
        return address(path, **shown)

    @property
    def is_filtered(self) -> bool:
        """Whether anything but order and place was asked for."""
        return bool(self.reason or self.q or self.cause or self.paid is not None)


def read_shown(request: Request) -> Shown:
    """Read the address; a form sends empty fields for what was not chosen."""
    given = {n: v for n, v in request.query_params.items() if v and n != "lang"}
    return convert(given, Shown)


class Halts:
    """The list."""

    def __init__(self, site: Site) -> None:
        self._site = site

    async def page(self, request: Request) -> Response:
        """Show a page of it; only the results where htmx asks for them."""
        site, words = self._site, self._site.words(request)
        shown, viewer = read_shown(request), viewer_of(request)
        query = shown.query(viewer)
        index = site.console.index
        found = self._find(query)
        fragment = "HX-Request" in request.headers and "HX-Boosted" not in request.headers
        return site.page(
            request,
            "_results.html" if fragment else "halts.html",
            words,
            shown=shown,
            query=query,
            page=found,
            rows=[
                row
                for item in found.items
                if (row := self._row(words, shown, query, item)) is not None
            ],
            total=index.total(query.studio_id),
            reasons=[
                (code, words.catalogue.reason(code).title.to(words.language), count)
                for number, code in enumerate(PRECEDENCE)
                if (count := index.count(query.studio_id, number)) or code == shown.reason
            ],
            sorts=list(Sort),
        )

    def _find(self, query: Query) -> Page:
        try:
            return find_page(self._site.console.index, query, self._users_of(query))
        except BadCursor as fault:
            raise Refused(400, str(fault)) from None

    def _users_of(self, query: Query) -> Finder:
        return lambda asset: self._site.console.users_of(query.studio_id, asset)

    def _row(self, words: Words, shown: Shown, query: Query, item: Item) -> HaltView | None:
        entry = item.entry
        answer = self._site.console.inquire(entry.studio_id, entry.order_id)
        if answer is None or answer.order is None:
            return None
        view = self._site.viewing(words).halt(answer, format_instant(entry.since_us))
        if item.count == 1:
            return view
        broken = self._site.console.index.broken_by(entry.studio_id, entry.cause)
        others = [x for x in broken if x.paid != entry.paid and query.scope.holds(x)]
        return msgspec.structs.replace(
            view,
            count=item.count,
            group_href=shown.address(studio_id=entry.studio_id, cause=entry.cause),
            others_count=len(others),
        )

    async def file(self, request: Request) -> Response:
        """Give all of it, as filtered, in comma separated values."""
        viewer = viewer_of(request)
        query = read_shown(request).query(viewer)
        words = self._site.words(request)
        return StreamingResponse(
            self._lines(query, words),
            media_type="text/csv; charset=utf-8; header=present",
            headers={"Content-Disposition": 'attachment; filename="halted-orders.csv"'},
        )

    async def _lines(self, query: Query, words: Words) -> AsyncIterator[bytes]:
        viewing, index = self._site.viewing(words), self._site.console.index
        # A byte-order mark: without one, spreadsheets take it for another encoding than UTF-8.
        yield b"\xef\xbb\xbf" + _line(_COLUMNS)
        # As of now: what moves while the file is made comes neither twice nor not at all.
        keys = list(find_keys(index, query, self._users_of(query)))
        if query.sort is Sort.OLDEST:
            keys.reverse()
        for start in range(0, len(keys), _CSV_ROWS):
            entries = [index.entries.get(key) for _, _, key in keys[start : start + _CSV_ROWS]]
            rows = [self._cells(viewing, entry) for entry in entries if entry is not None]
            yield b"".join([_line(cells) for cells in rows if cells])
            await asyncio.sleep(0)

    def _cells(self, viewing: Viewing, entry: Entry) -> list[str] | None:
        answer = self._site.console.inquire(entry.studio_id, entry.order_id)
        if answer is None or answer.order is None:
            return None
        since = format_instant(entry.since_us)
        reasons = viewing.halt(answer, since).reasons
        cost = answer.order.production_cost
        first = reasons[0] if reasons else None
        return [
            entry.studio_id,
            entry.order_id,
            since,
            answer.order.placed_at,
            "yes" if entry.paid else "no",
            str(cost.amount_minor),
            cost.currency,
            " ".join(x.code for x in reasons),
            listed(first.things) if first else "",
            str(first.thing_count if first else 0),
            (first.restorable_until if first else None) or "",
            first.solution if first else "",
        ]


_COLUMNS: Final = [
    "studio_id",
    "order_id",
    "halted_since",
    "placed_at",
    "paid",
    "production_cost_minor",
    "currency",
    "reasons",
    "first_subjects",
    "subject_count",
    "restorable_until",
    "solution",
]


def _line(cells: list[str]) -> bytes:
    out = io.StringIO()
    csv.writer(out).writerow([f"'{x}" if x.startswith(_FORMULA_STARTS) else x for x in cells])
    return out.getvalue().encode()
