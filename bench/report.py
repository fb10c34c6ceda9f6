"""Write a campaign's tables into docs/performance.md, between its marks.

python -m bench.report [--campaign NAME]
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any, Final

from bench.results import RESULTS, Campaign, table
from bench.systems import ROOT, find

PAGE: Final = ROOT / "docs" / "performance.md"
_BEGIN: Final = "<!-- made by `python -m bench.report`: begin -->"
_END: Final = "<!-- end -->"
_IMAGES: Final = {
    "bench-drain.svg": "Events a second of every system, a dot a run",
    "bench-latency.svg": "Latency by percentile",
    "bench-sweep-rules.svg": "What an event costs as one size grows that it does not touch",
}


def main() -> None:
    """Write the page anew."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--campaign", default="", help="default: the latest")
    arguments = parser.parse_args()
    text = PAGE.read_text()
    before, _, rest = text.partition(_BEGIN)
    after = rest.partition(_END)[2]
    made = compose(_path(arguments.campaign))
    PAGE.write_text(f"{before}{_BEGIN}\n\n{made}\n\n{_END}{after}")


def _path(campaign: str) -> Path:
    if campaign:
        return RESULTS / f"{campaign}.json"
    found = [x for x in sorted(RESULTS.glob("*.json")) if "runs" in json.loads(x.read_text())]
    if not found:
        raise SystemExit("There are no results in bench/results: run `make bench` first.")
    return found[-1]


def compose(path: Path) -> str:
    """Make the section of one campaign."""
    found: dict[str, Any] = json.loads(path.read_text())
    campaign = Campaign.read(path)
    machine = found["machine"]
    versions = ", ".join(f"{name} {version}" for name, version in machine["versions"].items())
    head = (
        f"`{path.relative_to(ROOT)}`: {machine['cpu']}, {machine['cores']} virtual cores, "
        f"{machine['system']}, Python {machine['python']}, rules {machine['rules']}, {versions}; "
        f"{found['partitions']} partitions, windows of {found['commit_interval_ms']} ms, a log of "
        f"{found['workload']['events']:,} events unless a system's line in `bench/peers` says less; made by "
        f"`{machine['command']}`."
    )
    images = [
        f"![{text}](images/{name})"
        for name, text in _IMAGES.items()
        if (PAGE.parent / "images" / name).exists()
    ]
    leaves = [
        f"- {system.title} leaves out: {system.leaves_out}."
        for system in find().values()
        if system.leaves_out and any(x["system"] == system.name for x in campaign.runs.values())
    ]
    return "\n\n".join([head, table(campaign, find()), "\n".join(leaves), *images])


if __name__ == "__main__":
    main()
