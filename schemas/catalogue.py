"""Read `catalogue.yaml`: the words for every code, in every language.

A file that lacks a text, has one too many or is mistyped does not load; that every code has its
entry is checked as well. Only who speaks to people loads it, so a worker never does.
"""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import Final, Literal, TypeVar, get_args

import msgspec.yaml
from msgspec import Struct

from schemas.errors import RejectionCode
from schemas.reasons import Action, AssetType, Change, ReasonCode, Status

Language = Literal["en", "de"]
LANGUAGES: Final[tuple[Language, ...]] = get_args(Language)

#: The entry for a code that a later release may add (contract.md §5: the sets are open).
OTHER: Final = "other"
#: A reason's subjects are assets, or the order itself where its transfer failed.
SUBJECT_TYPES: Final = (*AssetType, "order")

T = TypeVar("T")


class Text(Struct, frozen=True, forbid_unknown_fields=True):
    """One text in every language."""

    en: str
    de: str

    def to(self, language: Language, /, **fills: object) -> str:
        """Give the text in `language`, with its braces filled in."""
        text: str = getattr(self, language)
        return text.format_map(fills) if fills else text


class Solution(Struct, frozen=True, forbid_unknown_fields=True):
    """What the studio can do about a reason."""

    unpaid: Text
    paid: Text
    restorable: Text | None = None
    """Comes before the other where `restorable_until` is set; None where nothing can be restored."""

    def to(self, language: Language, *, paid: bool, restorable: bool) -> str:
        """Give all that can be done for one order, best first, in one paragraph."""
        first = [self.restorable] if restorable and self.restorable else []
        return " ".join(text.to(language) for text in (*first, self.paid if paid else self.unpaid))


class ReasonWords(Struct, frozen=True, forbid_unknown_fields=True):
    """The words for a reason code."""

    title: Text
    explanation: Text
    solution: Solution
    ended: Text
    """Half a sentence: why it is over."""


class StatusWords(Struct, frozen=True, forbid_unknown_fields=True):
    """The words for a status."""

    title: Text
    explanation: Text
    ending: Text
    """Follows "the order …"."""


class ActionWords(Struct, frozen=True, forbid_unknown_fields=True):
    """The words for an action."""

    title: Text
    """As on a button."""
    phrase: Text
    """Within a sentence, where the order has been named."""


class Noun(Struct, frozen=True, forbid_unknown_fields=True):
    """A word and its plural."""

    one: Text
    many: Text


class RejectionWords(Struct, frozen=True, forbid_unknown_fields=True):
    """The words for a rejection code; the solution addresses the producer."""

    title: Text
    explanation: Text
    solution: Text


class NotHalted(Struct, frozen=True, forbid_unknown_fields=True):
    """Why an order is not halted; the last three follow one of the others."""

    unknown: Text
    early: Text
    forgotten: Text
    in_flight: Text
    cancelled: Text
    secured: Text
    credit_unknown: Text
    credit_unlimited: Text
    credit_settled: Text


class Sentences(Struct, frozen=True, forbid_unknown_fields=True):
    """Parts of sentences about one record."""

    gone: Text
    gone_by: Text
    restorable_until: Text
    and_more: Text
    credit: Text
    transfer_failed: Text
    transfer_failed_at: Text
    the_order: Text
    also: Text
    either: Text


class Catalogue(Struct, frozen=True, forbid_unknown_fields=True):
    """All words. The methods give those of a code, and those of `other` for an unknown one."""

    reasons: dict[str, ReasonWords]
    statuses: dict[str, StatusWords]
    changes: dict[str, Text]
    actions: dict[str, ActionWords]
    subjects: dict[str, Noun]
    not_halted: NotHalted
    sentences: Sentences
    rejections: dict[str, RejectionWords]

    def __post_init__(self) -> None:
        """Refuse a table that lacks a code or has one that does not exist."""
        for name, codes in CODES.items():
            wrong = {*codes, OTHER} ^ set(getattr(self, name))
            if wrong:
                raise ValueError(f"{name}: missing or unknown: {', '.join(sorted(wrong))}")

    def reason(self, code: str) -> ReasonWords:
        """Give the words for a reason code."""
        return _find(self.reasons, code)

    def status(self, status: str) -> StatusWords:
        """Give the words for a status."""
        return _find(self.statuses, status)

    def change(self, change: str) -> Text:
        """Give the words for a change."""
        return _find(self.changes, change)

    def action(self, action: str) -> ActionWords:
        """Give the words for an action."""
        return _find(self.actions, action)

    def subject(self, kind: str) -> Noun:
        """Give the words for a type of subject."""
        return _find(self.subjects, kind)

    def rejection(self, code: str) -> RejectionWords:
        """Give the words for a rejection code."""
        return _find(self.rejections, code)


#: The table of each set of codes, and the codes.
CODES: Final[dict[str, tuple[str, ...]]] = {
    "reasons": tuple(ReasonCode),
    "statuses": tuple(Status),
    "changes": tuple(Change),
    "actions": tuple(Action),
    "subjects": SUBJECT_TYPES,
    "rejections": tuple(RejectionCode),
}


def _find(table: dict[str, T], code: str) -> T:
    return table.get(code) or table[OTHER]


def parse(text: bytes) -> Catalogue:
    """Read a catalogue; raises msgspec.ValidationError where it is not complete."""
    return msgspec.yaml.decode(text, type=Catalogue)


@cache
def catalogue() -> Catalogue:
    """Give the catalogue of this release."""
    return parse(files("schemas").joinpath("catalogue.yaml").read_bytes())
