"""Every code has every text in every language, and the texts say what the actions say."""

from __future__ import annotations

import copy
import string
from collections.abc import Iterator
from importlib.resources import files
from typing import Any

import msgspec
import pytest
import yaml

from schemas.catalogue import (
    LANGUAGES,
    OTHER,
    Catalogue,
    Language,
    Text,
    catalogue,
    parse,
)
from schemas.errors import RejectionCode
from schemas.reasons import MISSING_CODES, Action, AssetType, Change, ReasonCode, Status, actions

pytestmark = pytest.mark.rules

SOURCE = files("schemas").joinpath("catalogue.yaml").read_bytes()
TREE: dict[str, Any] = yaml.safe_load(SOURCE)

Path = tuple[str, ...]


def leaves(value: Any, path: Path = ()) -> Iterator[tuple[Path, str]]:
    if isinstance(value, dict):
        for name, item in value.items():
            yield from leaves(item, (*path, name))
    else:
        yield path, value


def entries(value: Any, path: Path = ()) -> Iterator[Path]:
    """Paths of everything but the top level."""
    if isinstance(value, dict):
        for name, item in value.items():
            yield (*path, name)
            yield from entries(item, (*path, name))


def at(path: Path, tree: dict[str, Any] = TREE) -> Any:
    place: Any = tree
    for name in path:
        place = place[name]
    return place


def without(path: Path) -> dict[str, Any]:
    tree = copy.deepcopy(TREE)
    del at(path[:-1], tree)[path[-1]]
    return tree


#: What may be left out: a solution for what cannot be restored anyway is tested further down.
OPTIONAL = {path for path in entries(TREE) if path[-1] == "restorable"}


def test_every_code_has_its_entry() -> None:
    words = catalogue()
    assert set(words.reasons) == {*ReasonCode, OTHER}
    assert set(words.statuses) == {*Status, OTHER}
    assert set(words.changes) == {*Change, OTHER}
    assert set(words.actions) == {*Action, OTHER}
    assert set(words.subjects) == {*AssetType, "order", OTHER}
    assert set(words.rejections) == {*RejectionCode, OTHER}


@pytest.mark.parametrize("path", [p for p in entries(TREE) if p not in OPTIONAL], ids=".".join)
def test_a_catalogue_that_lacks_anything_does_not_load(path: Path) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(without(path), Catalogue)


def test_a_text_that_nobody_reads_does_not_load() -> None:
    with pytest.raises(msgspec.ValidationError, match="surplus"):
        parse(SOURCE + b"\nsurplus: {en: a, de: b}\n")
    for path in (("reasons",), ("reasons", "other"), ("reasons", "other", "title")):
        tree = copy.deepcopy(TREE)
        at(path, tree)["surplus"] = at(path)["other"] if path == ("reasons",) else "x"
        with pytest.raises(msgspec.ValidationError, match="surplus"):
            msgspec.convert(tree, Catalogue)


def test_a_text_is_a_text() -> None:
    for path, text in leaves(TREE):
        assert path[-1] in LANGUAGES, path
        assert text == text.strip(), path
        assert len(text) > 1, path
        assert text.isprintable(), path


def fields(text: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(text) if name is not None}


def test_languages_have_the_same_braces() -> None:
    texts = dict(leaves(TREE))
    for path, text in texts.items():
        others = [texts[(*path[:-1], language)] for language in LANGUAGES]
        assert all(fields(other) == fields(text) for other in others), path
        assert not fields(text) or path[0] in ("sentences", "not_halted"), path


def test_languages_differ() -> None:
    """A text that was forgotten to be translated is the same in both."""
    same = [p for p, text in leaves(TREE) if p[-1] == "de" and text == at((*p[:-1], "en"))]
    assert same == []


def test_no_entry_stands_twice() -> None:
    """YAML would take the last one and say nothing."""

    def check(node: yaml.Node) -> None:
        if isinstance(node, yaml.MappingNode):
            names = [name.value for name, _ in node.value]
            assert len(names) == len(set(names)), names
            for _, value in node.value:
                check(value)

    check(yaml.compose(SOURCE))


#: A word of each action that its part of a solution has.
SAYS: dict[Action, dict[Language, str]] = {
    Action.RESTORE_ASSETS: {"en": "Restore ", "de": "wieder her"},
    Action.CANCEL_ORDER: {"en": "Cancel the order", "de": "Stornieren Sie"},
    Action.CREATE_NEW_ORDER: {"en": "create a new one with", "de": "eine neue an"},
    Action.TOP_UP: {"en": "Top up your balance", "de": "Laden Sie Ihr Guthaben auf"},
    Action.CONTACT_CUSTOMER_CARE: {"en": "ontact Customer Care", "de": "an Customer Care"},
    Action.CONTACT_SUPPORT: {"en": "ontact support", "de": "an den Support"},
}


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("restorable", [False, True])
@pytest.mark.parametrize("paid", [False, True])
@pytest.mark.parametrize("code", ReasonCode)
def test_a_solution_says_what_the_actions_say_and_nothing_else(
    code: ReasonCode, paid: bool, restorable: bool, language: Language
) -> None:
    restorable = restorable and code in MISSING_CODES
    text = catalogue().reason(code).solution.to(language, paid=paid, restorable=restorable)
    expected = actions(code, paid=paid, restorable=restorable)
    places = [text.find(SAYS[action][language]) for action in expected]
    assert -1 not in places
    assert places == sorted(places), "best first"
    assert [a for a in Action if SAYS[a][language] in text] == sorted(
        expected, key=list(Action).index
    )


def test_only_what_is_missing_can_be_restored() -> None:
    for code in ReasonCode:
        restorable = catalogue().reason(code).solution.restorable
        assert (restorable is not None) == (code in MISSING_CODES)


def test_an_unknown_code_is_other() -> None:
    words = catalogue()
    assert words.reason("weather") is words.reasons[OTHER]
    assert words.status("asleep") is words.statuses[OTHER]
    assert words.change("moved") is words.changes[OTHER]
    assert words.action("pray") is words.actions[OTHER]
    assert words.subject("album") is words.subjects[OTHER]
    assert words.rejection("ugly") is words.rejections[OTHER]


def test_braces_are_filled_in() -> None:
    text = Text(en="{count} of {b}", de="{b}: {count}")
    assert text.to("de", count=3, b="x") == "x: 3"
    assert Text(en="{a}", de="x").to("en") == "{a}", "nothing to fill in, nothing is"
