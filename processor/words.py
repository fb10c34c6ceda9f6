"""Say in a sentence what a record of `order-halted` says in fields, in words of the catalogue."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from schemas.catalogue import catalogue
from schemas.reasons import Change, Status

if TYPE_CHECKING:
    from collections.abc import Sequence

    from schemas.catalogue import Language
    from schemas.halted import OrderHalted, Reason


def describe(record: OrderHalted, language: Language = "en") -> str:
    """Say why an order is halted and what can be done, or how its halt has ended."""
    words = catalogue()
    if record.change == Change.ENDED:
        ending = words.status(record.status).ending.to(language)
        if record.status != Status.RELEASED:
            return ending
        ended = ", ".join(words.reason(x.code).ended.to(language) for x in record.ended_reasons)
        return f"{ending}: {ended}"
    first, *others = record.reasons
    actions = either([words.action(x).phrase.to(language) for x in first.actions], language)
    also = ""
    if others:
        titles = ", ".join(words.reason(x.code).title.to(language) for x in others)
        also = f" ({words.sentences.also.to(language, reasons=titles)})"
    return f"{cause(first, language)}{also} → {actions}"


def cause(reason: Reason, language: Language) -> str:
    """Say what one reason is about: which assets, which sums, which transfer."""
    sentences = catalogue().sentences
    if reason.credit:
        credit = reason.credit
        return sentences.credit.to(
            language,
            cost=money(credit.cost_minor, credit.currency),
            left=money(credit.available_minor, credit.currency),
            top_up=money(credit.top_up_minor, credit.currency),
        )
    if reason.transfers:
        return _failure(reason, language)
    subjects = _subjects(reason, language)
    by = next((x.deleted_by for x in reason.subjects if x.deleted_by), None)
    gone = (
        sentences.gone_by.to(language, subjects=subjects, deleted_by=by)
        if by
        else sentences.gone.to(language, subjects=subjects)
    )
    if reason.restorable_until is None:
        return gone
    until = sentences.restorable_until.to(language, until=reason.restorable_until[:10])
    return f"{gone}, {until}"


def _failure(reason: Reason, language: Language) -> str:
    assert reason.transfers, "asked for transfers only"
    failed = reason.transfers[0]
    words = catalogue()
    what = words.sentences.the_order.to(language)
    if failed.package_id is not None:
        what = f"{words.subject('package').one.to(language)} {failed.package_id}"
    fills = {"attempt": failed.attempt, "what": what}
    if failed.lab_id:
        text = words.sentences.transfer_failed_at.to(language, lab=failed.lab_id, **fills)
    else:
        text = words.sentences.transfer_failed.to(language, **fills)
    return f"{text}: {failed.error.message or failed.error.code}" if failed.error else text


def _subjects(reason: Reason, language: Language) -> str:
    words = catalogue()
    shown = ", ".join(
        f"{words.subject(x.type).one.to(language)} {x.id}" for x in reason.subjects[:2]
    )
    if reason.subject_count <= 2:
        return shown
    return words.sentences.and_more.to(language, shown=shown, count=reason.subject_count - 2)


def either(choices: Sequence[str], language: Language) -> str:
    """Join what can be done."""
    first, *others = choices
    for other in others:
        first = catalogue().sentences.either.to(language, first=first, second=other)
    return first


#: ISO 4217's currencies whose minor unit is not a hundredth → its decimals.
_DECIMALS: Final = {
    **dict.fromkeys(
        [
            "BIF",
            "CLP",
            "DJF",
            "GNF",
            "ISK",
            "JPY",
            "KMF",
            "KRW",
            "PYG",
            "RWF",
            "UGX",
            "UYI",
            "VND",
            "VUV",
            "XAF",
            "XOF",
            "XPF",
        ],
        0,
    ),
    **dict.fromkeys(["BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"], 3),
    **dict.fromkeys(["CLF", "UYW"], 4),
}


def money(amount_minor: int, currency: str) -> str:
    """Write an amount in the unit of its currency."""
    decimals = _DECIMALS.get(currency, 2)
    units, rest = divmod(abs(amount_minor), 10**decimals)
    fraction = f".{rest:0{decimals}d}" if decimals else ""
    return f"{'-' if amount_minor < 0 else ''}{units:,}{fraction} {currency}"
