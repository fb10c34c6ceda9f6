"""Write the dashboards' JSON, or say which of the files differ from the code."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from deploy.grafana.board import text
from deploy.grafana.halts import halts
from deploy.grafana.worker import worker

DIRECTORY: Final = Path(__file__).parent / "dashboards"


def dashboards() -> Mapping[str, dict[str, Any]]:
    """Build every dashboard: file name → document."""
    return {f"{x['uid']}.json": x for x in (halts(), worker())}


def main() -> int:
    """Run the command."""
    parser = argparse.ArgumentParser(
        prog="python -m deploy.grafana",
        description=__doc__,
        epilog="Example: python -m deploy.grafana --check   (exit code 1 where a file differs)",
    )
    parser.add_argument("--check", action="store_true", help="write nothing, only compare")
    check = parser.parse_args().check
    differing = []
    for name, document in dashboards().items():
        path, wanted = DIRECTORY / name, text(document)
        if path.exists() and path.read_text() == wanted:
            continue
        differing.append(name)
        if not check:
            path.write_text(wanted)
    if check and differing:
        sys.stderr.write(
            f"These differ from the code in deploy/grafana: {', '.join(differing)}. "
            "Run: python -m deploy.grafana\n"
        )
    return int(check and bool(differing))


if __name__ == "__main__":
    sys.exit(main())
