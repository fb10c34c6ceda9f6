"""One event a line, as JSON where nobody looks on, and never a record's value."""

from __future__ import annotations

import json
import subprocess
import sys

SCRIPT = """
import logging, sys
from processor import logs
from processor.runtime import failstop
logs.to_stderr("info")
log = logging.getLogger("processor.runtime.partition")
log.info("Applied %d", 3, extra={"topic": "order-placed", "partition": 1, "offset": 7})
try:
    raise ValueError("two\\nlines")
except ValueError:
    log.exception("It broke")
logging.getLogger("aiokafka.somewhere").info("not needed")
for _ in range(3):
    logging.getLogger("aiokafka.somewhere").warning("again")
failstop.stop(
    "applying a record failed", remedy="Report it.", where="topic t, partition 1, offset 7",
    error=ValueError("x"), topic="t", partition=1, offset=7,
)
"""


def test_each_event_is_one_json_line() -> None:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 70
    lines = [json.loads(line) for line in done.stderr.splitlines()]
    assert [line["event"] for line in lines] == [
        "Applied 3",
        "It broke",
        "again",
        "orderhalt: stopped with exit code 70: applying a record failed",
    ]
    assert lines[0] == lines[0] | {
        "level": "info",
        "logger": "processor.runtime.partition",
        "topic": "order-placed",
        "partition": 1,
        "offset": 7,
    }
    assert "two\nlines" in lines[1]["exception"]
    assert all(line["timestamp"].endswith("Z") for line in lines)
    last = lines[3]
    assert (last["exit_code"], last["what_to_do"]) == (70, "Report it.")
    assert (last["topic"], last["partition"], last["offset"]) == ("t", 1, 7)
    assert "ValueError: x" in last["exception"]
