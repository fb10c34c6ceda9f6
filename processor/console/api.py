"""The JSON API under /api/v1. Every answer is a struct, which its description is made of (`openapi`)."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from http import HTTPStatus
from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta, Struct
from starlette.requests import Request
from starlette.responses import Response

from processor.console.console import Health
from processor.console.entries import Entry
from processor.console.history import Told
from processor.console.hub import Changes
from processor.console.index import Sort
from processor.console.live import EVENTS, ChangesParameters, Live
from processor.console.openapi import Operation, describe
from processor.console.plan import Plan, plan
from processor.console.problems import Refused
from processor.console.query import (
    CURSOR_PATTERN,
    PAGE_DEFAULT,
    PAGE_MAX,
    BadCursor,
    Query,
    SearchText,
    find_page,
)
from processor.console.requests import (
    one_studio,
    read_json,
    read_query,
    studio_seen,
    viewer_of,
)
from processor.console.site import Site
from processor.console.whatif import Impact, impact
from processor.rules.inquiry import Answer, State
from schemas.events import Id, Money, ShortId
from schemas.halted import Reason
from schemas.instants import format_instant
from schemas.reasons import AssetType, ReasonCode

_IDS_IN_ADDRESS_MAX: Final = 50


class HaltsParameters(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Which halted orders, in which order."""

    studio_id: ShortId | None = None
    """Only this studio's; with a studio's own token it may be left out."""
    reason: ReasonCode | None = None
    paid: bool | None = None
    search: SearchText = ""
    """Part of an order's id, whatever its case; or the whole id of a product, photo or package."""
    sort: Sort = Sort.NEWEST
    cursor: Annotated[str, Meta(pattern=CURSOR_PATTERN)] = ""
    """`next_cursor` of the page before."""
    limit: Annotated[int, Meta(ge=1, le=PAGE_MAX)] = PAGE_DEFAULT


class OrderParameters(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Which order."""

    studio_id: ShortId | None = None
    """Needed with a token of customer care."""
    order_id: Id


class CreditParameters(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Which account."""

    studio_id: ShortId | None = None
    """Needed with a token of customer care."""
    currency: Annotated[str, Meta(pattern="^[A-Z]{3}$")] | None = None
    """Only this one; else all that the studio has."""


class ImpactParameters(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Which assets; more than fit into an address are sent by POST."""

    studio_id: ShortId | None = None
    """Needed with a token of customer care."""
    asset_type: AssetType
    asset_id: Annotated[list[Id], Meta(min_length=1, max_length=_IDS_IN_ADDRESS_MAX)]
    """May come several times."""


class ImpactRequest(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Which assets."""

    studio_id: ShortId | None = None
    """Needed with a token of customer care."""
    asset_type: AssetType
    asset_ids: Annotated[list[Id], Meta(min_length=1, max_length=10_000)]


class NoParameters(Struct, frozen=True, forbid_unknown_fields=True):
    """None are taken."""


class HaltedOrder(Struct, frozen=True):
    """A halted order, with the sums of now. Fields as in `order-halted`."""

    studio_id: str
    order_id: str
    order_version: int
    placed_at: str
    paid: bool
    production_cost: Money
    sequence: int
    episode: int
    halted_since: str
    primary_reason: ReasonCode | None
    reasons: tuple[Reason, ...]


class HaltsPage(Struct, frozen=True):
    """Some halted orders."""

    halted: int
    """All that the viewer sees, whatever the filters."""
    matching: int
    """Those that the filters leave."""
    halts: list[HaltedOrder]
    next_cursor: str | None
    """None: there are no more."""
    live_place: str
    """Where the live stream goes on from this answer (`after`)."""


class HistoryRecord(Struct, frozen=True):
    """One record of `order-halted`, and where it and its cause stand."""

    sequence: int
    change: str
    status: str
    occurred_at: str
    reasons: tuple[str, ...]
    ended_reasons: tuple[str, ...]
    caused_by_topic: str | None
    """None where new rules changed the halt."""
    caused_by_partition: int | None
    caused_by_offset: int | None
    caused_by_event_id: str | None
    partition: int
    offset: int


class OrderReply(Struct, frozen=True):
    """All that is known of an order."""

    answer: Answer
    history: list[HistoryRecord]
    """The latest first."""


class CreditReply(Struct, frozen=True):
    """The accounts of a studio."""

    plans: list[Plan]


class Api:
    """The routes; each method answers one, `operations` describes them."""

    def __init__(self, site: Site, live: Live) -> None:
        self._console = site.console
        self._live = live

    async def halts(self, request: Request) -> HaltsPage:
        """List halted orders, a page at a time."""
        given = read_query(request, HaltsParameters)
        studio_id = studio_seen(viewer_of(request), given.studio_id)
        fields = msgspec.structs.asdict(given) | {"studio_id": studio_id}
        console = self._console
        try:
            page = find_page(
                console.index, Query(**fields), lambda asset: console.users_of(studio_id, asset)
            )
        except BadCursor as fault:
            raise Refused(400, str(fault)) from None
        halts = [self._halt(item.entry) for item in page.items]
        return HaltsPage(
            console.index.total(studio_id),
            page.total,
            [halt for halt in halts if halt is not None],
            page.next_cursor,
            console.hub.place,
        )

    def _halt(self, entry: Entry) -> HaltedOrder | None:
        answer = self._console.inquire(entry.studio_id, entry.order_id)
        if answer is None or answer.order is None or answer.last_halt is None:
            return None
        return HaltedOrder(
            entry.studio_id,
            entry.order_id,
            answer.order.version,
            answer.order.placed_at,
            answer.order.paid,
            answer.order.production_cost,
            answer.last_halt.sequence,
            answer.last_halt.episode,
            format_instant(entry.since_us),
            answer.reasons[0].code if answer.reasons else None,
            answer.reasons,
        )

    async def order(self, request: Request) -> OrderReply:
        """Tell all that is known of one order; 404 where it is nothing."""
        given = read_query(request, OrderParameters)
        studio_id = one_studio(viewer_of(request), given.studio_id)
        answer = self._console.inquire(studio_id, given.order_id)
        if answer is None or answer.state is State.UNKNOWN:
            raise Refused(404, "No order with this id is known for this studio.")
        told = self._console.history.of(studio_id, given.order_id)
        return OrderReply(answer, [_record(x) for x in told])

    async def credit(self, request: Request) -> CreditReply:
        """Tell what the orders of a studio wait for, and what the smallest top-ups would free."""
        given = read_query(request, CreditParameters)
        studio_id = one_studio(viewer_of(request), given.studio_id)
        machine = self._console.machine_of(studio_id)
        known = self._console.currencies(studio_id)
        wanted = known if given.currency is None else [given.currency]
        if machine is None or not set(wanted) & set(known):
            return CreditReply([])
        return CreditReply([plan(machine, studio_id, currency) for currency in wanted])

    async def impact_of_few(self, request: Request) -> Impact:
        """Tell which orders would be halted if these assets were deleted now."""
        given = read_query(request, ImpactParameters, lists=("asset_id",))
        studio_id = one_studio(viewer_of(request), given.studio_id)
        return self._impact(studio_id, given.asset_type, given.asset_id)

    async def impact_of_many(self, request: Request) -> Impact:
        """Tell which orders would be halted if these assets, up to 10,000, were deleted now."""
        given = await read_json(request, ImpactRequest)
        studio_id = one_studio(viewer_of(request), given.studio_id)
        return self._impact(studio_id, given.asset_type, given.asset_ids)

    def _impact(self, studio_id: str, kind: AssetType, ids: list[str]) -> Impact:
        console = self._console
        # A studio that nobody knows has no orders: any machine says so.
        machine = console.machine_of(studio_id) or next(iter(console.machines.values()))
        return impact(machine, studio_id, kind, ids, console.secured(studio_id))

    async def status(self, request: Request) -> Health:
        """Tell how far the replica is."""
        read_query(request, NoParameters)
        return self._console.health

    def operations(self) -> list[Operation]:
        """Describe the routes."""
        return [
            Operation("GET", "/api/v1/halts", self.halts, HaltsParameters, HaltsPage),
            Operation("GET", "/api/v1/order", self.order, OrderParameters, OrderReply, (404,)),
            Operation("GET", "/api/v1/credit", self.credit, CreditParameters, CreditReply),
            Operation("GET", "/api/v1/impact", self.impact_of_few, ImpactParameters, Impact),
            Operation(
                "POST",
                "/api/v1/impact",
                self.impact_of_many,
                None,
                Impact,
                (413, 415),
                body=ImpactRequest,
            ),
            Operation("GET", "/api/v1/status", self.status, NoParameters, Health),
            Operation(
                "GET",
                "/api/v1/changes",
                self._live.changes,
                ChangesParameters,
                Changes,
                (429,),
                events=EVENTS,
            ),
        ]

    async def description(self, request: Request) -> Response:
        """Give the description of the API (OpenAPI 3.1)."""
        return as_json(describe(self.operations()))


def as_json(body: Any) -> Response:
    """Answer with a struct."""
    return Response(msgspec.json.encode(body), HTTPStatus.OK, media_type="application/json")


def endpoint(
    answer: Callable[[Request], Coroutine[Any, Any, Any]],
) -> Callable[[Request], Coroutine[Any, Any, Response]]:
    """Make a route of a method that gives a struct."""

    async def respond(request: Request) -> Response:
        return as_json(await answer(request))

    return respond


def _record(told: Told) -> HistoryRecord:
    cause = told.caused_by
    return HistoryRecord(
        told.sequence,
        told.change,
        told.status,
        told.occurred_at,
        told.codes,
        told.ended_codes,
        cause.topic,
        cause.partition,
        cause.offset,
        cause.event_id,
        told.partition,
        told.offset,
    )
