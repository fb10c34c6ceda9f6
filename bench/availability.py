"""How long nobody looks after a partition when a worker is killed, leaves, joins or comes back.

    python -m bench.availability [--rounds 5] [--rate 300] [--json bench/results/availability.json]

Real `orderhalt worker` processes share 12 partitions of a real Kafka, while events come in steadily
for all of them. What counts is seen from outside, by a read_committed reader of the journal: when a
transaction of which partition became visible. Each round, in this order:

  restarted  kill -9 of a worker with --instance-id, started again at once
  lost       kill -9 of one without, not started again
  joined     one is started, and takes half of the partitions
  left       it gets SIGTERM

For partitions of the worker concerned: from the harm to the first transaction after the longest
silence. For those that a worker kept: the longest silence, which without any harm is that of
`undisturbed`. At the end `orderhalt verify` must find nothing, or no figure counts.
"""

from __future__ import annotations

import argparse
import itertools
import json
import logging
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Collection, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final, NamedTuple

from bench.journalwatch import JournalWatch
from bench.machine import description
from bench.verified import verify_is_clean
from processor.config import load
from processor.localkafka import LocalKafka
from processor.simulator import Settings, simulate
from tests.broker.fleet import Fleet, items_of

_PARTITIONS: Final = 12
_STUDIOS: Final = 2_000
_ROUND_SECONDS: Final = 60.0
"""Events are made for so long a round; what is left of them at the end is not sent."""
_AFTERWARDS_SECONDS: Final = 2.0
_SESSION_SECONDS: Final = load().session_timeout_ms / 1000
#: Seconds, by what is measured.
TARGETS: Final = {
    "restarted": 2.0,
    "lost": _SESSION_SECONDS + 1.0,
    "left": 1.0,
    "joined, kept partitions": 1.0,
    "lost, kept partitions": 1.0,
    "left, kept partitions": 1.0,
}

log = logging.getLogger(__name__)


class Event(NamedTuple):
    """What happened to whom, and which partitions it was about."""

    name: str
    at: float
    until: float
    moved: frozenset[int]
    kept: frozenset[int]


def main() -> None:
    """Measure and print one JSON object."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--rate", type=float, default=300.0, help="events a second")
    parser.add_argument("--json", type=Path, help="write the results there, too")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(message)s", stream=sys.stderr)
    log.setLevel(logging.INFO)
    result = _measure(arguments.rounds, arguments.rate)
    text = json.dumps(result, indent=2)
    print(text)  # noqa: T201 - this is what it is for
    if arguments.json is not None:
        arguments.json.write_text(text + "\n")
    if not result["verify_is_clean"]:
        sys.exit("`orderhalt verify` has found differences: the figures do not count.")


def _measure(rounds: int, rate: float) -> dict[str, Any]:
    world = Settings(studios=_STUDIOS, events_per_second=rate, orders_in_flight=2_000)
    events = itertools.islice(simulate(world), int(_ROUND_SECONDS * rounds * rate))
    items = items_of(events, _PARTITIONS)
    with tempfile.TemporaryDirectory() as directory, LocalKafka() as kafka:
        servers = kafka.bootstrap_servers
        fleet = Fleet(servers, "", Path(directory), partitions=_PARTITIONS)
        watch = JournalWatch(servers, _PARTITIONS)
        try:
            with fleet.load(items, per_second=rate, to_the_end=False) as load:
                watch.start()
                happened = _Scene(fleet).play(rounds)
                assert load.sent < len(items), "the events did not last: silence may be their end"
            fleet.wait_until_applied()
            fleet.stop()
            clean = verify_is_clean(servers)
        finally:
            watch.finish()
            fleet.end()
    return {
        "measured": "seconds without a visible transaction, of the worst partition",
        **description(),
        "partitions": _PARTITIONS,
        "events_per_second": rate,
        "rounds": rounds,
        "session_timeout_seconds": _SESSION_SECONDS,
        "seconds": _summary(happened, watch),
        "ends_of_workers": dict(fleet.deaths),
        "verify_is_clean": clean,
    }


class _Scene:
    """Two workers, of which one has all that happens to it."""

    def __init__(self, fleet: Fleet) -> None:
        self._fleet = fleet
        self._guests = 0
        self._events: list[Event] = []

    def play(self, rounds: int) -> Sequence[Event]:
        fleet = self._fleet
        fleet.start_ready("resident")
        guest = self._join()
        self._events.clear()
        for number in range(rounds):
            log.info("round %d of %d", number + 1, rounds)
            self._note("undisturbed", "nobody", lambda: None, lambda: True)
            self._restart("resident")
            self._note("lost", guest, partial(fleet.drop, guest), self._resident_has_all)
            guest = self._join()
            self._note("left", guest, partial(fleet.leave, guest), self._resident_has_all)
            guest = self._join()
        return self._events

    def _join(self) -> str:
        fleet = self._fleet
        self._guests += 1
        name = f"guest-{self._guests}"

        def ready() -> bool:
            theirs, ours = self._owned(name), self._owned("resident")
            shared = len(theirs) == len(ours) == _PARTITIONS // 2
            return shared and not theirs & ours

        self._note("joined", name, lambda: fleet.start(name, static=False), ready)
        return name

    def _restart(self, name: str) -> None:
        owned = self._owned(name)
        self._note(
            "restarted", name, lambda: self._fleet.kill(name), lambda: self._owned(name) == owned
        )

    def _resident_has_all(self) -> bool:
        return self._owned("resident") == frozenset(range(_PARTITIONS))

    def _owned(self, name: str) -> frozenset[int]:
        return self._fleet.owned(name) or frozenset()

    def _note(
        self, what: str, name: str, harm: Callable[[], Any], healed: Callable[[], bool]
    ) -> None:
        """Do harm to a worker, wait until it is healed and a little longer."""
        before = self._owned(name) if self._fleet.has(name) else frozenset()
        at = time.time()
        harm()
        self._fleet.wait(healed, f"{what} {name}")
        time.sleep(_AFTERWARDS_SECONDS)
        moved = before or (self._owned(name) if self._fleet.has(name) else frozenset())
        kept = frozenset(range(_PARTITIONS)) - moved
        self._events.append(Event(what, at, time.time(), moved, kept))
        log.info("%s %s: healed after %.2f s", what, name, time.time() - at - _AFTERWARDS_SECONDS)


def _summary(events: Sequence[Event], watch: JournalWatch) -> dict[str, Any]:
    """Give of each kind of event the figures over the rounds: median, least, most, all of them."""
    figures: dict[str, list[float]] = {}
    for event in events:
        if event.moved and event.name != "joined":
            again = [watch.silence(p, event.at, event.until).end - event.at for p in event.moved]
            figures.setdefault(event.name, []).append(max(again))
        if event.moved and event.name == "joined":
            figures.setdefault("joined, moved partitions", []).append(
                _longest(watch, event.moved, event)
            )
        name = event.name if event.name == "undisturbed" else f"{event.name}, kept partitions"
        figures.setdefault(name, []).append(_longest(watch, event.kept, event))
    return {name: _figure(seconds, TARGETS.get(name)) for name, seconds in figures.items()}


def _longest(watch: JournalWatch, partitions: Collection[int], event: Event) -> float:
    return max(watch.silence(p, event.at, event.until).seconds for p in partitions)


def _figure(seconds: Sequence[float], target: float | None) -> dict[str, Any]:
    median = statistics.median(seconds)
    return {
        "median": round(median, 2),
        "min": round(min(seconds), 2),
        "max": round(max(seconds), 2),
        "target": target,
        "met": None if target is None else median <= target,
        "all": [round(x, 2) for x in seconds],
    }


if __name__ == "__main__":
    main()
