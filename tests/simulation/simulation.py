"""Run one scenario: start workers, send records, do harm, wait until all is applied, judge."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field, replace
from random import Random
from typing import Any, NoReturn
from unittest.mock import patch

from aiokafka import TopicPartition
from aiokafka.errors import KafkaError

from processor.runtime import clients, failstop, skip
from processor.runtime.protocol import Committed, MachineFactory, Observer, Recovered
from processor.runtime.transaction import AnswerLost
from schemas.topics import INPUT_VALUE_MAX_BYTES, REJECTED_HEADROOM_BYTES
from tests.simulation import ambient, bugs, judge
from tests.simulation.broker import Broker
from tests.simulation.client import World
from tests.simulation.load import Load
from tests.simulation.loop import Died, Process, SimLoop, Stuck, current_process, until
from tests.simulation.machines import factory_of, slow
from tests.simulation.network import Faults, Network
from tests.simulation.scenario import Fault, Scenario
from tests.simulation.worker import SimApp

#: After the last fault, everything must be applied within this virtual time.
SETTLES_WITHIN = 90.0
_LOOKS_EVERY = 0.1


@dataclass
class Outcome:
    """What came of a run."""

    seed: int
    problems: list[str] = field(default_factory=list)
    trace: list[str] = field(default_factory=list)
    records: int = 0
    transactions: int = 0
    recoveries: int = 0
    deaths: dict[str, int] = field(default_factory=dict)
    virtual_seconds: float = 0.0
    callbacks: int = 0


@dataclass
class _Slot:
    """A place for a worker; a supervisor starts another one when it has died."""

    number: int
    process: Process
    app: SimApp


class _Telling(Observer):
    """Counts what happens, and tells it where somebody listens."""

    def __init__(self, simulation: Simulation, process: Process) -> None:
        self._simulation = simulation
        self._process = process

    def _say(self, text: str) -> None:
        self._simulation.say(self._process.name, text)

    def suspended(self) -> None:
        self._say("applies nothing any more")

    def recovered(self, recovered: Recovered) -> None:
        self._simulation.outcome.recoveries += 1
        self._say(
            f"recovered partition {recovered.partition}: {recovered.rows} rows, "
            f"goes on at {dict(recovered.offsets)}"
        )

    def owned(self, partitions: frozenset[int]) -> None:
        self._say(f"owns {sorted(partitions)}")

    def given_up(self, partitions: frozenset[int]) -> None:
        if partitions:
            self._say(f"gives up {sorted(partitions)}")

    def committed(self, committed: Committed) -> None:
        self._simulation.outcome.transactions += 1
        self._say(f"committed partition {committed.partition} up to {dict(committed.offsets)}")


class Simulation:
    """One run of one scenario."""

    def __init__(
        self, scenario: Scenario, *, bug: str | None = None, tracing: bool = False
    ) -> None:
        self.scenario = scenario
        self._bug = bug
        self.outcome = Outcome(scenario.seed)
        self.random = Random(f"run {scenario.seed}")
        self.loop = SimLoop(self.random)
        self.loop.cost = scenario.callback_cost
        self.broker = Broker(self.loop, self.random, scenario.partitions)
        self.broker.most_in_a_fetch = scenario.most_in_a_fetch
        self.broker.transactions.marker_delay = scenario.marker_delay
        faults = Faults(
            scenario.fault_share,
            scenario.transaction_fault_share,
            scenario.latest,
            scenario.delay,
        )
        self.network = Network(self.loop, self.random, faults)
        self.factory: MachineFactory = factory_of(scenario)
        self._tracing = tracing
        self._slots: list[_Slot] = []
        self._started = 0
        self._harmful = True
        self._finished = False
        if tracing:
            self.network.told = self.say
        config = scenario.config
        self.broker.create_topics(
            (
                *(*config.inputs, *config.changelogs.values()),
                *(config.output, config.rejected, config.positions, config.journal),
            )
        )

    def run(self) -> Outcome:
        """Run to the end; never raises for what the simulated system does."""
        outcome, loop = self.outcome, self.loop
        with (
            ambient.model(loop, World(self.broker, self.network)),
            ambient.processes(self._stop, self._stop_after, self._pass_point),
            patch.object(clients, "_BATCH_BYTES", self.scenario.batch_bytes),
            bugs.planted(self._bug),
        ):
            try:
                loop.run(self._everything(), self.scenario.ends_at + SETTLES_WITHIN)
            except Stuck:
                outcome.problems.append(self._what_is_missing())
            else:
                outcome.problems += judge.problems(self.broker, self.scenario, self.factory)
            for slot in self._slots:
                slot.process.dead = True
            outcome.problems += [f"an exception that nobody took: {e}" for e in loop.errors[:3]]
            outcome.virtual_seconds, outcome.callbacks = loop.now, loop.callbacks
            outcome.records = len(self.scenario.sendings)
            loop.close()
        return outcome

    def say(self, who: str, text: str) -> None:
        """Add a line to the trace."""
        if self._tracing:
            self.outcome.trace.append(f"{self.loop.now:9.4f}  {who:<12} {text}")

    # -- the course of things

    async def _everything(self) -> None:
        scenario, loop = self.scenario, self.loop
        for number in range(scenario.workers):
            self._slots.append(self._start(number))
        load = Load(loop, self.broker, self.random, scenario, self.say)
        loading = loop.create_task(load.run())
        for fault in scenario.faults:
            await asyncio.sleep(max(0.0, fault.at - loop.now))
            self._harm(fault)
        await asyncio.sleep(max(0.0, scenario.ends_at - loop.now))
        await loading
        self._calm_down()
        await until(self._all_applied, _LOOKS_EVERY)
        self._finished = True
        while not all(slot.process.dead for slot in self._slots):
            for slot in self._slots:
                slot.app.terminate()
            await asyncio.sleep(_LOOKS_EVERY)
        await asyncio.sleep(1.0)

    def _start(self, number: int) -> _Slot:
        self._started += 1
        process = Process(f"worker-{number}.{self._started}")
        config = self.scenario.config
        if self.scenario.static[number]:
            config = replace(config, instance_id=f"slot-{number}")
        self.say(process.name, "starts")
        factory = slow(self.factory, self.loop, self.scenario.apply_cost)
        app = SimApp(self.loop, process, config, factory, _Telling(self, process))
        process.when_dead = lambda: self._bury(number)
        return _Slot(number, process, app)

    def _bury(self, number: int) -> None:
        """Be the supervisor: start another worker some time after one's death."""
        delay = self.random.uniform(0.05, 1.0)
        self.loop.call_later(delay, self._restart, number, context=self.loop.world)

    def _restart(self, number: int) -> None:
        if self._finished:
            return
        self._slots[number] = self._start(number)

    def _all_applied(self) -> bool:
        group = self.broker.group(self.scenario.config.group_id)
        for tp, log in self.broker.logs.items():
            if log.open:
                return False
            is_input = tp.topic in self.scenario.config.inputs
            if is_input and group.offsets.get((tp.topic, tp.partition), 0) != log.end:
                return False
        return True

    def _what_is_missing(self) -> str:
        config = self.scenario.config
        group = self.broker.group(config.group_id)
        lags = [
            f"{t} {p}: {group.offsets.get((t, p))} of {self.broker.logs[TopicPartition(t, p)].end}"
            for t in config.inputs
            for p in range(self.scenario.partitions)
            if group.offsets.get((t, p), 0) != self.broker.logs[TopicPartition(t, p)].end
        ]
        opened = [f"{tp.topic} {tp.partition}" for tp, log in self.broker.logs.items() if log.open]
        return (
            f"not all is applied {SETTLES_WITHIN:g} s after the last fault: {lags}; open: {opened}"
        )

    # -- harm

    def _harm(self, fault: Fault) -> None:
        slot = self._slots[fault.slot]
        process = slot.process
        if fault.kind == "compact":
            self._compact()
        elif process.dead:
            return
        elif fault.kind == "kill":
            self.kill(process, "killed")
        elif fault.kind == "terminate":
            self.say(process.name, "SIGTERM")
            slot.app.terminate()
        elif fault.kind == "freeze":
            self._freeze(process, fault.amount)
        else:
            process.steps_left = int(self.random.expovariate(1 / 300))
            process.when_steps_end = (
                (lambda: self.kill(process, "killed at a step"))
                if fault.kind == "kill after steps"
                else (lambda: self._freeze(process, fault.amount))
            )

    def kill(self, process: Process, how: str) -> None:
        """End a process, with a part of what it has on the wire."""
        if process.dead:
            return
        process.end()
        process.cut_at = self.loop.now + self.random.random() * 2 * self.network.faults.delay
        self.outcome.deaths[how] = self.outcome.deaths.get(how, 0) + 1
        self.say(process.name, how)

    def _freeze(self, process: Process, seconds: float) -> None:
        self.say(process.name, f"frozen for {seconds:.2f} s")
        self.outcome.deaths["frozen"] = self.outcome.deaths.get("frozen", 0) + 1
        process.frozen = True
        self.loop.call_later(seconds, self._thaw, process, context=self.loop.world)

    def _thaw(self, process: Process) -> None:
        if process.frozen:
            self.say(process.name, "wakes")
            process.frozen = False

    def _compact(self) -> None:
        config = self.scenario.config
        for topic in (*config.changelogs.values(), config.positions):
            for number in range(self.scenario.partitions):
                log = self.broker.logs[TopicPartition(topic, number)]
                gone = log.compact(self.random.randint(0, log.end))
                if gone:
                    self.say("broker", f"compacts {topic} {number}: {gone} records gone")

    def _calm_down(self) -> None:
        """Do no more harm: what is frozen wakes in its time, what has died comes back."""
        self._harmful = False
        self.network.faults.share = self.network.faults.transaction_share = 0.0
        for slot in self._slots:
            slot.process.steps_left = -1
            self._thaw(slot.process)

    def _pass_point(self, name: str) -> None:
        if self._harmful and self.random.random() < self.scenario.point_share:
            self.kill(current_process(), f"killed at {name}")
            raise Died

    # -- fail-stop

    def _stop(
        self,
        what: str,
        *,
        remedy: str,
        where: str | None = None,
        error: BaseException | None = None,
        code: int = failstop.EXIT_FAILSTOP,
        **place: object,
    ) -> NoReturn:
        process = current_process()
        if process.dead:
            raise Died
        self.say(process.name, f"stops with {code}: {what}; where: {where}")
        if "asked to fail" in what:
            self.loop.call_later(
                *(self.random.uniform(0.1, 1.0), self._set_aside, place),
                context=self.loop.world,
            )
        elif not _lawful(code, error, what):
            self.outcome.problems.append(
                f"{process.name} stopped with {code} at {self.loop.now:.4f} s: {what}; where: {where}"
            )
        slot = next((slot for slot in self._slots if slot.process is process), None)
        self.kill(process, f"stopped by {type(error).__name__ if error else 'itself'}")
        coordination = getattr(slot.app, "coordination", None) if slot is not None else None
        if coordination is not None and coordination.member and self.random.random() < 0.7:
            group = self.scenario.config.group_id
            self.loop.call_later(
                *(0.002, self.broker.leave_group, group, coordination.member),
                context=self.loop.world,
            )
        raise Died

    def _set_aside(self, place: dict[str, Any]) -> None:
        """Be the operator: run `orderhalt skip` for the record that a worker cannot apply."""
        context = self.loop.new_lane(Process("operator"))
        self.loop.create_task(self._skip(skip.Request(**place)), context=context)

    async def _skip(self, request: skip.Request) -> None:
        limit = INPUT_VALUE_MAX_BYTES + REJECTED_HEADROOM_BYTES
        try:
            said = await skip.skip(self.scenario.config, request, limit)
        except (skip.NotSkipped, KafkaError) as error:
            # Another worker will stop at the record, and the operator comes again.
            said = f"{type(error).__name__}: {error}"
        self.say("operator", said)

    def _stop_after(self, seconds: float) -> None:
        """End a process that does not come to its end, as a thread of its own does in reality."""
        self.loop.call_later(seconds, self._overdue, current_process(), context=self.loop.world)

    def _overdue(self, process: Process) -> None:
        self.kill(process, "overdue at its end")


def _lawful(code: int, error: BaseException | None, what: str) -> bool:
    """Say whether a worker may end so: Kafka or the network failed it, or it was fenced."""
    if code != failstop.EXIT_FAILSTOP:
        return False
    if "a fetch does not end" in what or "were taken over while they were recovered" in what:
        return True
    return isinstance(error, KafkaError | AnswerLost | TimeoutError)
