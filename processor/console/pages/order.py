"""One order: its lines with what is gone, why it is halted, what happened when, what to do now."""

from __future__ import annotations

from msgspec import Struct
from starlette.requests import Request
from starlette.responses import Response

from processor.console.history import Told
from processor.console.problems import Refused
from processor.console.requests import one_studio, viewer_of
from processor.console.site import Site
from processor.console.templating import address
from processor.console.views import state_text
from processor.console.words import Words
from processor.rules.inquiry import Answer, State


class Moment(Struct, frozen=True):
    """Something that happened."""

    at: str
    text: str
    told: Told | None = None
    """Where it stands, for a record of `order-halted`."""
    detail: str = ""


class OrderPage:
    """The page of one order."""

    def __init__(self, site: Site) -> None:
        self._site = site

    async def page(self, request: Request) -> Response:
        """Show it; an order that nobody knows gives the same page, which says so."""
        site, words = self._site, self._site.words(request)
        order_id = request.query_params.get("order_id", "")
        studio_id = one_studio(viewer_of(request), request.query_params.get("studio_id"))
        if not order_id:
            raise Refused(400, "order_id is missing.")
        answer = site.console.inquire(studio_id, order_id)
        answer = answer or Answer(studio_id, order_id, State.UNKNOWN)
        viewing = site.viewing(words)
        kept = answer.order
        return site.page(
            request,
            "order.html",
            words,
            status=404 if answer.state is State.UNKNOWN else 200,
            answer=answer,
            order=viewing.thing(studio_id, "order", order_id),
            thing=lambda kind, item: viewing.thing(studio_id, kind, item),
            subject=lambda x: viewing.thing(studio_id, x.type, x.id, x),
            title_of=lambda code: words.catalogue.reason(code).title.to(words.language),
            reasons=[viewing.reason(answer, x) for x in answer.reasons],
            halted=answer.state is State.HALTED,
            state_text=state_text(words, answer),
            cost=None
            if kept is None
            else words.money(kept.production_cost.amount_minor, kept.production_cost.currency),
            moments=_moments(words, answer, site.console.history.of(studio_id, order_id)),
            credit_href=None
            if answer.credit is None
            else address("/credit", studio_id=studio_id, currency=answer.credit.currency),
        )


def _moments(words: Words, answer: Answer, told: list[Told]) -> list[Moment]:
    """Tell what happened, the latest first: what was said of it, and the facts that are kept."""
    said = words.catalogue
    moments = [_said(words, x) for x in told]
    if answer.order is not None:
        moments.append(Moment(answer.order.placed_at, words.gettext("Order placed")))
    if answer.cancelled_at is not None:
        moments.append(Moment(answer.cancelled_at, words.gettext("Order cancelled")))
    if answer.reinstated_at is not None:
        moments.append(Moment(answer.reinstated_at, words.gettext("Order reinstated")))
    statuses = {
        "started": words.gettext("Transfer to the lab started"),
        "failed": words.gettext("Transfer to the lab failed"),
        "succeeded": words.gettext("Transfer to the lab succeeded"),
    }
    for transfer in answer.transfers:
        what = (
            said.sentences.the_order.to(words.language)
            if transfer.package_id is None
            else f"{said.subject('package').one.to(words.language)} {transfer.package_id}"
        )
        parts = [what, transfer.transfer_id, transfer.lab_id or ""]
        if transfer.error is not None:
            parts.append(f"{transfer.error.code} {transfer.error.message}".strip())
        detail = " · ".join(part for part in parts if part)
        moments.append(Moment(transfer.occurred_at, statuses[transfer.status], None, detail))
    return sorted(moments, key=lambda x: (x.at, x.told.sequence if x.told else 0), reverse=True)


def _said(words: Words, told: Told) -> Moment:
    said, language = words.catalogue, words.language
    if told.change == "ended":
        text = said.status(told.status).title.to(language)
        codes = told.ended_codes
        detail = ", ".join(said.reason(code).ended.to(language) for code in codes)
    else:
        text = said.change(told.change).to(language)
        text = text[:1].upper() + text[1:]
        detail = ", ".join(said.reason(code).title.to(language) for code in told.codes)
    return Moment(told.occurred_at, text, told, detail)
