"""The rules and the decoder take no more instructions than they did, by callgrind's count."""

from __future__ import annotations

import json

import pytest

from bench import instructions


@pytest.mark.timeout(600)
def test_an_event_takes_no_more_than_it_did() -> None:
    baseline = json.loads(instructions.BASELINE.read_text())
    assert instructions.growth(instructions.measure(), baseline) == []


def test_growth_by_more_than_a_tenth_is_named() -> None:
    baseline = {"ratios": {"plain": 1.0, "decode": 2.0}}
    assert instructions.growth({"ratios": {"plain": 1.0, "decode": 2.19}}, baseline) == []
    [said] = instructions.growth({"ratios": {"plain": 1.0, "decode": 2.21}}, baseline)
    assert said.startswith("decode takes 2.21 times")
