"""What people read for a label's value, and its colour: the same in every panel.

Reasons by precedence from red to violet, endings from good to bad. A value that is not listed keeps
its own name and takes Grafana's next colour: reasons and statuses are open sets (contract.md §5).
"""

from __future__ import annotations

from typing import Final

RED: Final = "#d64550"
ORANGE: Final = "#e8833a"
YELLOW: Final = "#d9a514"
GREEN: Final = "#4a9d5b"
TEAL: Final = "#2a9d9f"
BLUE: Final = "#3b78c2"
VIOLET: Final = "#8a5fbf"
GREY: Final = "#8b93a1"

#: Label → its values → (what is shown, colour).
WORDS: Final = {
    "reason": {
        "product_missing": ("Product missing", RED),
        "photos_missing": ("Photos missing", ORANGE),
        "package_missing": ("Package missing", YELLOW),
        "credit_limit_reached": ("Credit limit reached", BLUE),
        "transfer_failed": ("Transfer failed", VIOLET),
        "other": ("Other", GREY),
    },
    "status": {
        "released": ("Released", GREEN),
        "transferred": ("Transferred", TEAL),
        "cancelled": ("Cancelled", YELLOW),
        "other": ("Other", GREY),
    },
    "outcome": {
        "applied": ("Applied", GREEN),
        "stale": ("Stale", YELLOW),
        "rejected": ("Rejected", RED),
    },
    "change": {
        "opened": ("Opened", RED),
        "changed": ("Changed", BLUE),
        "ended": ("Ended", GREEN),
        "forgotten": ("Forgotten", YELLOW),
        "other": ("Other", GREY),
    },
}
