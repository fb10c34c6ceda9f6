"""Say it in the viewer's language, money in its currency's units, instants in the viewer's zone.

Words for codes are those of `schemas.catalogue`; all others stand in `locale/<language>.po`, which is
read as it is: nothing has to be compiled.
"""

from __future__ import annotations

import io
import re
from collections.abc import Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from functools import cache
from importlib.resources import files
from typing import Any, Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from babel import Locale, dates, numbers
from babel.core import negotiate_locale
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po
from babel.support import NullTranslations, Translations

from schemas.catalogue import LANGUAGES, Catalogue, Language, catalogue
from schemas.instants import EPOCH, MICROSECOND, parse_instant

#: How a language writes dates and numbers.
_LOCALES: Final[Mapping[str, str]] = {"en": "en_GB", "de": "de_DE"}
_NAMES: Final[Mapping[str, str]] = {"en": "English", "de": "Deutsch"}
DEFAULT_ZONE: Final = "UTC"
_SAMPLE: Final = "2026-01-01T00:00:00.000000Z"
#: Of distances, in seconds; "in 3 weeks" would be too vague for a deadline.
_UNITS: Final[list[tuple[Any, int]]] = [
    ("day", 86_400),
    ("hour", 3_600),
    ("minute", 60),
    ("second", 1),
]
#: From so many of a unit on it is used: "in 28 hours", but "in 2 days".
_UNIT_FROM: Final = 1.5


@cache
def translations(language: str) -> NullTranslations:
    """Read the texts of a language; English is what stands in the code."""
    path = files("processor.console").joinpath("locale", f"{language}.po")
    if not path.is_file():
        return NullTranslations()
    compiled = io.BytesIO()
    write_mo(compiled, read_po(io.BytesIO(path.read_bytes()), locale=language))
    compiled.seek(0)
    return Translations(compiled)


def negotiate(accept_language: str) -> Language:
    """Choose the language of an Accept-Language header."""
    wanted: list[tuple[float, str]] = []
    for part in accept_language.split(",")[:20]:
        name, _, quality = part.strip().partition(";q=")
        try:
            wanted.append((-float(quality or 1), name.replace("-", "_")))
        except ValueError:
            continue
    found = negotiate_locale([name for _, name in sorted(wanted, key=lambda x: x[0])], LANGUAGES)
    return next((x for x in LANGUAGES if x == found), "en")


def as_language(text: str | None) -> Language | None:
    """Give the language of this code; None where we do not speak it."""
    return next((x for x in LANGUAGES if x == text), None)


def as_zone(name: str | None) -> ZoneInfo | None:
    """Give the time zone of this name; None where there is none."""
    if not name or len(name) > 64:
        return None
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return None


def prepare() -> None:
    """Read what each language needs now: the first viewer is not to wait for it."""
    for language in LANGUAGES:
        words = Words(language, ZoneInfo(DEFAULT_ZONE), at(_SAMPLE))
        for write in (words.time, words.exact, words.distance):
            write(_SAMPLE)
        words.money(0, "EUR")


class Words:
    """One viewer's language and zone; `now` is the time of the answer."""

    def __init__(self, language: Language, zone: ZoneInfo, now: datetime) -> None:
        self.language = language
        self.zone = zone
        self.now = now
        self.locale = Locale.parse(_LOCALES[language])
        self._translations = translations(language)

    @property
    def catalogue(self) -> Catalogue:
        """The words for codes."""
        return catalogue()

    @property
    def languages(self) -> list[tuple[Language, str]]:
        """The languages there are, by their own names."""
        return [(x, _NAMES[x]) for x in LANGUAGES]

    def gettext(self, text: str) -> str:
        """Translate."""
        return self._translations.gettext(text)

    def ngettext(self, one: str, many: str, count: int) -> str:
        """Translate what depends on a number."""
        return self._translations.ngettext(one, many, count)

    def number(self, count: int) -> str:
        """Write a whole number."""
        return numbers.format_decimal(count, locale=self.locale)

    def money(self, amount_minor: int, currency: str) -> str:
        """Write an amount; how many minor units there are depends on the currency."""
        digits = numbers.get_currency_precision(currency)
        amount = Decimal(amount_minor).scaleb(-digits)
        text = numbers.format_currency(amount, currency, locale=self.locale)
        # Where it has no sign of its own, its three letters would run into the digits.
        return re.sub(rf"({currency})(?=\d)", "\\1\N{NO-BREAK SPACE}", text)

    def time(self, instant: str) -> str:
        """Write an instant of contract.md §5."""
        return dates.format_datetime(
            at(instant), "d MMM y, HH:mm", tzinfo=self.zone, locale=self.locale
        )

    def exact(self, instant: str) -> str:
        """Write an instant to the second."""
        return dates.format_datetime(
            at(instant), "d MMM y, HH:mm:ss", tzinfo=self.zone, locale=self.locale
        )

    def distance(self, instant: str) -> str:
        """Say how far an instant is from now: "in 3 days", "5 minutes ago"."""
        delta = at(instant) - self.now
        seconds = abs(delta.total_seconds())
        unit, size = next((x for x in _UNITS if seconds >= x[1] * _UNIT_FROM), _UNITS[-1])
        # Just below the number of units, the threshold keeps it from taking larger ones.
        threshold = max(seconds / size * 0.99, 1e-9)
        return dates.format_timedelta(
            delta, granularity=unit, threshold=threshold, add_direction=True, locale=self.locale
        )

    def is_past(self, instant: str) -> bool:
        """Tell whether an instant is over."""
        return at(instant) <= self.now

    def is_soon(self, instant: str) -> bool:
        """Tell whether it is less than two days away."""
        return at(instant) - self.now < timedelta(days=2)


def at(instant: str) -> datetime:
    """Read an instant."""
    return EPOCH + parse_instant(instant) * MICROSECOND
