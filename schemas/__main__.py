"""Write the published documents beside the code that they are made from.

python -m schemas           # write them
python -m schemas --check   # exit with 1 and name those that differ
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from schemas.documents import documents

HERE = Path(__file__).parent


def main(arguments: list[str] | None = None) -> int:
    """Write or check; return the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m schemas",
        description="Make JSON Schemas and AsyncAPI document from the structs.",
        epilog="Example: python -m schemas --check",
    )
    parser.add_argument("--check", action="store_true", help="write nothing, exit 1 if one differs")
    check = parser.parse_args(arguments).check
    stale = [
        name
        for name, text in documents().items()
        if not (HERE / name).exists() or (HERE / name).read_text("utf-8") != text
    ]
    for name in stale:
        if not check:
            (HERE / name).write_text(documents()[name], "utf-8")
        sys.stdout.write(f"{'differs' if check else 'written'}: schemas/{name}\n")
    if check and stale:
        sys.stderr.write("The code says something else. Run: python -m schemas\n")
    return 1 if check and stale else 0


if __name__ == "__main__":
    sys.exit(main())
