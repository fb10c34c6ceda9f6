"""Rows of what is stored: a full disk, records that nobody should send, one studio with all the load."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path

from processor.localkafka import LocalKafka, free_port
from processor.runtime.failstop import EXIT_FAILSTOP, EXIT_UNAVAILABLE
from processor.simulator import Settings, simulate
from tests.broker.fleet import Fleet, Item, items_of
from tests.faults.rows import NotRun, Row
from tests.faults.sending import RETENTION, Sending
from tests.faults.sizes import Sizes
from tests.faults.stage import PARTITIONS, Stage, ask_the_product, under_load
from tests.support.processes import wait_until

_MEBIBYTE = 1 << 20
_MOUNT = shutil.which("mount") or "mount"
_UNMOUNT = shutil.which("umount") or "umount"
_START_US = 1_577_865_600_000_000
_MANY = 300_000
#: What a worker may take that holds next to nothing: buffers are bounded, a backlog stays in Kafka.
_MOST_MEBIBYTES = 600.0


@contextmanager
def small_disk(at: Path, mebibytes: int) -> Iterator[Path]:
    """Mount a file system of that size."""
    at.mkdir()
    if os.geteuid() != 0:
        raise NotRun("a small file system needs root")
    made = subprocess.run(
        [_MOUNT, "-t", "tmpfs", "-o", f"size={mebibytes}m", "tmpfs", str(at)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if made.returncode:
        raise NotRun(f"the kernel refuses to mount: {made.stderr}")
    try:
        yield at
    finally:
        subprocess.run([_UNMOUNT, "--lazy", str(at)], check=True)


def _disk_full(stage: Stage) -> None:
    with (
        small_disk(stage.directory / "disk", 400) as disk,
        LocalKafka(port=free_port(), data_dir=disk / "kafka") as kafka,
        under_load(
            stage, kafka.bootstrap_servers, lawful_ends=(EXIT_FAILSTOP, EXIT_UNAVAILABLE)
        ) as act,
    ):
        for _ in range(stage.times(3, 1)):
            ballast = disk / "ballast"
            _fill(ballast)
            wait_until(lambda: not kafka.running, 90, every=0.5)
            stage.did("the broker's disk was full, and the broker ended")
            ballast.unlink()
            kafka.kill()
            kafka.start()
            act.catch_up(within=120)


def _fill(ballast: Path) -> None:
    """Write until nothing more fits."""
    with ballast.open("wb", buffering=0) as file:
        for size in (_MEBIBYTE, 4096):
            try:
                while True:
                    file.write(b"\x00" * size)
            except OSError:
                continue


def _records(stage: Stage, events: int, **settings: object) -> list[Item]:
    base = Settings(
        seed=stage.result.seed, events_per_second=1_000, start_us=_START_US, trouble=4,
        **settings,  # type: ignore[arg-type]
    )  # fmt: skip
    return items_of(islice(simulate(base), events), PARTITIONS)


def _hostile(stage: Stage) -> None:
    items = _records(
        stage, stage.times(6_000, 1_500), studios=60, orders_in_flight=400,
        malformed_share=0.5, oversized=True,
    )  # fmt: skip
    with (
        LocalKafka() as kafka,
        under_load(stage, kafka.bootstrap_servers, items=items, per_second=400) as act,
    ):
        _watch_memory(stage, act.fleet, lambda: act.load.sent == len(items))
    stage.did("a flood of malformed and oversized records, and of lab transfers")
    stage.note(
        f"{stage.result.rejected:,} of {len(items):,} records were rejected, none stopped a worker."
    )


def _hot_studio(stage: Stage) -> None:
    """So few that both judges have the patience, and then so many that they do not fit into a worker."""
    items = _records(stage, stage.times(6_000, 1_500), studios=1, orders_in_flight=200)
    with LocalKafka() as kafka:
        with under_load(stage, kafka.bootstrap_servers, items=items, per_second=1e6) as act:
            _watch_memory(stage, act.fleet, lambda: act.load.sent == len(items))
        stage.did(f"{len(items):,} records at once, all of one studio")
        if not stage.result.quick:
            _hot_and_many(stage, kafka.bootstrap_servers)


def _hot_and_many(stage: Stage, servers: str) -> None:
    prefix = f"{stage.prefix}many-"
    fleet = Fleet(
        servers, prefix, stage.directory,
        partitions=PARTITIONS, create_time=True, environment=RETENTION,
    )  # fmt: skip
    place = servers, prefix, PARTITIONS, stage.result.seed, stage.directory, 1
    try:
        with Sending(*place) as sending:
            for name in ("w0", "w1"):
                fleet.start(name)
            sending.send(_MANY)
            _watch_memory(stage, fleet, lambda: sending.done)
        fleet.stop()
        stage.result.inputs += fleet.view.applied()
        ask_the_product(stage, servers, prefix, environment=RETENTION, within=900)
    finally:
        fleet.end()
    stage.did(f"{_MANY:,} records at once, all of one studio, judged by `orderhalt verify` alone")


def _watch_memory(stage: Stage, fleet: Fleet, sent: Callable[[], bool]) -> None:
    """Judge how much memory the workers take at most until all records are applied."""
    sizes = Sizes()

    def done() -> bool:
        sizes.look(fleet.pids())
        return sent() and fleet.view.lag() == 0

    fleet.wait(done, "all records to be applied", within=900)
    most = sizes.most_mebibytes()
    stage.note(f"The larger of the two workers took at most {most:.0f} MiB.")
    if most > _MOST_MEBIBYTES:
        stage.result.problems.append(f"a worker took {most:.0f} MiB")


ROWS = [
    Row("disk-full", "The disk under the broker is full", _disk_full),
    Row("hostile", "Malformed, oversized and hostile records among few good ones", _hostile),
    Row("hot-studio", "One studio has all the load, at full rate", _hot_studio),
]
