"""A worker that asks a coordinator again when the answer is lost: `orderhalt worker` without its guard.

It shows that the campaign would notice if the guard were missing.
"""

from __future__ import annotations

from processor.cli import main
from processor.runtime import transaction


def _as_it_is(send: object) -> object:
    return send


transaction._never_repeated = _as_it_is  # type: ignore[assignment]

if __name__ == "__main__":
    main()
