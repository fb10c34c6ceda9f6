"""Brokers of the campaign: one whose workers come through a proxy, and three that are a cluster."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, Final

from processor.localkafka import LocalKafka, free_port
from tests.faults.proxy import Proxy

_HOST: Final = "127.0.0.1"
_CLUSTER: Final = "ZmF1bHRzLWNsdXN0ZXItMQ"


def kafka_with_listener(bound: str, advertised: str, **options: Any) -> LocalKafka:
    """Make a broker that listens for workers at a second place, `HOST:PORT` each."""
    port, controller = free_port(), free_port()
    plain = f"PLAINTEXT://{_HOST}:{port}"
    return LocalKafka(
        port=port,
        **options,
        properties={
            "listeners": f"{plain},CONTROLLER://{_HOST}:{controller},WORKERS://{bound}",
            "advertised.listeners": f"{plain},WORKERS://{advertised}",
            "listener.security.protocol.map": "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,"
            "WORKERS:PLAINTEXT",
            "controller.quorum.voters": f"1@{_HOST}:{controller}",
        },
    )


@contextmanager
def proxied_kafka(
    latency_seconds: float = 0.0, **options: Any
) -> Iterator[tuple[LocalKafka, Proxy]]:
    """Start a broker whose workers come through a proxy, and everybody else directly.

    `options` are the broker's.
    """
    bound = free_port()
    with (
        Proxy(bound, latency_seconds=latency_seconds) as proxy,
        kafka_with_listener(f"{_HOST}:{bound}", proxy.address, **options) as kafka,
    ):
        yield kafka, proxy


class Cluster:
    """Three brokers, controllers too, on loopback: replication 3, at least 2 in sync."""

    def __init__(self) -> None:
        ports = [(free_port(), free_port()) for _ in range(3)]
        voters = ",".join(f"{n}@{_HOST}:{c}" for n, (_, c) in enumerate(ports, 1))
        self.nodes = [
            LocalKafka(
                port=port,
                heap_mebibytes=300,
                cluster_id=_CLUSTER,
                properties=_node_properties(number, port, controller, voters),
            )
            for number, (port, controller) in enumerate(ports, 1)
        ]
        self.bootstrap_servers = ",".join(f"{_HOST}:{port}" for port, _ in ports)

    def __enter__(self) -> Cluster:
        # A node alone answers nobody: two of three make a quorum.
        with ThreadPoolExecutor(3) as starters:
            list(starters.map(LocalKafka.start, self.nodes))
        return self

    def __exit__(self, *_: object) -> None:
        for node in self.nodes:
            node.stop()


def _node_properties(number: int, port: int, controller: int, voters: str) -> dict[str, str]:
    return {
        "node.id": str(number),
        "listeners": f"PLAINTEXT://{_HOST}:{port},CONTROLLER://{_HOST}:{controller}",
        "controller.quorum.voters": voters,
        "default.replication.factor": "3",
        "min.insync.replicas": "2",
        "offsets.topic.replication.factor": "3",
        "transaction.state.log.replication.factor": "3",
        "transaction.state.log.min.isr": "2",
        # More than one, so that coordinators live on all nodes.
        "offsets.topic.num.partitions": "3",
        "transaction.state.log.num.partitions": "3",
    }
