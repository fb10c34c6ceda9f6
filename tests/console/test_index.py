"""Pages cut out of sorted views show what sorting everything anew would show."""

from __future__ import annotations

from itertools import groupby
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from processor.console.entries import NO_DEADLINE, Entry, order_key_of
from processor.console.index import Index, Sort
from processor.console.query import BadCursor, Query, find_page
from schemas.partitioning import join_key
from schemas.reasons import PRECEDENCE

STUDIOS = ("s1", "s/2")


def entry(studio: str, order: str, **fields: Any) -> Entry:
    """Make one."""
    given: dict[str, Any] = {
        "since_us": 5,
        "placed_us": 1,
        "deadline_us": NO_DEADLINE,
        "cause": "",
        "codes": (1,),
        "paid": False,
        "cost_minor": 1,
        "currency": "EUR",
        "sequence": 1,
    }
    return Entry(join_key(studio, order), studio, order, **given | fields)


def nobody(_: str) -> set[str]:
    """Find no order that refers to an asset."""
    return set()


@st.composite
def changes(draw: st.DrawFn) -> tuple[str, Entry | None]:
    studio, order = draw(st.sampled_from(STUDIOS)), draw(st.sampled_from("abcdefgh"))
    if draw(st.booleans()) and draw(st.booleans()):
        return join_key(studio, order), None
    codes = draw(st.sets(st.integers(0, 4), min_size=1).map(lambda x: tuple(sorted(x))))
    since = draw(st.integers(0, 3))
    made = entry(
        studio,
        order,
        since_us=since,
        placed_us=draw(st.integers(0, 3)),
        deadline_us=draw(st.sampled_from((1, 2, NO_DEADLINE))),
        # A deletion has one time: all that it broke at once share it.
        cause=draw(st.sampled_from(("", f"e{since}"))) if codes[0] < 3 else "",
        codes=codes,
        paid=draw(st.booleans()),
    )
    return made.key, made


def expected(entries: list[Entry], query: Query) -> list[Entry]:
    """Filter and sort without an index."""
    by = {
        Sort.NEWEST: lambda x: (-x.since_us, x.cause, x.key),
        Sort.OLDEST: lambda x: (-x.since_us, x.cause, x.key),
        Sort.DEADLINE: lambda x: (x.deadline_us, x.cause, x.key),
        Sort.PLACED: lambda x: (-x.placed_us, "", x.key),
    }[query.sort]
    held = [x for x in entries if query.scope.holds(x) and query.search in x.order_id]
    return sorted(held, key=by, reverse=query.sort is Sort.OLDEST)


def everything(index: Index, query: Query) -> list[tuple[Entry, int]]:
    """Turn all pages."""
    found: list[tuple[Entry, int]] = []
    while True:
        page = find_page(index, query, nobody)
        assert len(page.items) <= query.limit
        found += [(item.entry, item.count) for item in page.items]
        if page.next_cursor is None:
            return found
        query = Query(**{n: getattr(query, n) for n in query.__struct_fields__}
                      | {"cursor": page.next_cursor})  # fmt: skip


QUERIES = st.builds(
    Query,
    studio_id=st.sampled_from((None, *STUDIOS)),
    reason=st.sampled_from((None, *PRECEDENCE)),
    paid=st.sampled_from((None, True, False)),
    search=st.sampled_from(("", "a")),
    sort=st.sampled_from(Sort),
    limit=st.integers(1, 3),
    grouped=st.booleans(),
)


@settings(max_examples=150)
@given(
    st.lists(st.lists(changes(), max_size=12), max_size=6),
    st.lists(QUERIES, min_size=1),
    st.booleans(),
)
def test_pages_are_what_sorting_everything_gives(
    batches: list[list[tuple[str, Entry | None]]], queries: list[Query], prepared: bool
) -> None:
    """Views made before and after changes, forwards, backwards, grouped, page by page."""
    index, truth = Index(), dict[str, Entry]()
    if prepared:
        for _ in index.prepare():
            pass
    for batch in batches:
        for query in queries:
            find_page(index, query, nobody)
        index.change(batch)
        for key, new in batch:
            truth.pop(key, None)
            if new is not None:
                truth[key] = new
        for studio in (None, *STUDIOS):
            held = [x for x in truth.values() if studio in (None, x.studio_id)]
            assert index.total(studio) == len(held)
            for code in range(5):
                assert index.count(studio, code) == sum(code in x.codes for x in held)
    for query in queries:
        wanted = expected(list(truth.values()), query)
        assert find_page(index, query, nobody).total == len(wanted)
        found = everything(index, query)
        if query.grouped and not query.search and query.sort is not Sort.PLACED:
            runs = [
                list(run)
                for cause, run in groupby(
                    wanted,
                    key=lambda x: (
                        x.deadline_us if query.sort is Sort.DEADLINE else x.since_us,
                        x.cause or x.key,
                    ),
                )
            ]
            assert found == [(run[0], len(run)) for run in runs]
        else:
            assert found == [(x, 1) for x in wanted]


def test_orders_broken_by_one_deletion_are_listed_by_it() -> None:
    index = Index()
    index.change([(x.key, x) for x in (entry("s1", n, cause="e1") for n in "bca")])
    index.change(
        [(x.key, x) for x in (entry("s1", "d", cause="e2"), entry("s/2", "a", cause="e1"))]
    )
    page = find_page(index, Query(studio_id="s1", cause="e1"), nobody)
    assert [item.entry.order_id for item in page.items] == ["a", "b", "c"]
    assert page.total == 3


@pytest.mark.parametrize("halted", [3, 400])
def test_a_search_stays_within_what_else_was_asked_for(halted: int) -> None:
    """However many match, and however many there are: each way of searching finds the same."""
    index = Index()
    orders = [entry("s1", f"Order-{n}", cause=f"e{n % 2}", paid=n % 3 == 0) for n in range(halted)]
    index.change([(x.key, x) for x in orders])
    for text in ("order", "ORDER-1", "-2", "nothing"):
        for cause in ("", "e1"):
            for paid in (None, True):
                query = Query(studio_id="s1", cause=cause, paid=paid, search=text, limit=200)
                found = [x.key for x, _ in everything(index, query)]
                wanted = [
                    x
                    for x in orders
                    if text.casefold() in x.order_id.casefold()
                    and (not cause or x.cause == cause)
                    and (paid is None or x.paid is paid)
                ]
                assert sorted(found) == sorted(x.key for x in wanted), query


def test_an_asset_s_whole_id_finds_the_orders_that_refer_to_it() -> None:
    index = Index()
    index.change([(x.key, x) for x in (entry("s1", n) for n in "ab")])
    page = find_page(index, Query(search="photo-1"), lambda _: {"s1/b"})
    assert [item.entry.order_id for item in page.items] == ["b"]


@pytest.mark.parametrize(
    "cursor", ["x", "!!!", "1!a", "1!a!b!c", "ö!a!b", "1!a b!c", "9" * 30 + "!a!b", "1!!"]
)
def test_a_cursor_that_no_page_gave_is_refused(cursor: str) -> None:
    with pytest.raises(BadCursor):
        find_page(Index(), Query(cursor=cursor), nobody)


def test_the_key_of_a_single_transfer_names_its_order() -> None:
    assert order_key_of(b"s%2F1/o1/k1") == order_key_of(b"s%2F1/o1") == "s%2F1/o1"
