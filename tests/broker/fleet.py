"""A deployment of the product under fire: topics, producers, workers that are killed and come back.

Workers are `orderhalt worker` processes with static membership, so that one which is killed and comes
back at once keeps its partitions; a `guest` has none, so that its coming and going moves partitions.
"""

from __future__ import annotations

import asyncio
import functools
import re
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, NewTopic

from processor import topicadmin
from processor.config import load
from processor.runtime.failstop import EXIT_FAILSTOP, EXIT_UNAVAILABLE
from processor.simulator.records import Record
from schemas import topics
from tests.broker.evidence import Headers, View
from tests.model import partition_of
from tests.support.processes import Worker, wait_until

_READY_WITHIN_SECONDS = 60.0
_TICK_SECONDS = 0.02
_TRICKLE_PER_SECOND = 50
#: Above the 1 MiB that an event may have, so that larger ones reach a worker and are rejected.
_INPUT_MAX_BYTES = 3 << 19
_ENDS = {EXIT_FAILSTOP: "fail-stop", EXIT_UNAVAILABLE: "Kafka unavailable at the start"}
_READY = re.compile(r"Ready with partitions \[([0-9, ]*)\]")


class Item(NamedTuple):
    """One record to send; `topic` without prefix."""

    topic: str
    partition: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: Headers = ()


def items_of(records: Iterable[Record], partitions: int) -> list[Item]:
    """Give simulated records as they are to be sent."""
    return [
        Item(
            record.topic,
            (partition_of(record.key or b"", partitions) + record.partition_shift) % partitions,
            record.timestamp_ms,
            record.key,
            record.value,
        )
        for record in records
    ]


class Different(NamedTuple):
    """How a worker is started that is not like the others."""

    servers: str = ""
    module: str = "processor.cli"
    options: tuple[str, ...] = ()
    """Of the module, before the command."""
    environment: Mapping[str, str] = MappingProxyType({})
    under: tuple[str, ...] = ()
    """The command that runs it, such as `ip netns exec NAME`."""


class Fleet:
    """Topics of their own, and the workers of a consumer group."""

    def __init__(
        self,
        servers: str,
        prefix: str,
        directory: Path,
        *,
        partitions: int,
        create_time: bool = False,
        environment: Mapping[str, str] | None = None,
        worker_servers: str = "",
        replication: int = 1,
        lawful_ends: Collection[int] = (EXIT_FAILSTOP,),
    ) -> None:
        """Create the topics; `create_time`: input records keep the timestamps they are sent with.

        `worker_servers`: where workers find Kafka, if elsewhere than those who feed and judge them.
        `lawful_ends`: with these codes a worker may end by itself, and is started again.
        """
        self.view = View(servers, prefix, partitions, f"{prefix}orderhalt")
        self.deaths: Counter[str] = Counter()
        """How workers ended, and how often."""
        self.differently: dict[str, Different] = {}
        """Workers that are not started like the others."""
        self._servers = servers
        self._worker_servers = worker_servers or servers
        self._lawful_ends = lawful_ends
        self._prefix = prefix
        self._directory = directory
        self._workers: dict[str, Worker] = {}
        self._ended: list[Worker] = []
        self._lives: Counter[str] = Counter()
        self._environment = {
            "ORDERHALT_ALLOW_CREATE_TIME": str(create_time).lower(),
            **(environment or {}),
        }
        config = {
            "max.message.bytes": str(_INPUT_MAX_BYTES),
            "message.timestamp.type": "CreateTime" if create_time else "LogAppendTime",
            # With the producers' clocks the records are years old: the broker would delete them.
            "retention.ms": "-1",
        }
        # Not altered afterwards: it takes a while until a broker goes by an altered setting.
        names = [self.view.name(topic) for topic in topics.INPUTS]
        _create_inputs(servers, names, partitions, replication, config)
        settings = load(bootstrap_servers=servers, topic_prefix=prefix)
        asyncio.run(topicadmin.create(settings, partitions, replication))

    # -- workers

    def start(
        self, name: str, *, static: bool = True, failpoints: str = "", instance_id: str = ""
    ) -> Worker:
        """Start a worker that is not running; its instance id is its name, unless given."""
        worker_of = self.differently.get(name, Different())
        assert name not in self._workers or not self._workers[name].running
        self._lives[name] += 1
        servers = worker_of.servers or self._worker_servers
        arguments = ["-m", worker_of.module, *worker_of.options, "worker"]
        arguments += ["--bootstrap-servers", servers, "--topic-prefix", self._prefix]
        if static:
            arguments += ["--instance-id", instance_id or name]
        log_path = self._directory / f"{self._prefix}{name}-{self._lives[name]}.log"
        environment = {
            **self._environment,
            **worker_of.environment,
            "ORDERHALT_FAILPOINTS": failpoints,
        }
        self._workers[name] = Worker(log_path, arguments, environment, under=worker_of.under)
        return self._workers[name]

    def start_ready(self, name: str, *, static: bool = True) -> Worker:
        """Start a worker and wait until it has partitions."""
        self.start(name, static=static)
        self.wait(lambda: self.owned(name) is not None, f"{name} to get partitions")
        return self._workers[name]

    def owned(self, name: str) -> frozenset[int] | None:
        """Give the partitions that a worker has said it is ready with; None before its first word."""
        said = _READY.findall(self._workers[name].log())
        return frozenset(int(p) for p in said[-1].split(",") if p.strip()) if said else None

    def pids(self) -> list[int]:
        """Give the process ids of the running workers."""
        return [worker.process.pid for worker in self._workers.values() if worker.running]

    def send(self, name: str, number: signal.Signals) -> None:
        """Send a worker a signal; one that has ended meanwhile gets none."""
        self._workers[name].send(number)

    def running(self, name: str) -> bool:
        """Tell whether a worker's process is alive."""
        return self._workers[name].running

    def kill(self, name: str) -> None:
        """Kill -9 and start again at once."""
        worker = self._workers[name]
        if worker.running:
            worker.kill()
            self.deaths["kill -9"] += 1
        self.start(name)

    def drop(self, name: str) -> None:
        """Kill -9 and do not start again."""
        worker = self._workers.pop(name)
        worker.kill()
        self.deaths["kill -9"] += 1
        self._ended.append(worker)

    def has(self, name: str) -> bool:
        """Tell whether there is a worker of this name, alive or to be started again."""
        return name in self._workers

    def die_at(self, points: Mapping[str, str], cause: Callable[[], None] = lambda: None) -> None:
        """Let workers die at fail points: name → point; `cause` then makes them pass it."""
        for name, point in points.items():
            worker = self._workers[name]
            if worker.running:
                worker.kill()
                self.deaths["kill -9"] += 1
            self.start(name, failpoints=point)
        cause()
        for name, point in points.items():
            self.wait(functools.partial(self._has_ended, name), f"{name} at {point}")
            kind = re.split("[@:]", point)[0]
            log = self._workers[name].log()
            assert f"fail point {kind}" in log, f"{name} did not die at {point}: {log[-2000:]}"
            self.deaths[f"fail point {kind}"] += 1
            self.start(name)

    def _has_ended(self, name: str) -> bool:
        return not self._workers[name].running

    def freeze(self, name: str) -> str:
        """SIGSTOP until others have all its partitions, then SIGCONT; say what the zombie did."""
        zombie = self._workers[name]
        zombie.send(signal.SIGSTOP)
        others = [other for other in self._workers if other != name]

        def taken() -> bool:
            owned = [self.owned(other) or frozenset() for other in others]
            return frozenset().union(*owned) >= frozenset(range(self.view.partitions))

        self.wait(taken, f"others to take over from {name}", spare=name)
        self.deaths["SIGSTOP beyond the session time-out"] += 1
        words = len(_READY.findall(zombie.log()))
        zombie.send(signal.SIGCONT)
        wait_until(
            lambda: not zombie.running or len(_READY.findall(zombie.log())) > words,
            _READY_WITHIN_SECONDS,
            lambda: zombie.log()[-3000:],
        )
        if zombie.running:
            return "rejoined"
        self._bury(name)
        self.start(name)
        return "exit 70"

    def leave(self, name: str) -> None:
        """SIGTERM: it commits, ends with 0 and does not come back."""
        worker = self._workers[name]
        code = worker.terminate(within=20)
        # One that was started a moment ago may not listen to signals yet, and owns nothing then.
        starting = code == -signal.SIGTERM and not _READY.search(worker.log())
        assert code == 0 or starting, f"{name} ended with {code}: {worker.log()[-2000:]}"
        self.deaths["SIGTERM"] += 1
        self._ended.append(self._workers.pop(name))

    def wait(
        self,
        condition: Callable[[], bool],
        what: str,
        *,
        spare: str | None = None,
        within: float = _READY_WITHIN_SECONDS,
    ) -> None:
        """Wait, and restart meanwhile who ends by itself, as a supervisor would."""

        def done() -> bool:
            for name, worker in list(self._workers.items()):
                if not worker.running and name != spare and not self._died_on_purpose(name):
                    self._bury(name)
                    self.start(name)
            return condition()

        def explain() -> str:
            tails = [f"{n}: {w.log()[-1500:]}" for n, w in self._workers.items()]
            return "\n".join([f"waiting for {what}; lag {self.view.lag()}", *tails])

        wait_until(done, within, explain)

    def _died_on_purpose(self, name: str) -> bool:
        return "orderhalt: fail point" in self._workers[name].log()

    def _bury(self, name: str) -> None:
        """Note the end of a worker that was not killed."""
        worker = self._workers[name]
        code = worker.wait()
        assert code in self._lawful_ends, f"{name} ended with {code}: {worker.log()[-3000:]}"
        self.deaths[f"{_ENDS.get(code, 'ended')}, exit {code}"] += 1
        self._ended.append(worker)

    def wait_until_applied(self) -> None:
        """Wait until no input is left; the time limit is for coming no further."""
        while self.view.lag():
            applied = self.view.applied()
            self.wait(functools.partial(self._is_beyond, applied), "inputs to be applied")

    def _is_beyond(self, applied: int) -> bool:
        return self.view.applied() > applied or not self.view.lag()

    def stop(self) -> None:
        """End all workers in good order."""
        for name in list(self._workers):
            self.leave(name)

    def end(self) -> None:
        """End all workers, those that are stopped too, and look no more."""
        for worker in self._workers.values():
            if worker.running:
                worker.kill()
        self.view.close()

    def log_tails(self) -> str:
        """Quote what the workers said last."""
        workers = [*self._ended, *self._workers.values()]
        return "\n".join(f"{w.log_path.name}:\n{w.log()[-2000:]}" for w in workers)

    # -- records

    @contextmanager
    def load(
        self,
        items: Sequence[Item],
        *,
        per_second: float,
        to_the_end: bool = True,
        spare: Iterator[Item] | None = None,
    ) -> Iterator[Load]:
        """Send records while the block runs, and the rest of them at its end; or only so many.

        `spare`: more of them, without end, that trickle in where the block outlasts `items`.
        """
        load = Load(self._servers, self._prefix, items, per_second, to_the_end, spare)
        load.start()
        try:
            yield load
        finally:
            load.finish()


def _create_inputs(
    servers: str,
    names: Sequence[str],
    partitions: int,
    replication: int,
    config: Mapping[str, str],
) -> None:
    admin = AdminClient({"bootstrap.servers": servers})
    wanted = [NewTopic(name, partitions, replication, config=dict(config)) for name in names]
    for future in admin.create_topics(wanted).values():
        future.result(20)


class Load(threading.Thread):
    """Sends records at a steady rate, as far as it is allowed to, and then at a trickle."""

    def __init__(
        self,
        servers: str,
        prefix: str,
        items: Sequence[Item],
        per_second: float,
        to_the_end: bool = True,
        spare: Iterator[Item] | None = None,
    ) -> None:
        super().__init__(name="load", daemon=True)
        self.sent = 0
        self.allowed = len(items)
        """So many records may go at the full rate: the harm that is planned needs the others."""
        self._prefix = prefix
        self._items = list(items)
        self._spare = spare
        self._per_second = per_second
        self._to_the_end = to_the_end
        self._finishing = threading.Event()
        self._error: BaseException | None = None
        self._acknowledged: set[tuple[str, int, int]] = set()
        self._producer = Producer(
            {
                "bootstrap.servers": servers,
                "enable.idempotence": True,
                "linger.ms": 5,
                # A batch must fit into what a topic takes, also one that ends with a large record.
                "message.max.bytes": _INPUT_MAX_BYTES - 64 * 1024,
            }
        )

    def run(self) -> None:
        """Send."""
        try:
            self._send_in_time()
            assert self._producer.flush(60) == 0, "the broker does not take the records"
        except BaseException as error:
            self._error = error
            raise

    def _send_in_time(self) -> None:
        due = 0.0
        before = time.monotonic()
        while self._goes_on():
            now = time.monotonic()
            # Harm that waits for one record more, such as a fail point, must not wait for ever.
            if self.sent == len(self._items) and self._spare is not None:
                self._items.append(next(self._spare))
            rate = self._per_second if self.sent < self.allowed else _TRICKLE_PER_SECOND
            due = len(self._items) if self._finishing.is_set() else due + (now - before) * rate
            before = now
            while self.sent < min(due, len(self._items)):
                self._send(self._items[self.sent])
                self.sent += 1
            self._finishing.wait(_TICK_SECONDS)

    def _goes_on(self) -> bool:
        if self._finishing.is_set():
            return self._to_the_end and self.sent < len(self._items)
        return self.sent < len(self._items) or self._spare is not None

    def _send(self, item: Item) -> None:
        while True:
            try:
                self._producer.produce(
                    self._prefix + item.topic,
                    item.value,
                    item.key,
                    item.partition,
                    timestamp=item.timestamp,
                    headers=list(item.headers),
                    on_delivery=self._delivered,
                )
            except BufferError:
                self._producer.poll(0.1)
            else:
                self._producer.poll(0)
                return

    def _delivered(self, error: Any, message: Any) -> None:
        if error is not None:
            self._error = RuntimeError(f"a record was not taken: {error}")
        else:
            place = message.topic(), message.partition(), message.offset()
            self._acknowledged.add(place)

    def finish(self) -> None:
        """Send what is left, and wait until the broker has all of it."""
        self._finishing.set()
        self.join()
        if self._error is not None:
            raise self._error
        taken = len(self._acknowledged)
        assert taken == self.sent, f"{self.sent} sent, {taken} places given to them"
