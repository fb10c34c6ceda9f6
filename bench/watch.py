"""Look at a run twenty times a second: how far the group is, and who used the processors.

Progress is the sum of the offsets that the group has committed. A figure is taken between the first
look that saw a tenth of the log done and the last that saw nine tenths.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from confluent_kafka import Consumer, KafkaException, TopicPartition

from bench.stage import OTHER_CORE, SYSTEM_CORE

if TYPE_CHECKING:
    from bench.stage import Log, Running, Stage

_LOOK_SECONDS: Final = 0.05
_TICKS: Final = os.sysconf("SC_CLK_TCK")
_PAGE_BYTES: Final = os.sysconf("SC_PAGE_SIZE")
#: More of a core than this used by others, or stolen by the host, and the run does not count.
FOREIGN_MAX: Final = 0.10
STOLEN_MAX: Final = 0.02
#: From here on the broker's core is what limits.
SATURATED: Final = 0.95


class Look(NamedTuple):
    """What one look saw; all but `at` and `rss_bytes` are counters."""

    at: float
    done: int
    system_seconds: float
    broker_seconds: float
    own_seconds: float
    busy_seconds: tuple[float, ...]
    """By core."""
    stolen_seconds: float
    broker_bytes: int
    """That the broker read and wrote, files and sockets."""
    broker_calls: int
    rss_bytes: int


class Watch(threading.Thread):
    """Looks until told to stop; `wait` until the group has reached the end."""

    def __init__(
        self, stage: Stage, running: Running, log: Log, further_pids: Sequence[int] = ()
    ) -> None:
        """Look at `running`, and at what else belongs to the system, if it is more than one process."""
        super().__init__(daemon=True)
        self._further_pids = further_pids
        self.looks: list[Look] = []
        self.total = sum(log.ends.values())
        self._running = running
        self._broker = stage.kafka.pid
        self._ended = threading.Event()
        self._places = [TopicPartition(topic, number) for topic, number in log.ends]
        # Uncommitted: offsets that wait for a transaction's end are not waited for.
        self._consumer = Consumer(
            {
                "bootstrap.servers": stage.servers,
                "group.id": running.group,
                "isolation.level": "read_uncommitted",
                "enable.auto.commit": False,
            }
        )

    @property
    def done(self) -> int:
        """How many records the group had taken at the last look."""
        return self.looks[-1].done if self.looks else 0

    def run(self) -> None:
        """Look and look again."""
        while not self._ended.is_set():
            started = time.monotonic()
            with contextlib.suppress(KafkaException, OSError):
                self.looks.append(self._look())
            self._ended.wait(max(0.0, started + _LOOK_SECONDS - time.monotonic()))
        self._consumer.close()

    def wait(self, timeout_seconds: float, done: int | None = None) -> bool:
        """Wait until so many records are done, all by default; tell whether it came to that."""
        wanted = self.total if done is None else done
        deadline = time.monotonic() + timeout_seconds
        while self.done < wanted:
            if time.monotonic() > deadline or not self._running.alive:
                return False
            time.sleep(_LOOK_SECONDS)
        return True

    def stop(self) -> None:
        """Look no more."""
        self._ended.set()
        self.join()

    def _look(self) -> Look:
        committed = self._consumer.committed(self._places, timeout=5)
        roots = [self._running.pid, *self._further_pids]
        tree = [pid for root in roots for pid in _tree(root)]
        broker_bytes, broker_calls = _io(self._broker)
        busy, stolen = _cores()
        return Look(
            time.monotonic(),
            sum(max(0, place.offset) for place in committed),
            sum(_cpu_seconds(pid) for pid in tree),
            _cpu_seconds(self._broker),
            _cpu_seconds(os.getpid())
            + sum(_cpu_seconds(x) for x in _tree(os.getpid())[1:])
            - sum(_cpu_seconds(x) for x in [*tree, self._broker]),
            busy,
            stolen,
            broker_bytes,
            broker_calls,
            sum(_rss_bytes(pid) for pid in tree),
        )


def over_middle(looks: list[Look], total: int) -> dict[str, float | int | list[str]]:
    """Measure between a tenth and nine tenths of `total` records."""
    first = next(look for look in looks if look.done >= total * 0.1)
    last = [look for look in looks if look.done <= total * 0.9][-1:]
    if not last or last[0].at <= first.at or last[0].done == first.done:
        return {"invalid": ["it was through with the log between two looks"]}
    return between(first, last[0]) | {"rss_peak_mib": peak_mib(looks)}


def peak_mib(looks: list[Look]) -> float:
    """Give the most memory that was seen."""
    return round(max(look.rss_bytes for look in looks) / 2**20, 1)


def between(first: Look, last: Look) -> dict[str, float | int | list[str]]:
    """Say what happened between two looks, and what speaks against counting it."""
    seconds, done = last.at - first.at, max(1, last.done - first.done)
    busy = [
        after - before for before, after in zip(first.busy_seconds, last.busy_seconds, strict=True)
    ]
    system, broker, own = (
        last.system_seconds - first.system_seconds,
        last.broker_seconds - first.broker_seconds,
        last.own_seconds - first.own_seconds,
    )
    foreign = max(0.0, (sum(busy) - system - broker - own) / seconds)
    stolen = (last.stolen_seconds - first.stolen_seconds) / seconds
    other_core = busy[OTHER_CORE] / seconds
    invalid = []
    if other_core >= SATURATED:
        invalid.append(f"the broker's core was {other_core:.0%} busy")
    if foreign > FOREIGN_MAX:
        invalid.append(f"others used {foreign:.0%} of a core")
    if stolen > STOLEN_MAX:
        invalid.append(f"the host took {stolen:.0%} of a core")
    return {
        "events_per_second": round(done / seconds),
        "cpu_us_per_event": round(system / done * 1e6, 2),
        "broker_cpu_us_per_event": round(broker / done * 1e6, 2),
        "broker_bytes_per_event": round((last.broker_bytes - first.broker_bytes) / done),
        "broker_calls_per_event": round((last.broker_calls - first.broker_calls) / done, 3),
        "system_core_busy": round(busy[SYSTEM_CORE] / seconds, 3),
        "other_core_busy": round(other_core, 3),
        "foreign_cores": round(foreign, 3),
        "stolen_cores": round(stolen, 3),
        "seconds": round(seconds, 2),
        "invalid": invalid,
    }


# ---- /proc


def _tree(pid: int) -> list[int]:
    """Give a process and all that descend from it."""
    found = [pid]
    for each in found:
        with contextlib.suppress(OSError):
            for thread in Path(f"/proc/{each}/task").iterdir():
                found += map(int, (thread / "children").read_text().split())
    return found


def _cpu_seconds(pid: int) -> float:
    """CPU of a process and of its children that have ended."""
    with contextlib.suppress(OSError):
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return sum(map(int, fields[11:15])) / _TICKS
    return 0.0


def _rss_bytes(pid: int) -> int:
    with contextlib.suppress(OSError):
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * _PAGE_BYTES
    return 0


def _io(pid: int) -> tuple[int, int]:
    """Bytes and calls of read and write."""
    found = dict(line.split(": ") for line in Path(f"/proc/{pid}/io").read_text().splitlines())
    values = {name: int(value) for name, value in found.items()}
    return values["rchar"] + values["wchar"], values["syscr"] + values["syscw"]


def _cores() -> tuple[tuple[float, ...], float]:
    """Give the busy seconds of each core, and what the host has taken from all."""
    busy, stolen = [], 0
    for line in Path("/proc/stat").read_text().splitlines():
        if line.startswith("cpu") and line[3] != " ":
            user, nice, system, _, _, irq, softirq, steal = map(int, line.split()[1:9])
            busy.append((user + nice + system + irq + softirq) / _TICKS)
            stolen += steal
    return tuple(busy), stolen / _TICKS
