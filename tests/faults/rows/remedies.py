"""Rows of refusals: something is done to topics or offsets, the worker refuses, its remedy works.

On `orderhalt worker`. Where the last words name a command of ours, that very command is run; what they
name of Kafka's own tools is done by the same requests to the broker.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from confluent_kafka import Producer

from processor.localkafka import LocalKafka
from processor.runtime.failstop import EXIT_FAILSTOP, EXIT_REFUSED
from schemas import topics
from tests.broker.fleet import Item
from tests.faults.patient import Patient
from tests.faults.rows import Row
from tests.faults.stage import Stage

_PARTITIONS = 2
_RECORDS = 400


def _refused(patient: Patient, *words: str) -> str:
    """Start a worker, which must refuse and say these words; give its last words."""
    return patient.last_words(patient.start(), EXIT_REFUSED, *words)


def _rebuild(patient: Patient) -> None:
    """Do what the message says: delete the group and all topics but the inputs, create them, start."""
    patient.delete_group()
    for topic in topics.ALL:
        if topic.direction != "in":
            patient.delete(topic)
    patient.command("topics", "create")


def _make_again(patient: Patient, *lost: topics.Topic) -> None:
    """Delete topics; the start refuses, and names the command that creates what is missing."""
    for topic in lost:
        patient.delete(topic)
    said = _refused(patient, "does not exist")
    patient.command_in(said, "topics create")


def _changelog_anew(patient: Patient) -> None:
    _make_again(patient, topics.CHANGELOGS["orders"])
    _refused(patient, "rows are lost", "all topics of this deployment but its inputs")
    _rebuild(patient)


def _changelog_cut(patient: Patient) -> None:
    topic = topics.CHANGELOGS["orders"]
    patient.set_config(topic, "cleanup.policy", "compact,delete")
    patient.delete_before(topic, 3)
    said = _refused(patient, "cleanup.policy is compact,delete")
    # `kafka-configs.sh --alter … --add-config KEY=VALUE`
    [setting] = re.findall(r"--add-config (cleanup\.policy)=(\w+)", said)
    patient.set_config(topic, *setting)
    _refused(patient, "starts at offset 3", "all topics of this deployment but its inputs")
    _rebuild(patient)


def _positions_lost(patient: Patient) -> None:
    _make_again(patient, topics.POSITIONS)
    _refused(
        patient, "no row that says up to where", "all topics of this deployment but its inputs"
    )
    _rebuild(patient)


def _state_lost(patient: Patient) -> None:
    _make_again(patient, *topics.CHANGELOGS.values(), topics.POSITIONS)
    _refused(patient, "the state is gone", "all topics of this deployment but its inputs")
    _rebuild(patient)


def _group_set_back(patient: Patient) -> None:
    patient.set_group_offset(1)
    _refused(patient, "the offsets of the consumer group and of the state differ")
    patient.delete_group()  # as `kafka-consumer-groups.sh --delete --group …` does


def _group_expired(patient: Patient) -> None:
    """No refusal: the positions are part of the state."""
    patient.delete_group()


def _hanging_transaction(patient: Patient) -> None:
    stranger = Producer(
        {"bootstrap.servers": patient.servers, "transactional.id": f"{patient.prefix}stranger"}
    )
    stranger.init_transactions(20)
    stranger.begin_transaction()
    stranger.produce(patient.view.name(topics.CHANGELOGS["orders"]), b"1", b"k", 0)
    stranger.flush(10)
    _refused(patient, "is open since offset", "kafka-transactions.sh")
    # What `kafka-transactions.sh … abort` does to it, its owner does here.
    stranger.abort_transaction(20)


def _input_truncated(patient: Patient) -> None:
    """Records are deleted before they were read; a snapshot from before lets verify judge the rest."""
    patient.snapshot()
    patient.send(patient.records())
    place = patient.truncate_unread()
    said = _refused(patient, "the broker has deleted records before they were read")
    patient.command_in(said, f"skip --lost {place}")


def _same_id_twice(patient: Patient) -> None:
    """A second worker with the same instance id fences the first one, which says what may be."""
    first = patient.start()
    first.wait_for("Ready with partitions")
    second = patient.start("twin")
    second.wait_for("Ready with partitions", 60)
    patient.send(patient.records())
    words = "a second worker has its --instance-id, w0, too", "Give each an id of its own"
    patient.last_words(first, EXIT_FAILSTOP, *words)
    patient.wait_until_applied()
    assert second.terminate() == 0, second.log()[-2000:]


DAMAGES: dict[str, Callable[[Patient], None]] = {
    "a changelog deleted and made anew": _changelog_anew,
    "a changelog truncated": _changelog_cut,
    "the positions deleted": _positions_lost,
    "the whole state deleted": _state_lost,
    "the group's offsets set back": _group_set_back,
    "the group's offsets expired (no refusal)": _group_expired,
    "somebody's transaction hangs in a changelog": _hanging_transaction,
    "unread inputs deleted": _input_truncated,
    "the same instance id deployed twice": _same_id_twice,
}


def _remedies(stage: Stage) -> None:
    with LocalKafka() as kafka:
        for number, (what, damage) in enumerate(DAMAGES.items()):
            prefix = f"{stage.prefix}{number}-"
            play(stage, kafka.bootstrap_servers, prefix, stage.directory, what, damage)
        _partitions_added(stage, kafka.bootstrap_servers)
    stage.note(
        "Unread inputs deleted: judged by `orderhalt verify` alone, with a snapshot from before."
    )


def play(
    stage: Stage,
    servers: str,
    prefix: str,
    directory: Path,
    what: str,
    damage: Callable[[Patient], None],
) -> None:
    """Give a deployment some state, do the damage and what mends it, go on, and judge."""
    patient = Patient(servers, prefix, directory, _items(stage), _PARTITIONS)
    try:
        patient.run(patient.records())
        damage(patient)
        patient.run(patient.records())
        problems = patient.judge(by_model=damage is not _input_truncated)
    finally:
        patient.end()
    stage.result.problems += [f"{what}: {problem}" for problem in problems]
    stage.result.inputs += patient.sent
    stage.did(what)


def _items(stage: Stage) -> list[Item]:
    return stage.items(3 * _RECORDS, _PARTITIONS)


def _partitions_added(stage: Stage, servers: str) -> None:
    """To one topic, then to all of them: refused both times; a deployment of a new prefix works."""
    patient = Patient(servers, f"{stage.prefix}few-", stage.directory, _items(stage), _PARTITIONS)
    try:
        patient.run(patient.records())
        patient.add_partitions(topics.LAB_TRANSFER)
        _refused(patient, "has 3 partitions", "start a deployment under a new --topic-prefix")
        for topic in topics.ALL:
            if topic is not topics.LAB_TRANSFER:
                patient.add_partitions(topic)
        _refused(patient, "the state was made with 2", "under a new")
    finally:
        patient.end()
    play(
        stage, servers, f"{stage.prefix}more-", stage.directory,
        "partitions added to one topic, and to all", lambda _: None,
    )  # fmt: skip


ROWS = [Row("remedies", "Topics or offsets are damaged: refused, and the remedy works", _remedies)]
