"""Is an output right? A figure counts only if it is.

A system with a journal says in which order it took its inputs: the rules once more, in that order, must
give the very bytes. Of the others the end is judged. It does not depend on how the topics interleave
(contract.md §3), except for what is not compared: instants, episodes and causes, by which status a halt
ended, and credit sums as at the last record.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import orjson

from processor.rules.machine import Machine
from schemas import private, topics

if TYPE_CHECKING:
    from bench.stage import Log, Output, Placed
    from bench.systems import Guarantee

#: Of the log's records. All within a day, so that nothing ages (contract.md §7).
_TIMESTAMP_MS = 1_767_600_000_000


def replayed(log: Log, output: Sequence[Output], journal: Sequence[Output]) -> str:
    """Name the first fault of an output with a journal; nothing where it is right."""
    inputs: dict[tuple[str, int], list[Placed]] = defaultdict(list)
    for record in log.records:
        inputs[record.topic, record.partition].append(record)
    for number in range(log.partitions):
        written = [(x.key, x.value) for x in output if x.partition == number]
        runs = [
            run
            for entry in journal
            if entry.partition == number and entry.value is not None
            for run in private.decode_journal(entry.value).runs
        ]
        fault = _replay(number, log, inputs, runs, written)
        if fault:
            return f"partition {number}: {fault}"
    return ""


def _replay(
    number: int,
    log: Log,
    inputs: dict[tuple[str, int], list[Placed]],
    runs: Iterable[private.Run],
    written: list[tuple[bytes, bytes | None]],
) -> str:
    machine = Machine(number, partitions=log.partitions)
    demanded: list[tuple[bytes, bytes | None]] = []
    taken: dict[str, int] = defaultdict(int)
    for run in runs:
        if taken[run.topic] != run.first:
            return f"{run.topic} goes on at {run.first} and not at {taken[run.topic]}"
        taken[run.topic] = run.next
        for record in inputs[run.topic, number][run.first : run.next]:
            demanded += [(x.key, x.value) for x in _apply(machine, record)]
        machine.forget_changes()
    for topic in topics.INPUTS:
        if taken[topic.name] != log.ends.get((topic.name, number), 0):
            return f"{topic.name} was taken up to {taken[topic.name]} only"
    if len(demanded) != len(written):
        return f"{len(written)} records were written, and {len(demanded)} are right"
    for place, (want, have) in enumerate(zip(demanded, written, strict=True)):
        if want != have:
            return f"record {place} of order-halted should be {want!r} and is {have!r}"
    return ""


def _apply(machine: Machine, record: Placed) -> list[Any]:
    topic, partition, offset, key, value = record
    return machine.apply(topic, partition, offset, _TIMESTAMP_MS, key, value)


def ended_well(
    log: Log,
    output: Sequence[Output],
    guarantee: Guarantee,
    *,
    partitions_by_order: bool = False,
) -> str:
    """Name the first fault of an output without a journal; nothing where it is right.

    `partitions_by_order`: in which partition an order stands is not looked at.
    """
    history: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for record in output:
        if record.value is not None:
            halt = orjson.loads(record.value)
            halt["partition"] = record.partition
            history[record.key.decode()].append(halt)
    if guarantee == "exactly-once":
        for key, halts in history.items():
            fault = _fault_of_sequence(halts)
            if fault:
                return f"order {key}: {fault}"
    wanted = demanded_end(log)
    for key, halt in wanted.items():
        if key not in history:
            return f"order {key} is halted, and nothing says so"
        have, want = end_of(history[key][-1]), end_of(halt)
        if partitions_by_order:
            have["partition"] = want["partition"]
        if have != want:
            return f"order {key} should end as {want} and ends as {have}"
    for key, halts in history.items():
        if key not in wanted and end_of(halts[-1])["halted"]:
            return f"order {key} is said to be halted, and is not"
    return ""


def _fault_of_sequence(halts: Sequence[dict[str, Any]]) -> str:
    """Look whether an order's records are 1, 2, 3 …, in one partition, and open before they end."""
    sequences = [halt["sequence"] for halt in halts]
    if sequences != list(range(1, len(halts) + 1)):
        return f"its sequences are {sequences[:20]}"
    if len({halt["partition"] for halt in halts}) > 1:
        return "it is in two partitions"
    halted = False
    for halt in halts:
        if halted == (halt["change"] == "opened"):
            return f"it is {halt['change']} while it is{'' if halted else ' not'} halted"
        halted = halt["change"] != "ended"
    return ""


def demanded_end(log: Log) -> dict[str, dict[str, Any]]:
    """Give the last record of every order that is halted in the end, by the rules, by order key."""
    machines = [Machine(number, partitions=log.partitions) for number in range(log.partitions)]
    last: dict[str, dict[str, Any]] = {}
    for record in log.records:
        machine = machines[record.partition]
        for emission in _apply(machine, record):
            assert emission.value is not None
            halt = orjson.loads(emission.value) | {"partition": record.partition}
            last[emission.key.decode()] = halt
        machine.forget_changes()
    return {key: halt for key, halt in last.items() if end_of(halt)["halted"]}


def end_of(halt: dict[str, Any]) -> dict[str, Any]:
    """Take what converges out of a record of order-halted."""
    if halt["change"] == "ended":
        return {"halted": False}
    return {
        "halted": True,
        "partition": halt["partition"],
        "order": (halt["studio_id"], halt["order_id"], halt["order_version"], halt["status"]),
        "primary_reason": halt["primary_reason"],
        "reasons": [
            (
                reason["code"],
                reason["line_ids"],
                reason["line_count"],
                [(subject["type"], subject["id"]) for subject in reason["subjects"]],
                [transfer["transfer_id"] for transfer in reason.get("transfers") or ()],
            )
            for reason in halt["reasons"]
        ],
    }
