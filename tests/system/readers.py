"""Read a topic with the clients of strangers, each as it is used in earnest: read_committed.

Two of them never end by themselves: they are told how many records to expect. One that sees records
of a transaction that never was is found out all the same, because it comes to other ones.
"""

from __future__ import annotations

import base64
import json
import subprocess
from collections.abc import Sequence
from typing import NamedTuple

from tests.system import toolbox

_SECONDS = 60
#: How long to wait for a record that does not come, before a test fails for want of it.
_PATIENCE_MS = 20_000
#: Characters that stand in none of our records.
_FIELD, _HEADER, _NULL = "\x1e", "\x1f", "\x1d"

Headers = tuple[tuple[str, bytes | None], ...]


class Read(NamedTuple):
    """What a client gives of one record."""

    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: Headers


def run(command: Sequence[str], stdin: bytes = b"") -> bytes:
    """Run a tool to its end; what it complains about is the message of its failure."""
    done = subprocess.run(
        command,
        input=stdin,
        capture_output=True,
        timeout=_SECONDS,
        check=False,
        env=toolbox.node_environment(),
    )
    assert done.returncode == 0, f"{command[0]} ended with {done.returncode}: {done.stderr!r}"
    return done.stdout


def kcat(servers: str, topic: str, _: int = 0, isolation: str = "read_committed") -> list[Read]:
    """Read with kcat, which is librdkafka in C, and ends by itself where the topic does."""
    options = ["-C", "-b", servers, "-t", topic, "-o", "beginning", "-e", "-q", "-J"]
    out = run([toolbox.program("kcat"), *options, "-X", f"isolation.level={isolation}"])
    found = []
    for line in out.splitlines():
        one = json.loads(line)
        pairs = one.get("headers", [])
        headers = tuple(
            (name, text.encode()) for name, text in zip(pairs[::2], pairs[1::2], strict=True)
        )
        key, value = (None if x is None else x.encode() for x in (one["key"], one["payload"]))
        found.append(Read(one["partition"], one["offset"], key, value, headers))
    return found


def java_console(servers: str, topic: str, count: int) -> list[Read]:
    """Read with Kafka's console consumer, whose own default is read_uncommitted."""
    shown = dict.fromkeys(("key", "value", "headers", "partition", "offset"), "true")
    formatter = [
        *(f"print.{name}={value}" for name, value in shown.items()),
        f"key.separator={_FIELD}",
        f"headers.separator={_HEADER}",
        f"null.literal={_NULL}",
    ]
    options = ["--bootstrap-server", servers, "--topic", topic, "--from-beginning"]
    options += ["--isolation-level", "read_committed", "--timeout-ms", str(_PATIENCE_MS)]
    options += ["--max-messages", str(count)]
    for each in formatter:
        options += ["--formatter-property", each]
    main = "org.apache.kafka.tools.consumer.ConsoleConsumer"
    out = run([*toolbox.java_tools(), main, *options]).decode()
    return [_java_line(line) for line in out.split("\n") if line]


def _java_line(line: str) -> Read:
    partition, offset, headers, key, value = line.split(_FIELD)
    pairs = (
        () if headers == "NO_HEADERS" else tuple(x.split(":", 1) for x in headers.split(_HEADER))
    )
    return Read(
        int(partition.removeprefix("Partition:")),
        int(offset.removeprefix("Offset:")),
        None if key == _NULL else key.encode(),
        None if value == _NULL else value.encode(),
        tuple((name, text.encode()) for name, text in pairs),
    )


def kafkajs(servers: str, topic: str, count: int) -> list[Read]:
    """Read with KafkaJS, in pure JavaScript."""
    out = run(toolbox.node("read.js", servers, topic, str(count), str(_PATIENCE_MS)))
    found = []
    for line in out.splitlines():
        one = json.loads(line)
        value = None if one["value"] is None else base64.b64decode(one["value"])
        headers = tuple((name, base64.b64decode(text)) for name, text in one["headers"])
        key = base64.b64decode(one["key"])
        found.append(Read(one["partition"], one["offset"], key, value, headers))
    return found
