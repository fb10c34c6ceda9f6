"""Keep a table of halted orders in SQLite: all that docs/consuming.md asks of a consumer.

    pip install confluent-kafka
    python halted_orders.py --bootstrap-servers localhost:9092 --database halted.db

Ctrl-C or SIGTERM ends it; it goes on where it was. To start over, delete the database. What is halted:

    sqlite3 halted.db "SELECT studio_id, order_id, primary_reason FROM halted"
"""

from __future__ import annotations

import argparse
import json
import signal
import sqlite3
import sys
from typing import Any

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaException, TopicPartition

TABLES = """
CREATE TABLE IF NOT EXISTS orders (
    key TEXT PRIMARY KEY, sequence INTEGER NOT NULL, halted INTEGER NOT NULL, record TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS positions (
    topic TEXT, partition INTEGER, next INTEGER NOT NULL, PRIMARY KEY (topic, partition)
);
CREATE VIEW IF NOT EXISTS halted AS
SELECT record ->> 'studio_id' AS studio_id, record ->> 'order_id' AS order_id,
       record ->> 'primary_reason' AS primary_reason, record
FROM orders WHERE halted;
"""
BATCH = 1000


class Table:
    """The orders, and up to where the topic has been read: both in one transaction."""

    def __init__(self, path: str) -> None:
        self._database = sqlite3.connect(path, isolation_level=None)
        self._database.executescript(TABLES)

    def begin(self) -> None:
        self._database.execute("BEGIN")

    def commit(self) -> None:
        self._database.execute("COMMIT")

    def sequence(self, order: str) -> int:
        """Give the last sequence kept for an order, 0 for one that is not known."""
        found = self._database.execute("SELECT sequence FROM orders WHERE key = ?", (order,))
        return int((found.fetchone() or (0,))[0])

    def put(self, order: str, sequence: int, halted: bool, record: bytes) -> None:
        row = order, sequence, halted, record.decode()
        self._database.execute("INSERT OR REPLACE INTO orders VALUES (?, ?, ?, ?)", row)

    def delete(self, order: str) -> None:
        self._database.execute("DELETE FROM orders WHERE key = ?", (order,))

    def position(self, topic: str, partition: int) -> int:
        """Give the offset to read next."""
        where = topic, partition
        sql = "SELECT next FROM positions WHERE topic = ? AND partition = ?"
        return int((self._database.execute(sql, where).fetchone() or (OFFSET_BEGINNING,))[0])

    def move(self, topic: str, partition: int, following: int) -> None:
        row = topic, partition, following
        self._database.execute("INSERT OR REPLACE INTO positions VALUES (?, ?, ?)", row)


def apply(table: Table, key: bytes, value: bytes | None) -> None:
    """Take one record of order-halted; taking records again in order changes nothing."""
    order = key.decode()
    if value is None:
        table.delete(order)
        return
    record = json.loads(value)
    if record["sequence"] > table.sequence(order):
        table.put(order, record["sequence"], bool(record["reasons"]), value)


def follow(consumer: Any, topic: str, table: Table) -> None:
    """Read all partitions from where the table has come to, for ever."""
    partitions = consumer.list_topics(topic, timeout=30).topics[topic].partitions
    consumer.assign([TopicPartition(topic, p, table.position(topic, p)) for p in partitions])
    while True:
        messages = consumer.consume(BATCH, timeout=0.5)
        if not messages:
            continue
        table.begin()
        for message in messages:
            if message.error():
                raise KafkaException(message.error())
            apply(table, message.key(), message.value())
            table.move(topic, message.partition(), message.offset() + 1)
        table.commit()


def main() -> None:
    parser = argparse.ArgumentParser(description="Keep a table of halted orders.")
    parser.add_argument("--bootstrap-servers", required=True)
    parser.add_argument("--topic", default="order-halted", help="with its prefix")
    parser.add_argument("--database", default="halted.db")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    consumer = Consumer(
        {
            "bootstrap.servers": options.bootstrap_servers,
            "isolation.level": "read_committed",
            "auto.offset.reset": "error",  # a position that is gone: start over, see the page
            "group.id": "unused",  # the table keeps the positions
            "enable.auto.commit": False,
        }
    )
    try:
        follow(consumer, options.topic, Table(options.database))
    except KeyboardInterrupt:
        pass
    finally:
        consumer.close()


if __name__ == "__main__":
    main()
