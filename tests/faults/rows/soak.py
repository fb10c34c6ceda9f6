"""The soak: faults of many kinds at random, at 70 % of what the fleet can do.

For as long as `ORDERHALT_SOAK_MINUTES` says (30).
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from processor.localkafka import LocalKafka
from processor.runtime.failstop import EXIT_FAILSTOP, EXIT_UNAVAILABLE
from tests.broker.fleet import Different, Fleet
from tests.faults.brokers import proxied_kafka
from tests.faults.proxy import TRANSACTION, Api, Fault, Harm, Proxy
from tests.faults.rows import Row
from tests.faults.sending import RECORDS_A_DAY, RETENTION, Sending
from tests.faults.sizes import Sizes, slope
from tests.faults.stage import PARTITIONS, Stage, ask_the_product
from tests.faults.stall import StallWatch

_SHARE: Final = 0.7
_MEANWHILE_PER_SECOND: Final = 4_000.0
_WORKERS: Final = ("w0", "w1", "w2")
#: Comes to the broker directly and is not harmed by itself, so that its memory can be judged over a
#: long life; what happens to the others and to the broker reaches it all the same.
_SPARED: Final = "w2"
#: Harm, and how often it comes, relative to the others.
_WEIGHTS: Final = {"kill": 6, "freeze": 3, "answer": 8, "latency": 2, "cut": 2, "broker": 1}
#: The broker's end may end all workers: not after this share of the records.
_BROKER_UNTIL: Final = 0.4
#: From here on a verification of what is there runs beside the rest, and the last one begins there.
_VERIFY_FROM: Final = 0.6
_LOOK_EVERY_SECONDS: Final = 2.0
#: Above it the memory is not flat, in parts of what the worker takes, a minute.
_MOST_RISE: Final = 0.005
_MOST_MORE_DESCRIPTORS: Final = 20
_PATIENCE_SECONDS: Final = 900.0
#: The sender is told what to send so far ahead, and waits while so much has not been applied.
_STRETCH_SECONDS: Final = 10.0
_MOST_LAG_SECONDS: Final = 60.0


@dataclass
class _Soak:
    """What the harm is done to, and what was seen."""

    stage: Stage
    fleet: Fleet
    kafka: LocalKafka
    proxy: Proxy
    sending: Sending
    sizes: Sizes = field(default_factory=Sizes)
    looked: float = field(default_factory=time.monotonic)
    sent: int = 0
    still_seconds: float = 0.0
    """For so long nothing was sent."""
    largest_lag: int = 0
    rate: float = 0.0
    left: int = 0
    """Records that the sender was not asked for yet."""
    verifying: Future[None] | None = None
    """Verifies what is there after two thirds, while the rest goes on."""

    def wait(self, condition: Callable[[], bool], what: str) -> None:
        """Wait, restart who has ended, and look at memory and lag now and then."""

        def done() -> bool:
            if time.monotonic() > self.looked + _LOOK_EVERY_SECONDS:
                self._look()
            return condition()

        self.fleet.wait(done, what, within=_PATIENCE_SECONDS)

    @property
    def snapshot(self) -> Path:
        """What `orderhalt verify` keeps of its first look."""
        return self.stage.directory / "snapshot"

    def _look(self) -> None:
        before, self.looked = self.looked, time.monotonic()
        sent, self.sent = self.sent, self.sending.sent
        self.still_seconds += self.looked - before if self.sent == sent else 0.0
        self.sizes.look(self.fleet.pids())
        lag = self.fleet.view.lag()
        self.largest_lag = max(self.largest_lag, lag)
        # Where the machine is another's, what was 70 % of the capacity may be more than all of it.
        if lag < _MOST_LAG_SECONDS * self.rate:
            self._feed()

    def _feed(self) -> None:
        stretch = int(_STRETCH_SECONDS * self.rate)
        while self.left and self.sending.wanted - self.sending.sent < 2 * stretch:
            count = min(self.left, stretch)
            self.sending.send(count, self.rate)
            self.left -= count

    @property
    def done(self) -> bool:
        """Whether all is sent."""
        return not self.left and self.sending.done

    def progress(self, records: float) -> None:
        """Wait until all are at work and so many records more are applied, or all are sent.

        Counted in records, not by the clock: nothing is harmed while nothing is sent.
        """
        for name in _WORKERS:
            self.wait(lambda name=name: self.fleet.owned(name) is not None, f"{name} to be at work")  # type: ignore[misc]
        wanted = self.fleet.view.applied() + records
        self.wait(
            lambda: self.done or self.fleet.view.applied() >= wanted, "records to be applied"
        )  # fmt: skip

    def harm(self, name: str) -> str:
        """Do one harm; say what it was."""
        chance, fleet = self.stage.chance, self.fleet
        harmed = chance.choice([worker for worker in _WORKERS if worker != _SPARED])
        match name:
            case "kill":
                fleet.kill(harmed)
                return "kill -9 of a worker"
            case "freeze":
                fleet.send(harmed, signal.SIGSTOP)
                time.sleep(chance.uniform(0.5, 9))  # how long it is frozen is what is drawn
                fleet.send(harmed, signal.SIGCONT)
                return "SIGSTOP for up to 9 s"
            case "answer":
                return self._harm_answer()
            case "latency":
                self.proxy.latency_seconds = 0.1
                time.sleep(chance.uniform(1, 5))
                self.proxy.latency_seconds = 0.0
                return "100 ms latency for up to 5 s"
            case "cut":
                self.proxy.cut_off(chance.uniform(1, 12))
                return "two workers cut off for up to 12 s"
            case _:
                self.kafka.kill()
                self.kafka.start()
                return "the broker killed and started"

    def _harm_answer(self) -> str:
        chance = self.stage.chance
        harm = chance.choice([Harm.ANSWER_CUT, Harm.ANSWER_LATE, Harm.ANSWER_DROPPED])
        # InitProducerId comes only with a recovery.
        api = chance.choice([api for api in TRANSACTION if api is not Api.INIT_PRODUCER_ID])
        fault = self.proxy.inflict(Fault(api, harm, 2.0))
        self.wait(fault.over.is_set, f"{harm} of {api}")
        return "an answer of a transaction cut, 2 s late, or dropped"


def _soak(stage: Stage) -> None:
    minutes = 1.0 if stage.result.quick else float(os.environ.get("ORDERHALT_SOAK_MINUTES", "30"))
    broker: dict[str, Any] = {"heap_mebibytes": 800, "quick_start": False}
    with proxied_kafka(**broker) as (kafka, proxy):
        servers = kafka.bootstrap_servers
        fleet = Fleet(
            servers,
            stage.prefix,
            stage.directory,
            partitions=PARTITIONS,
            create_time=True,
            worker_servers=proxy.address,
            environment=RETENTION,
            lawful_ends=(EXIT_FAILSTOP, EXIT_UNAVAILABLE),
        )
        fleet.differently[_SPARED] = Different(servers=servers)
        place = servers, stage.prefix, PARTITIONS, stage.result.seed, stage.directory
        try:
            with ThreadPoolExecutor(2) as pool:
                with Sending(*place) as sending:
                    soak = _Soak(stage, fleet, kafka, proxy, sending)
                    _play(soak, minutes, pool)
                    fleet.wait_until_applied()
                    sent = sending.sent
                _judge(soak, sent, pool)
        finally:
            fleet.end()
            stage.result.deaths = dict(fleet.deaths)


def _verify(soak: _Soak, *options: str) -> None:
    view = soak.fleet.view
    ask_the_product(
        soak.stage, view.servers, view.prefix, environment=RETENTION, options=options, within=7_200
    )  # fmt: skip


def _play(soak: _Soak, minutes: float, pool: ThreadPoolExecutor) -> None:
    """Measure, then send at a part of that while harm is done."""
    stage, fleet, sending = soak.stage, soak.fleet, soak.sending
    capacity = _capacity(soak, stage.times(200_000, 40_000))
    rate = _SHARE * capacity
    before, wanted = sending.sent, int(rate * minutes * 60)
    stage.say(f"capacity {capacity:,.0f} records/s; {wanted:,} records at {rate:,.0f}/s")
    watch = StallWatch(fleet.view)
    watch.start()
    started = soak.looked = time.monotonic()
    soak.still_seconds, soak.largest_lag = 0.0, 0
    soak.rate, soak.left = rate, wanted
    while not soak.done:
        passed = (sending.sent - before) / wanted
        weights = {**_WEIGHTS, "broker": _WEIGHTS["broker"] if passed < _BROKER_UNTIL else 0}
        [name] = stage.chance.choices(list(weights), list(weights.values()))
        if passed > _VERIFY_FROM and soak.verifying is None:
            soak.verifying = pool.submit(_verify, soak, "--write-snapshot", str(soak.snapshot))
        stage.did(soak.harm(name))
        soak.progress(rate * stage.chance.uniform(3, 15))
        stage.say(f"{passed:.0%}: {sending.sent:,} sent, lag {fleet.view.lag():,}; {_sizes(soak)}")
    seconds = time.monotonic() - started
    still, sending_seconds = soak.still_seconds, seconds - soak.still_seconds
    stage.result.longest_stall_seconds = watch.finish()
    stage.note(
        f"With sender and others at work the fleet drained a backlog at {capacity:,.0f} records/s. "
        f"{wanted:,} records were sent in "
        f"{seconds / 60:.1f} minutes, in which nothing was sent for {still / 60:.1f} (the broker was "
        f"down, or {_MOST_LAG_SECONDS:.0f} s of them waited, for the machine was another's); else {wanted / sending_seconds:,.0f}/s. Largest lag "
        f"{soak.largest_lag:,}, {soak.largest_lag / rate:.0f} s of them; {fleet.view.lag():,} when the "
        "last had been sent, 0 in the end."
    )


def _capacity(soak: _Soak, records: int) -> float:
    """Send a backlog, start the workers and give the records a second of its middle 80 %.

    The sender goes on meanwhile, for it shares the machine.
    """
    soak.sending.send(records)
    soak.fleet.wait(lambda: soak.sending.done, "the backlog to be sent", within=300)
    for name in _WORKERS:
        soak.fleet.start(name)
    soak.sending.send(records, _MEANWHILE_PER_SECOND)
    times = []
    for part in (0.1, 0.9):
        at = part * records
        soak.fleet.wait(
            lambda at=at: soak.fleet.view.applied() >= at,  # type: ignore[misc]
            "the backlog to be applied", within=600,
        )  # fmt: skip
        times.append((time.monotonic(), soak.fleet.view.applied()))
    soak.fleet.wait(lambda: soak.sending.done, "the rest of the backlog to be sent", within=300)
    soak.fleet.wait_until_applied()
    (began, first), (ended, last) = times
    return (last - first) / (ended - began)


def _sizes(soak: _Soak) -> str:
    return ", ".join(
        f"{life[-1].mebibytes:.0f} MiB {life[-1].descriptors} fds"
        for life in soak.sizes.lives.values()
        if life[-1].minutes > soak.sizes.minutes() - 0.2
    )


def _judge(soak: _Soak, sent: int, pool: ThreadPoolExecutor) -> None:
    """Count, judge memory and descriptors, and let `orderhalt verify` replay everything."""
    stage, view = soak.stage, soak.fleet.view
    applied = view.applied()
    # More may be there than were sent: a producer that was frozen may have repeated some.
    if applied < sent or view.lag():
        stage.result.problems.append(f"{sent} records sent, {applied} applied, lag {view.lag()}")
    stage.note(f"{sent:,} records were sent, {applied:,} came and were applied.")
    stage.result.inputs = applied
    soak.fleet.stop()
    _judge_sizes(stage, soak.sizes)
    started = time.monotonic()

    if soak.verifying is not None:
        soak.verifying.result()
    since = ["--snapshot", str(soak.snapshot)] if soak.snapshot.exists() else []
    parts = [["--partition", str(partition), *since] for partition in range(PARTITIONS)]
    list(pool.map(lambda part: _verify(soak, *part), parts))
    stage.note(
        f"Judged by `orderhalt verify`: after {_VERIFY_FROM:.0%}, beside the rest, and from its snapshot "
        f"on in the end, {time.monotonic() - started:.0f} s. The model is too slow for so many. A day of "
        f"the simulated shops is {RECORDS_A_DAY:,} records, and everything is forgotten "
        "after a day, so that the state comes to a plateau. The broker was killed only in the first "
        f"{_BROKER_UNTIL:.0%}."
    )


def _judge_sizes(stage: Stage, sizes: Sizes) -> None:
    """Judge memory and descriptors of the worker that lived longest."""
    life = sizes.longest_life()
    first, last, rising = life[0], life[-1], slope(life)
    half = life[len(life) // 2 :]
    stage.note(
        f"The worker that lived longest, {last.minutes - first.minutes:.1f} minutes: "
        f"{half[0].mebibytes:.0f} MiB after half of it, {last.mebibytes:.0f} MiB at its end, "
        f"{max(s.mebibytes for s in life):.0f} at most; in the second half {rising:+.2f} MiB a minute. "
        f"Descriptors: {first.descriptors} at first, {last.descriptors} at its end, "
        f"{max(s.descriptors for s in life)} at most."
    )
    if stage.result.quick:
        return  # It did not live long enough to tell.
    if rising > _MOST_RISE * last.mebibytes:
        stage.result.problems.append(f"memory rises by {rising:.1f} MiB a minute")
    if last.descriptors > half[0].descriptors + _MOST_MORE_DESCRIPTORS:
        stage.result.problems.append(
            f"descriptors: {half[0].descriptors} after half a life, later {last.descriptors}"
        )


ROWS = [Row("soak", "Faults of many kinds at random, at 70 % of capacity", _soak)]
