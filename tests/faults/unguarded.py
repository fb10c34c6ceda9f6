"""A worker that asks a coordinator again when the answer is lost: `orderhalt worker` without its guard.

It shows that the campaign notices when the guard is missing.
"""

from __future__ import annotations

from typing import Any

from processor.cli import main
from processor.runtime import transaction


def _as_the_client_does(send: Any) -> Any:
    return send


transaction._never_repeated = _as_the_client_does

if __name__ == "__main__":
    main()
