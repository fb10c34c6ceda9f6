"""Rows of refusals: something is done to state or offsets, the refusal names a remedy, the remedy works.

On the toy machine of tests/runtime, whose tests have the refusals themselves.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from confluent_kafka import Producer

from processor.localkafka import LocalKafka
from processor.runtime.failstop import EXIT_REFUSED
from tests.faults.rows import Row
from tests.faults.stage import Stage
from tests.runtime.harness import Deployment

Remedy = Callable[[], None]
_RECORDS = 60


def _changelog_anew(deployment: Deployment) -> tuple[str, Remedy]:
    deployment.recreate(deployment.config.changelogs["counts"])
    return "rows are lost", partial(_rebuild, deployment)


def _changelog_cut(deployment: Deployment) -> tuple[str, Remedy]:
    topic = deployment.config.changelogs["counts"]
    deployment.set_config(topic, "cleanup.policy", "compact,delete")
    deployment.delete_before(topic, 0, 3)
    return "starts at offset 3", partial(_rebuild, deployment)


def _positions_lost(deployment: Deployment) -> tuple[str, Remedy]:
    deployment.recreate(deployment.config.positions)
    return "no row that says up to where", partial(_rebuild, deployment)


def _group_set_back(deployment: Deployment) -> tuple[str, Remedy]:
    deployment.set_group_offset(deployment.config.inputs[0], 0, 1)
    return "kafka-consumer-groups.sh --delete", partial(_delete_group, deployment)


def _state_deleted(deployment: Deployment) -> tuple[str, Remedy]:
    for topic in (*deployment.config.changelogs.values(), deployment.config.positions):
        deployment.recreate(topic)
    return "the state is gone", partial(_rebuild, deployment)


def _hanging_transaction(deployment: Deployment) -> tuple[str, Remedy]:
    stranger = Producer(
        {"bootstrap.servers": deployment.servers, "transactional.id": f"{deployment.prefix}no"}
    )
    stranger.init_transactions(20)
    stranger.begin_transaction()
    stranger.produce(deployment.config.changelogs["counts"], b"1", b"k", 0)
    stranger.flush(10)
    # What `kafka-transactions.sh … abort` does to it, its owner does here.
    return "kafka-transactions.sh", partial(stranger.abort_transaction, 20)


_DAMAGES: dict[str, Callable[[Deployment], tuple[str, Remedy]]] = {
    "a changelog was deleted and made anew": _changelog_anew,
    "a changelog was truncated": _changelog_cut,
    "the positions were lost": _positions_lost,
    "the group's offsets were set back": _group_set_back,
    "the whole state was deleted": _state_deleted,
    "somebody's transaction hangs in a changelog": _hanging_transaction,
}


def _delete_group(deployment: Deployment) -> None:
    group = deployment.config.group_id
    deployment.admin.delete_consumer_groups([group])[group].result(10)


def _rebuild(deployment: Deployment) -> None:
    """Do what the message says: delete group and private topics, create them, start.

    The output too, but for the judge only: what was announced is announced again, from 1.
    """
    if deployment.committed():
        _delete_group(deployment)
    config = deployment.config
    for topic in (*config.changelogs.values(), config.positions, config.journal, config.output):
        deployment.recreate(topic)


def _remedies(stage: Stage) -> None:
    with LocalKafka() as kafka:
        for number, (what, damage) in enumerate(_DAMAGES.items()):
            prefix = f"{stage.prefix}{number}-"
            deployment = Deployment(kafka.bootstrap_servers, prefix, stage.directory, 1)
            try:
                _refused_and_mended(deployment, damage)
            finally:
                deployment.stop_all()
            verdict = deployment.verdict()
            stage.result.problems += [f"{what}: {problem}" for problem in verdict.problems]
            stage.result.inputs += verdict.outputs
            stage.did(f"{what}: refused, the remedy applied, and all is well")


def _refused_and_mended(
    deployment: Deployment, damage: Callable[[Deployment], tuple[str, Remedy]]
) -> None:
    deployment.send_many(_RECORDS)
    worker = deployment.start("before")
    deployment.wait_until_applied()
    assert worker.terminate() == 0
    says, remedy = damage(deployment)
    worker = deployment.start("refused")
    assert worker.wait() == EXIT_REFUSED, worker.log()[-2000:]
    assert says in worker.log(), worker.log()[-2000:]
    remedy()
    deployment.send_many(_RECORDS, first=1_000)
    after = deployment.start("after")
    deployment.wait_until_applied()
    assert after.running, after.log()[-2000:]


ROWS = [Row("remedies", "State or offsets are damaged: refused, and the remedy works", _remedies)]
