"""What a page shows, as plain values in the viewer's words: templates only lay it out."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b
from typing import Final
from urllib.parse import urlencode

from msgspec import UNSET, Struct

from processor.console.links import fill
from processor.console.settings import ConsoleSettings
from processor.console.words import Words
from processor.rules.inquiry import Answer, State
from schemas.halted import FailedTransfer, Reason, Subject
from schemas.reasons import Action

#: Subjects that a list shows of each reason; the order's own page shows all that are known.
SHORT_LIST: Final = 3


class Thing(Struct, frozen=True):
    """Something of the shop's, by its id."""

    kind: str
    """`photo`, `product`, `package` or `order`."""
    id: str
    href: str | None = None
    """Where the shop has it."""
    thumbnail: str | None = None
    deleted_at: str | None = None
    deleted_by: str | None = None
    restorable_until: str | None = None


class ReasonView(Struct, frozen=True):
    """One reason in words."""

    code: str
    title: str
    explanation: str
    solution: str
    things: list[Thing]
    thing_count: int
    noun: str
    """What the things are, in the number that fits `thing_count`."""
    since: str
    restorable_until: str | None
    cost: str | None = None
    left: str | None = None
    shortfall: str | None = None
    top_up: str | None = None
    failures: tuple[FailedTransfer, ...] = ()
    action_titles: tuple[str, ...] = ()

    @property
    def hidden_count(self) -> int:
        """Things that are not listed."""
        return self.thing_count - len(self.things)


class HaltView(Struct, frozen=True):
    """One halted order in words."""

    element_id: str
    """Of its row: the same as long as the order is the same, so that the focus stays on it."""
    order: Thing
    studio_id: str
    href: str
    """Of its own page."""
    reasons: list[ReasonView]
    since: str
    paid: bool
    cost: str
    count: int = 1
    """Orders that one deletion broke, of which this is the first."""
    group_href: str | None = None
    others_count: int = 0
    """Orders among those that are paid where the first is not, or the other way round."""


def order_href(studio_id: str, order_id: str) -> str:
    """Give the address of an order's page: ids of any characters stand in the query."""
    return "/order?" + urlencode({"studio_id": studio_id, "order_id": order_id})


class Viewing:
    """Makes views for one viewer."""

    def __init__(self, words: Words, settings: ConsoleSettings) -> None:
        self._words = words
        self._templates = {
            "order": settings.order_link,
            "photo": settings.photo_link,
            "product": settings.product_link,
            "package": settings.package_link,
        }
        self._thumbnail = settings.photo_thumbnail

    def thing(self, studio_id: str, kind: str, item: str, subject: Subject | None = None) -> Thing:
        """Give something of the shop's with its links."""
        ids = {"studio_id": studio_id, f"{kind}_id": item}
        picture = fill(self._thumbnail, **ids) if kind == "photo" else None
        href = fill(self._templates.get(kind, ""), **ids)
        if subject is None:
            return Thing(kind, item, href, picture)
        return Thing(
            kind,
            item,
            href,
            picture,
            subject.deleted_at,
            subject.deleted_by,
            subject.restorable_until,
        )

    def halt(self, answer: Answer, since: str) -> HaltView:
        """Show a halted order."""
        kept = answer.order
        assert kept is not None, "only what was placed is halted"
        cost = kept.production_cost
        return HaltView(
            "o-"
            + blake2b(f"{answer.studio_id}/{answer.order_id}".encode(), digest_size=8).hexdigest(),
            self.thing(answer.studio_id, "order", answer.order_id),
            answer.studio_id,
            order_href(answer.studio_id, answer.order_id),
            [self.reason(answer, x, SHORT_LIST) for x in answer.reasons],
            since,
            kept.paid,
            self._words.money(cost.amount_minor, cost.currency),
        )

    def reason(self, answer: Answer, found: Reason, listed: int | None = None) -> ReasonView:
        """Show a reason with some or all of its subjects."""
        words, said = self._words, self._words.catalogue.reason(found.code)
        language = words.language
        assert answer.order is not None, "only what was placed has reasons"
        subjects = found.subjects if listed is None else found.subjects[:listed]
        kind = found.subjects[0].type if found.subjects else "other"
        noun = words.catalogue.subject(kind)
        over = found.restorable_until is not None and words.is_past(found.restorable_until)
        actions = [x for x in found.actions if x != Action.RESTORE_ASSETS or not over]
        money: dict[str, str] = {}
        credit = found.credit
        if credit is not UNSET:
            money = {
                "cost": words.money(credit.cost_minor, credit.currency),
                "left": words.money(credit.available_minor, credit.currency),
                "shortfall": words.money(credit.shortfall_minor, credit.currency),
                "top_up": words.money(credit.top_up_minor, credit.currency),
            }
        return ReasonView(
            found.code,
            said.title.to(language),
            said.explanation.to(language),
            said.solution.to(
                language,
                paid=answer.order.paid,
                restorable=found.restorable_until is not None and not over,
            ),
            [self.thing(answer.studio_id, x.type, x.id, x) for x in subjects],
            found.subject_count,
            (noun.one if found.subject_count == 1 else noun.many).to(language),
            found.since,
            found.restorable_until,
            failures=() if found.transfers is UNSET else found.transfers[:listed],
            action_titles=tuple([words.catalogue.action(x).title.to(language) for x in actions]),
            **money,
        )


def state_text(words: Words, answer: Answer) -> str:
    """Say in a sentence why an order is not halted."""
    said = words.catalogue.not_halted
    text = {
        State.UNKNOWN: said.unknown,
        State.EARLY: said.early,
        State.FORGOTTEN: said.forgotten,
        State.IN_FLIGHT: said.in_flight,
        State.CANCELLED: said.cancelled,
        State.TRANSFERRED: said.secured,
    }.get(answer.state)
    return "" if text is None else text.to(words.language)


def listed(items: Sequence[Thing]) -> str:
    """Join ids for a table cell of a file."""
    return " ".join(item.id for item in items)
