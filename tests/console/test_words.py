"""Every text of the pages has its translation, and none that nobody uses is left."""

from __future__ import annotations

from importlib.resources import files
from zoneinfo import ZoneInfo

import pytest
from babel.messages.pofile import read_po

from processor.console.extract import extract
from processor.console.words import Words, as_language, as_zone, negotiate
from schemas.catalogue import LANGUAGES
from tests.console.shop import NOW


@pytest.mark.parametrize("language", [x for x in LANGUAGES if x != "en"])
def test_every_text_is_translated(language: str) -> None:
    path = files("processor.console").joinpath("locale", f"{language}.po")
    with path.open("rb") as file:
        translated = {m.id: m for m in read_po(file, locale=language) if m.id}
    wanted = {m.id for m in extract() if m.id}
    assert wanted - set(translated) == set(), "to be translated"
    assert set(translated) - wanted == set(), "nobody uses them"
    for message in translated.values():
        strings = message.string if isinstance(message.string, tuple) else (message.string,)
        assert all(strings) and not message.fuzzy, message.id
        assert list(message.check()) == [], message.id


@pytest.mark.parametrize(
    ("header", "language"),
    [
        ("", "en"),
        ("de", "de"),
        ("de-CH, en", "de"),
        ("en-US,en;q=0.9,de;q=0.8", "en"),
        ("fr, de;q=0.1", "de"),
        ("fr;q=x, ;;;, de;q=0.5, en;q=0.4", "de"),
        ("*", "en"),
        ("x" * 10_000, "en"),
    ],
)
def test_the_browser_s_language_counts(header: str, language: str) -> None:
    assert negotiate(header) == language


def test_what_is_no_language_or_zone_is_none() -> None:
    assert as_language("fr") is None and as_language("de") == "de"
    assert as_zone("Europe/Berlin") == ZoneInfo("Europe/Berlin")
    for name in ("", "x", "../../etc/passwd", "/etc/passwd", "x" * 1000, "Europe", "\0"):
        assert as_zone(name) is None, name


@pytest.mark.parametrize(
    ("language", "amount", "currency", "text"),
    [
        ("en", 123456, "EUR", "€1,234.56"),
        ("de", 123456, "EUR", "1.234,56\xa0€"),
        ("de", -5, "EUR", "-0,05\xa0€"),
        ("en", 500, "JPY", "JP¥500"),
        ("en", 1234567, "BHD", "BHD\xa01,234.567"),
        ("en", 100, "XQZ", "XQZ\xa01.00"),
    ],
)
def test_money_has_the_minor_units_of_its_currency(
    language: str, amount: int, currency: str, text: str
) -> None:
    words = Words(as_language(language) or "en", ZoneInfo("UTC"), NOW)
    assert words.money(amount, currency) == text


@pytest.mark.parametrize(
    ("instant", "text"),
    [
        ("2026-01-20T09:00:00Z", "in 18 days"),
        ("2026-01-03T18:00:00Z", "in 30 hours"),
        ("2026-01-02T12:40:00Z", "in 40 minutes"),
        ("2026-01-02T11:59:59Z", "1 second ago"),
        ("2026-01-02T12:00:00Z", "in 0 seconds"),
        ("2025-01-02T12:00:00Z", "365 days ago"),
    ],
)
def test_a_distance_is_said_in_units_that_are_exact_enough(instant: str, text: str) -> None:
    assert Words("en", ZoneInfo("UTC"), NOW).distance(instant) == text
