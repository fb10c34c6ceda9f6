"""What is compared: orderhalt, the plain loop with its rules, and the peers found in `bench/peers`."""

from __future__ import annotations

import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal

#: The checkout, also where this folder is reached through a link (`make bench`).
ROOT: Final = Path(__file__).resolve().parents[1]

Guarantee = Literal["exactly-once", "at-least-once"]


@dataclass(frozen=True, slots=True)
class System:
    """One line of the table."""

    name: str
    title: str
    command: tuple[str, ...]
    environment: dict[str, str] = field(default_factory=dict)
    guarantee: Guarantee = "exactly-once"
    journal: bool = False
    """Whether it says in which order it took its inputs, so that its output can be compared byte for
    byte."""
    warms: bool = False
    partitions_by_order: bool = False
    """Whether its output is not in the partition of the studio, because it cannot be."""
    leaves_out: str = ""
    needs: tuple[str, ...] = ()
    build: str = ""
    events: int | None = None
    """How long a log it is given, where it is too slow for everybody's."""
    interval_ms: int | None = None
    """Its own commit interval, where it is not everybody's."""
    rates: tuple[int, ...] = ()
    """Fixed rates of its own open loops; such a system is not drained."""

    def missing(self) -> str:
        """Say what has to be made first, if anything."""
        absent = [path for path in self.needs if not (ROOT / path).exists()]
        return f"{', '.join(absent)} is not there: run `{self.build}`" if absent else ""


_OURS: Final = (
    System(
        "orderhalt",
        "orderhalt, exactly once",
        (sys.executable, "-m", "processor.cli", "worker", "--log-level", "warning"),
        journal=True,
    ),
    System(
        "raw",
        "the limit: our rules in a plain aiokafka loop, exactly once",
        (sys.executable, "-m", "bench.rawloop"),
        journal=True,
        leaves_out="recovery, sharing of partitions, checks, metrics, rejected records",
    ),
    System(
        "orderhalt-latency",
        "orderhalt with windows of 20 ms",
        (sys.executable, "-m", "processor.cli", "worker", "--log-level", "warning"),
        journal=True,
        interval_ms=20,
        rates=(5_000, 10_000),
    ),
)


def find() -> dict[str, System]:
    """Give every system by its name."""
    found = [*_OURS, *_peers()]
    return {system.name: system for system in found}


def _peers() -> Iterator[System]:
    for path in sorted((ROOT / "bench" / "peers").glob("*/peer.toml")):
        described = tomllib.loads(path.read_text())
        for name, variant in described["variants"].items():
            yield _peer(name, variant, described, path.parent)


def _peer(name: str, variant: dict[str, Any], described: dict[str, Any], here: Path) -> System:
    places = {"root": str(ROOT), "here": str(here), "python": sys.executable}
    return System(
        name,
        variant["title"],
        tuple(part.format(**places) for part in variant["command"]),
        {k: str(v).format(**places) for k, v in variant.get("environment", {}).items()},
        variant.get("guarantee", "exactly-once"),
        warms=variant.get("warms", False),
        partitions_by_order=variant.get("partitions_by_order", False),
        leaves_out=variant.get("leaves_out", ""),
        needs=tuple(described.get("needs", ())),
        build=described.get("build", ""),
        events=variant.get("events"),
    )
