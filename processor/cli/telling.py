"""Tell an explanation in sentences. The words for codes are the catalogue's; here are the labels."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from rich.text import Text as Styled

from processor.cli.terminal import STYLES, instant
from processor.explain import Announcement, AsOf, Explanation
from processor.rules.inquiry import Answer, CreditCheck, CreditState, KeptOrder, State
from processor.words import cause, money
from schemas.catalogue import Language, Text, catalogue
from schemas.halted import Reason

_LINES_SHOWN: Final = 20
_IDS_SHOWN: Final = 5

_LABELS: Final = {
    "since": Text(en="since {at}", de="seit {at}"),
    "not_halted": Text(en="not halted", de="nicht angehalten"),
    "lines": Text(en="lines: {lines}", de="Positionen: {lines}"),
    "event": Text(
        en="{topic}, partition {partition}, offset {offset} (event {event_id})",
        de="{topic}, Partition {partition}, Offset {offset} (Ereignis {event_id})",
    ),
    "rules": Text(en="version {version} of the rules", de="Version {version} der Regeln"),
    "said": Text(
        en="Last record: number {sequence}, {status}, by an event of {at}",
        de="Letzter Record: Nummer {sequence}, {status}, durch ein Ereignis vom {at}",
    ),
    "caused_by": Text(en="caused by   {event}", de="Ursache     {event}"),
    "record": Text(
        en="found at    {topic}, partition {partition}, offset {offset}",
        de="steht in    {topic}, Partition {partition}, Offset {offset}",
    ),
    "placed": Text(
        en="Order: version {version}, placed {at}, {paid}, production cost {cost}",
        de="Bestellung: Version {version}, aufgegeben {at}, {paid}, Produktionskosten {cost}",
    ),
    "paid": Text(en="paid", de="bezahlt"),
    "unpaid": Text(en="unpaid", de="unbezahlt"),
    "line": Text(en="line {line}", de="Position {line}"),
    "secured": Text(en="at the lab", de="beim Labor"),
    "fine": Text(en="nothing missing", de="nichts fehlt"),
    "more": Text(en="… and {count} more", de="… und {count} weitere"),
    "balance": Text(
        en="Credit: balance {balance} at {at}, limit {limit}, available for all orders in flight "
        "{available}",
        de="Kredit: Kontostand {balance} am {at}, Limit {limit}, verfügbar für alle laufenden "
        "Bestellungen {available}",
    ),
    "funded": Text(en="It funds this order.", de="Diese Bestellung ist gedeckt."),
    "transfer": Text(
        en="transfer of {what}: {status}, attempt {attempt}, {at}",
        de="Übertragung von {what}: {status}, Versuch {attempt}, {at}",
    ),
    "started": Text(en="started", de="begonnen"),
    "failed": Text(en="failed", de="fehlgeschlagen"),
    "succeeded": Text(en="succeeded", de="erfolgreich"),
    "cancelled_at": Text(en="cancellation of {at}", de="Stornierung vom {at}"),
    "settled": Text(
        en="cost contained in the balance in {currencies}",
        de="Kosten im Kontostand in {currencies} enthalten",
    ),
    "as_of": Text(
        en="As of {at}: after transaction {number} of the partition, committed at {committed}",
        de="Stand {at}: nach Transaktion {number} der Partition, abgeschlossen um {committed}",
    ),
    "as_of_nothing": Text(
        en="As of {at}: nothing had been applied",
        de="Stand {at}: es war noch nichts verarbeitet",
    ),
    "unsettled": Text(
        en="Being judged at this moment; ask again for: {titles}",
        de="Wird gerade beurteilt; fragen Sie erneut nach: {titles}",
    ),
}

#: Why an order is not halted: the field of the catalogue.
_NOT_HALTED: Final = {
    State.UNKNOWN: "unknown",
    State.EARLY: "early",
    State.IN_FLIGHT: "in_flight",
    State.CANCELLED: "cancelled",
    State.TRANSFERRED: "secured",
    State.FORGOTTEN: "forgotten",
}
_NOT_CHECKED: Final = {
    CreditState.NO_BALANCE: "credit_unknown",
    CreditState.NO_LIMIT: "credit_unlimited",
    CreditState.SETTLED: "credit_settled",
}


def tell(explanation: Explanation, language: Language) -> Iterator[Styled]:
    """Give the lines that explain an order."""
    answer = explanation.answer
    if explanation.as_of is not None:
        yield Styled(_as_of(explanation.as_of, language), style="dim")
    yield _headline(answer, language)
    if answer.state is State.HALTED:
        assert answer.order is not None
        for reason in answer.reasons:
            yield Styled()
            yield from _reason(reason, paid=answer.order.paid, language=language)
    else:
        yield _indented(_why_not(answer, language))
    if answer.credit is not None:
        yield from map(_indented, _credit(answer.credit, language))
    if answer.unsettled:
        titles = ", ".join(catalogue().reason(x).title.to(language) for x in answer.unsettled)
        yield _indented(_say("unsettled", language, titles=titles))
    yield from map(_indented, _early_facts(answer, language))
    if answer.order is not None:
        yield Styled()
        yield from _order(answer, answer.order, language)
    if explanation.announcement is not None:
        yield Styled()
        yield from _announcement(explanation.announcement, language)


def _as_of(as_of: AsOf, language: Language) -> str:
    at = instant(as_of.time)
    if as_of.committed_at is None:
        return _say("as_of_nothing", language, at=at)
    committed = instant(as_of.committed_at)
    return _say("as_of", language, at=at, number=as_of.transaction, committed=committed)


def _say(label: str, language: Language, **fills: object) -> str:
    return _LABELS[label].to(language, **fills)


def _indented(text: str, style: str = "", depth: int = 1) -> Styled:
    return Styled("  " * depth + text, style=style)


def _headline(answer: Answer, language: Language) -> Styled:
    line = Styled(f"{answer.studio_id} / {answer.order_id}: ")
    if answer.state is State.HALTED and answer.last_halt is not None:
        line.append(catalogue().status("halted").title.to(language), style=STYLES["halted"])
        since = instant(answer.last_halt.halted_since)
        return line.append(" " + _say("since", language, at=since))
    return line.append(_say("not_halted", language), style="green")


def _why_not(answer: Answer, language: Language) -> str:
    text: str = getattr(catalogue().not_halted, _NOT_HALTED[answer.state]).to(language)
    at = answer.closed_at or answer.forgotten_at
    return text if at is None else f"{text} ({instant(at)})"


def _reason(reason: Reason, *, paid: bool, language: Language) -> Iterator[Styled]:
    words = catalogue().reason(reason.code)
    title = Styled("  ").append(words.title.to(language), style="bold")
    yield title.append(", " + _say("since", language, at=instant(reason.since)))
    yield _indented(words.explanation.to(language), depth=2)
    yield _indented(cause(reason, language), depth=2)
    if reason.line_ids:
        lines = _some(reason.line_ids, reason.line_count, language)
        yield _indented(_say("lines", language, lines=lines), depth=2)
    restorable = reason.restorable_until is not None
    solution = words.solution.to(language, paid=paid, restorable=restorable)
    yield _indented(f"→ {solution}", style="cyan", depth=2)


def _some(ids: tuple[str, ...], count: int, language: Language) -> str:
    shown = ", ".join(ids[:_IDS_SHOWN])
    if count <= _IDS_SHOWN:
        return shown
    return f"{shown} {_say('more', language, count=count - _IDS_SHOWN)}"


def _credit(check: CreditCheck, language: Language) -> Iterator[str]:
    if check.state in _NOT_CHECKED:
        text: Text = getattr(catalogue().not_halted, _NOT_CHECKED[check.state])
        yield text.to(language, currency=check.currency)
        return
    balance, limit, available = check.balance_minor, check.credit_limit_minor, check.available_minor
    if balance is None or limit is None or available is None or check.balance_at is None:
        return
    yield _say(
        "balance",
        language,
        balance=money(balance, check.currency),
        at=instant(check.balance_at),
        limit=money(limit, check.currency),
        available=money(available, check.currency),
    )
    if check.state is CreditState.FUNDED:
        yield _say("funded", language)


def _early_facts(answer: Answer, language: Language) -> Iterator[str]:
    """Tell what has come of an order besides itself: what its lines do not show."""
    for transfer in answer.transfers:
        what = catalogue().sentences.the_order.to(language)
        if transfer.package_id is not None:
            what = f"{catalogue().subject('package').one.to(language)} {transfer.package_id}"
        yield _say(
            "transfer",
            language,
            what=what,
            status=_say(transfer.status, language),
            attempt=transfer.attempt,
            at=instant(transfer.occurred_at),
        )
    if answer.state is State.EARLY and answer.cancelled_at is not None:
        yield _say("cancelled_at", language, at=instant(answer.cancelled_at))
    if answer.state is State.EARLY and answer.settled:
        yield _say("settled", language, currencies=", ".join(answer.settled))


def _order(answer: Answer, order: KeptOrder, language: Language) -> Iterator[Styled]:
    cost = order.production_cost
    yield _indented(
        _say(
            "placed",
            language,
            version=order.version,
            at=instant(order.placed_at),
            paid=_say("paid" if order.paid else "unpaid", language),
            cost=money(cost.amount_minor, cost.currency),
        )
    )
    if answer.state not in (State.HALTED, State.IN_FLIGHT):
        return
    for line in order.lines[:_LINES_SHOWN]:
        if line.secured:
            state = _say("secured", language)
        elif line.codes:
            state = ", ".join(catalogue().reason(x).title.to(language) for x in line.codes)
        else:
            state = _say("fine", language)
        gone = _some(tuple(x.id for x in line.gone), len(line.gone), language)
        named = _say("line", language, line=line.line_id)
        yield _indented(f"{named}: {state}{f' ({gone})' if gone else ''}", depth=2)
    if len(order.lines) > _LINES_SHOWN:
        yield _indented(_say("more", language, count=len(order.lines) - _LINES_SHOWN), depth=2)


def _announcement(said: Announcement, language: Language) -> Iterator[Styled]:
    status = catalogue().status(said.status).title.to(language)
    yield _indented(
        _say(
            "said",
            language,
            sequence=said.sequence,
            status=status.lower() if language == "en" else status,
            at=instant(said.occurred_at),
        )
    )
    by = said.caused_by
    if by.topic:
        event = _say(
            "event",
            language,
            topic=by.topic,
            partition=by.partition,
            offset=by.offset,
            event_id=by.event_id,
        )
    else:
        event = _say("rules", language, version=by.rules)
    yield _indented(_say("caused_by", language, event=event), depth=2)
    yield _indented(
        _say("record", language, topic=said.topic, partition=said.partition, offset=said.offset),
        depth=2,
    )
