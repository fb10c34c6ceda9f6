"""Mistakes planted into the runtime, one at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

BUGS: dict[str, Callable[[], AbstractContextManager[object]]] = {}


@contextmanager
def planted(name: str | None) -> Iterator[None]:
    """Run with a planted bug, or with none."""
    with BUGS[name]() if name is not None else nullcontext():
        yield
