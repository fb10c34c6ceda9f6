"""Rows of the brokers: they are killed, restarted, and lead no more."""

from __future__ import annotations

from confluent_kafka.admin import AdminClient

from processor.localkafka import LocalKafka, free_port
from processor.runtime.failstop import EXIT_FAILSTOP, EXIT_UNAVAILABLE
from tests.faults.brokers import Cluster
from tests.faults.rows import Row
from tests.faults.stage import Stage, under_load
from tests.support.processes import wait_until

#: A worker that finds no broker at its start says so and ends; it is started again.
_LAWFUL = (EXIT_FAILSTOP, EXIT_UNAVAILABLE)


def _one_broker(stage: Stage) -> None:
    with (
        LocalKafka(port=free_port(), data_dir=stage.directory / "kafka") as kafka,
        under_load(stage, kafka.bootstrap_servers, lawful_ends=_LAWFUL) as act,
    ):
        for _ in range(stage.times(5, 1)):
            for what, end in (("kill -9", kafka.kill), ("clean restart", kafka.stop)):
                end()
                kafka.start()
                act.catch_up(within=120)
                stage.did(f"broker: {what}")


def _three_brokers(stage: Stage) -> None:
    with Cluster() as cluster:
        admin = AdminClient({"bootstrap.servers": cluster.bootstrap_servers})
        with under_load(
            stage, cluster.bootstrap_servers, replication=3, lawful_ends=_LAWFUL
        ) as act:
            for turn in range(stage.times(6, 2)):
                led_before = leaders(admin)
                number = turn % len(cluster.nodes)
                node = cluster.nodes[number]
                node.kill()
                # With one of three brokers dead, everything goes on.
                act.catch_up(within=120)
                moved = sum(led == number + 1 for led in led_before.values())
                stage.did("broker killed, work went on with two, and started again")
                stage.say(f"broker {number + 1} had led {moved} partitions of {len(led_before)}")
                node.start()
                wait_until(lambda: all_in_sync(admin), 90)
            stage.note(
                "Broker and controller are one process here: each kill also took a controller, and "
                "the leaders and coordinators that the broker had."
            )


def leaders(admin: AdminClient) -> dict[tuple[str, int], int]:
    """Give who leads each partition of every topic, Kafka's own included."""
    found = admin.list_topics(timeout=20).topics
    return {
        (name, p.id): p.leader for name, topic in found.items() for p in topic.partitions.values()
    }


def all_in_sync(admin: AdminClient) -> bool:
    """Tell whether every partition has its three replicas in sync."""
    found = admin.list_topics(timeout=20).topics
    return all(len(p.isrs) == 3 for topic in found.values() for p in topic.partitions.values())


ROWS = [
    Row("broker", "The only broker is killed, and restarted in good order", _one_broker),
    Row(
        "cluster", "Three brokers, replication 3, 2 in sync: each is killed in turn", _three_brokers
    ),
]
