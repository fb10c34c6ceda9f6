"""What the laws of the rules share."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest

#: So that a log of a few events reaches what else takes hundreds of orders or transfers.
TINY = {"INLINE_TRANSFERS": 1, "BLOCK_MAX": 2}


@pytest.fixture(scope="module")
def tiny_limits() -> Iterator[None]:
    """Let an order's second transfer have a row of its own, and cut the funding queue into pairs."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in TINY.items():
            modules = [
                module
                for path, module in sorted(sys.modules.items())
                if path.startswith("processor.rules.") and hasattr(module, name)
            ]
            assert modules, f"{name} is a limit of the rules"
            for module in modules:
                patch.setattr(module, name, value)
        yield
