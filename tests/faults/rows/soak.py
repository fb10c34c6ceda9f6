"""The soak: faults of many kinds at random, for as long as `ORDERHALT_SOAK_MINUTES` says."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from typing import Any, Final

from processor.localkafka import LocalKafka
from processor.runtime.failstop import EXIT_FAILSTOP, EXIT_UNAVAILABLE
from tests.faults.brokers import proxied_kafka
from tests.faults.proxy import TRANSACTION, Fault, Harm, Proxy
from tests.faults.rows import Row
from tests.faults.sizes import Sizes, slope
from tests.faults.stage import Act, Stage, under_load

_PER_SECOND: Final = 60.0
_WORKERS: Final = ("w0", "w1", "w2")
#: Harm, and how often it comes, relative to the others.
_WEIGHTS: Final = {"kill": 6, "freeze": 3, "answer": 8, "broker": 1}
#: What the state of more orders, and an allocator, may take; a leak of every transaction is more.
_MOST_MEBIBYTES_A_MINUTE: Final = 5.0
_MOST_MORE_DESCRIPTORS: Final = 20


class Harms:
    """What may be done."""

    def __init__(self, stage: Stage, act: Act, kafka: LocalKafka, proxy: Proxy) -> None:
        self._chance, self._fleet = stage.chance, act.fleet
        self._kafka, self._proxy = kafka, proxy
        self.by_name: dict[str, Callable[[], str]] = {
            "kill": self._kill,
            "freeze": self._freeze,
            "answer": self._answer,
            "broker": self._broker,
        }

    def _kill(self) -> str:
        self._fleet.kill(self._chance.choice(_WORKERS[:2]))
        return "kill -9 of a worker"

    def _freeze(self) -> str:
        self._fleet.send("w0", signal.SIGSTOP)
        time.sleep(self._chance.uniform(0.5, 9))  # how long it is frozen is what is drawn
        self._fleet.send("w0", signal.SIGCONT)
        return "SIGSTOP for up to 9 s"

    def _answer(self) -> str:
        harm = self._chance.choice([Harm.ANSWER_CUT, Harm.ANSWER_LATE, Harm.ANSWER_DROPPED])
        # InitProducerId, the second, comes only with a recovery.
        api = self._chance.choice([api for api in TRANSACTION if api.name != "INIT_PRODUCER_ID"])
        fault = self._proxy.inflict(Fault(api, harm, 2.0))
        self._fleet.wait(fault.over.is_set, f"{harm} of {api}")
        return "an answer of a transaction cut, 2 s late, or dropped"

    def _broker(self) -> str:
        self._kafka.kill()
        self._kafka.start()
        return "the broker killed and started"


def _soak(stage: Stage) -> None:
    minutes = 0.5 if stage.result.quick else float(os.environ.get("ORDERHALT_SOAK_MINUTES", "4"))
    sizes = Sizes()
    with proxied_kafka() as (kafka, proxy):
        options: dict[str, Any] = {
            "worker_servers": proxy.address,
            "workers": _WORKERS,
            "per_second": _PER_SECOND,
            "lawful_ends": (EXIT_FAILSTOP, EXIT_UNAVAILABLE),
        }
        with under_load(stage, kafka.bootstrap_servers, **options) as act:
            harms = Harms(stage, act, kafka, proxy).by_name
            ends = time.monotonic() + 60 * minutes
            while time.monotonic() < ends:
                [name] = stage.chance.choices(list(_WEIGHTS), list(_WEIGHTS.values()))
                stage.did(harms[name]())
                act.catch_up(within=180)
                sizes.look(act.fleet.pids())
    stage.note(f"{minutes:g} minutes at {_PER_SECOND:.0f} records/s, which is far below capacity.")
    _judge(stage, sizes)


def _judge(stage: Stage, sizes: Sizes) -> None:
    """Judge memory and descriptors of the worker that lived longest."""
    life = sizes.longest_life()
    first, last, rising = life[0], life[-1], slope(life)
    stage.note(
        f"The worker that lived longest, {last.minutes - first.minutes:.1f} minutes: from "
        f"{first.mebibytes:.0f} to {last.mebibytes:.0f} MiB, in the second half {rising:+.1f} MiB a "
        f"minute; from {first.descriptors} to {last.descriptors} descriptors."
    )
    if rising > _MOST_MEBIBYTES_A_MINUTE:
        stage.result.problems.append(f"memory rises by {rising:.1f} MiB a minute")
    if last.descriptors > first.descriptors + _MOST_MORE_DESCRIPTORS:
        stage.result.problems.append(f"descriptors: {first.descriptors}, later {last.descriptors}")


ROWS = [Row("soak", "Faults of many kinds at random", _soak)]
