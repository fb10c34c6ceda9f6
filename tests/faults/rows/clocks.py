"""Rows of clocks: a worker's own is a day off, or records come from the future."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from processor.localkafka import LocalKafka
from tests.broker.fleet import Different, Fleet
from tests.faults.rows import NotRun, Row
from tests.faults.stage import Stage, under_load
from tests.support.processes import ROOT

_SHARED = Path("/dev/shm")  # noqa: S108 - where libfaketime makes what it shares
_YEAR_MS = 365 * 86_400_000
_WHERE = ("/usr/lib", str(ROOT / ".debian/usr/lib"))


def _library() -> Path:
    """Find libfaketime, which gives a process another clock."""
    for root in _WHERE:
        for found in Path(root).glob("*/faketime/libfaketimeMT.so.1"):
            return found
    raise NotRun("there is no libfaketime: `.ci/debian-unpack .debian libfaketime`")


@contextmanager
def _tidied_up() -> Iterator[None]:
    """Remove the shared memory that libfaketime leaves behind."""
    before = set(_SHARED.glob("*faketime_*"))
    try:
        yield
    finally:
        for left in set(_SHARED.glob("*faketime_*")) - before:
            left.unlink(missing_ok=True)


def _clock_off(stage: Stage) -> None:
    library = _library()

    def prepare(fleet: Fleet) -> None:
        for name, offset in (("w0", "+1d"), ("w1", "-1d")):
            clock = {
                "LD_PRELOAD": str(library),
                "FAKETIME": offset,
                "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            }
            fleet.differently[name] = Different(environment=clock)

    items = stage.items(stage.times(4_000, 1_000))
    with (
        _tidied_up(),
        LocalKafka() as kafka,
        under_load(
            stage, kafka.bootstrap_servers, items=items, per_second=200, prepare=prepare
        ) as act,
    ):
        act.fleet.wait(lambda: act.load.sent == len(items), "all to be sent")
        act.catch_up()
        stage.did("one worker's clock a day ahead, the other's a day behind")


def _future(stage: Stage) -> None:
    """Every tenth record says that it is from decades ahead; the topics stamp them by the broker's clock."""
    items = [
        item._replace(timestamp=item.timestamp + 30 * _YEAR_MS) if number % 10 == 0 else item
        for number, item in enumerate(stage.items(stage.times(4_000, 1_000)))
    ]
    with (
        LocalKafka() as kafka,
        under_load(stage, kafka.bootstrap_servers, items=items, per_second=200) as act,
    ):
        act.fleet.wait(lambda: act.load.sent == len(items), "all to be sent")
        act.catch_up()
        stage.did(f"{len(items) // 10} records with timestamps of decades ahead")
    stage.note("Inputs are LogAppendTime, so the producer's timestamp counts for nothing.")


ROWS = [
    Row("clock-off", "The workers' clocks are a day off (libfaketime)", _clock_off),
    Row("future", "Records come with timestamps from the future", _future),
]
