"""The runs of a campaign: what a system drains, and what it keeps up with."""

from __future__ import annotations

import os
import pickle
import time
from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from bench import checks, workload
from bench.openloop import Generator, Reader
from bench.stage import WARMUP_PREFIX, Log, Stage
from bench.systems import System, find
from bench.watch import Watch, between, over_middle, peak_mib
from bench.workload import Record, Workload
from schemas import topics
from tests.broker import retail

if TYPE_CHECKING:
    from bench.results import Campaign

_WARMUP_EVENTS: Final = 200_000
_BROKER_WARMUP_EVENTS: Final = 200_000
_DRAINED_WITHIN_SECONDS: Final = 150.0
_OPEN_SECONDS: Final = 14.0
#: Of an open loop, what is not measured at its beginning.
_SETTLING_SECONDS: Final = 4.0

Source = Workload | None
"""Where a log comes from; None: the real year of `tests.broker.retail`."""


@dataclass(frozen=True)
class Step:
    """One run: `rate` 0 is a drain, None half of what the system drained."""

    round: int
    system: System
    rate: float | None

    @property
    def key(self) -> str:
        """Names the run in its campaign."""
        return f"{self.system.name} {self.mode} {self.round}"

    @property
    def mode(self) -> str:
        """What it is called in tables."""
        if self.rate is None:
            return "half"
        return f"{self.rate:g}" if self.rate else "drain"


def make_log(source: Source, partitions: int) -> Log:
    """Make the log of a workload, or of the real year."""
    if source is not None:
        return Log.of(workload.generate(source), partitions)
    year = retail.events(retail.read_invoices())
    return Log.of([Record(x.topic, x.key or b"", x.value or b"") for x in year], partitions)


def shortened(settings: Workload, events: int | None) -> Workload:
    """Make it so long; a shorter one has fewer orders in flight, to be more than these."""
    events = events or settings.events
    in_flight = min(settings.orders_in_flight, events // 8)
    return replace(settings, events=events, orders_in_flight=in_flight)


class Runs:
    """Takes one step after the other on a stage, and puts by what is to be checked later."""

    def __init__(self, stage: Stage, settings: Workload, outputs: Path, *, real_year: bool) -> None:
        self._stage = stage
        self._settings = settings
        self._outputs = outputs
        self._real_year = real_year
        self._logs: dict[Source, Log] = {}
        self._loaded: Source | str = "nothing"

    def prepare(self, *, warmup: bool) -> None:
        """Let the plain loop drain a log of which nothing is kept: the broker is warm then."""
        self._stage.clear(inputs=True)
        other = replace(self._settings, seed=self._settings.seed + 1)
        log = make_log(shortened(other, _BROKER_WARMUP_EVENTS), self._stage.partitions)
        self._stage.load(log.records)
        self._drain(Step(0, find()["raw"], 0), log)
        if warmup:
            other = replace(self._settings, seed=self._settings.seed + 2)
            log = make_log(shortened(other, _WARMUP_EVENTS), self._stage.partitions)
            self._stage.load(log.records, WARMUP_PREFIX)

    def drain(self, step: Step) -> dict[str, Any]:
        """Let a system take a log that is there already."""
        source = None if self._real_year else shortened(self._settings, step.system.events)
        if source not in self._logs:
            self._logs[source] = make_log(source, self._stage.partitions)
        log = self._logs[source]
        self._stage.clear(inputs=self._loaded != source)
        if self._loaded != source:
            self._stage.load(log.records)
            self._loaded = source
        result = self._drain(step, log)
        if "fault" not in result:
            self._keep_output(step, source)
        return result

    def _drain(self, step: Step, log: Log) -> dict[str, Any]:
        running = self._stage.start(step.system)
        watch = Watch(self._stage, running, log)
        watch.start()
        finished = watch.wait(_DRAINED_WITHIN_SECONDS)
        watch.stop()
        running.end()
        if not finished:
            done = f"{watch.done:,} of {watch.total:,} records"
            return {"fault": f"it took {done}. The end of its log:\n{running.last_words()}"}
        return {"events": watch.total, **over_middle(watch.looks, watch.total)}

    def open(self, step: Step, rate: float) -> dict[str, Any]:
        """Send to a system at a fixed rate, after a beginning that it takes as it can."""
        stage = self._stage
        stage.clear(inputs=True)
        self._loaded = "nothing"
        source = shortened(self._settings, step.system.events)
        beginning = source.studios + source.orders_in_flight
        source = replace(source, events=beginning + int(rate * _OPEN_SECONDS))
        log = make_log(source, stage.partitions)
        generator = Generator(stage.servers, log.records[beginning:], rate)
        stage.load(log.records[:beginning])
        running = stage.start(step.system)
        watch, reader = Watch(stage, running, log), Reader(stage)
        watch.start()
        reader.start()
        try:
            if not watch.wait(_DRAINED_WITHIN_SECONDS, beginning):
                return {"fault": f"it did not begin. The end of its log:\n{running.last_words()}"}
            begun = generator.begin()
            late_ms = generator.finish(_OPEN_SECONDS * 3)
            sent = time.monotonic()
            finished = watch.wait(30.0)
        finally:
            watch.stop()
            running.end()
            reader.stop()
        if not finished:
            return {"fault": f"it took {watch.done:,} of {watch.total:,} records", "rate": rate}
        self._keep_output(step, source)
        since = begun + _SETTLING_SECONDS
        due = {x[:3]: begun + n / rate for n, x in enumerate(log.records[beginning:])}
        looks = [look for look in watch.looks if since <= look.at <= sent]
        return {
            "events": source.events,
            "rate": round(rate),
            **between(looks[0], looks[-1]),
            "rss_peak_mib": peak_mib(watch.looks),
            "behind_at_the_end_seconds": round(watch.looks[-1].at - sent, 2),
            "generator_late_max_ms": late_ms,
            **reader.latencies(due, since),
        }

    def _keep_output(self, step: Step, source: Source) -> None:
        """Put by what is to be checked when no measurement is disturbed by it."""
        system = step.system
        kept = {
            "source": source,
            "partitions": self._stage.partitions,
            "output": self._stage.read(topics.ORDER_HALTED.name),
            "journal": self._stage.read(topics.JOURNAL.name) if system.journal else None,
            "guarantee": system.guarantee,
            "partitions_by_order": system.partitions_by_order,
        }
        self._outputs.mkdir(parents=True, exist_ok=True)
        (self._outputs / f"{step.key}.pickle").write_bytes(pickle.dumps(kept))


def check(campaign: Campaign, outputs: Path) -> None:
    """Check the outputs that have been put by, on all cores."""
    os.sched_setaffinity(0, range(os.cpu_count() or 1))
    kept = {key: outputs / f"{key}.pickle" for key in campaign.runs}
    paths = {key: path for key, path in kept.items() if path.exists()}
    with ProcessPoolExecutor() as pool:
        faults = pool.map(_fault, paths.values())
        for (key, path), fault in zip(paths.items(), faults, strict=True):
            verdict = {"fault": fault} if fault else {"output": "right"}
            campaign.add(key, campaign.runs[key] | verdict)
            path.unlink()


def _fault(path: Path) -> str:
    kept: Mapping[str, Any] = pickle.loads(path.read_bytes())  # noqa: S301 - our own
    log = make_log(kept["source"], kept["partitions"])
    if kept["journal"] is not None:
        return checks.replayed(log, kept["output"], kept["journal"])
    return checks.ended_well(
        log,
        kept["output"],
        kept["guarantee"],
        partitions_by_order=kept["partitions_by_order"],
    )
