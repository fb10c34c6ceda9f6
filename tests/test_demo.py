"""The demo: what it says of a record, and the whole of it as a user without a terminal runs it."""

from __future__ import annotations

import io
import re
import signal
import subprocess
import sys
import time
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import pytest
from rich.console import Console

from processor.demo.board import Board
from processor.demo.screen import draw
from processor.rules.machine import Machine
from processor.simulator import Settings, simulate
from processor.words import describe, money
from schemas.halted import OrderHalted
from schemas.reasons import ReasonCode, Status

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="module")
def halts() -> list[tuple[bytes, OrderHalted]]:
    """What a worker would emit for some thousand events with every reason in them."""
    machine = Machine(0)
    decode = msgspec.json.Decoder(OrderHalted).decode
    settings = Settings(seed=1, studios=30, orders_in_flight=400, trouble=3)
    return [
        (emission.key, decode(emission.value))
        for offset, x in enumerate(islice(simulate(settings), 10_000))
        for emission in machine.apply(x.topic, 0, offset, x.timestamp_ms, x.key, x.value)
        if emission.value is not None
    ]


def test_every_halt_has_words(halts: list[tuple[bytes, OrderHalted]]) -> None:
    """Every reason and every ending in one line, with what the studio can do."""
    words = {record.primary_reason or record.status: describe(record) for _, record in halts}
    assert set(words) >= set(ReasonCode) | {Status.RELEASED, Status.CANCELLED, Status.TRANSFERRED}
    for code, text in words.items():
        assert ("→" in text) == (code in set(ReasonCode)), text
        assert "\n" not in text
        assert "_" not in text.partition("→")[2]
    assert re.search(r"costs [\d.,]+ \w{3}, ", words[ReasonCode.CREDIT_LIMIT_REACHED])
    assert "failed for good" in words[ReasonCode.TRANSFER_FAILED]
    assert words[ReasonCode.PRODUCT_MISSING].startswith("product ")


@pytest.mark.parametrize(
    ("amount_minor", "text"),
    [(0, "0.00 EUR"), (5, "0.05 EUR"), (-5, "-0.05 EUR"), (123456, "1,234.56 EUR")],
)
def test_money(amount_minor: int, text: str) -> None:
    assert money(amount_minor, "EUR") == text


def test_the_board_counts_what_is_halted_now(halts: list[tuple[bytes, OrderHalted]]) -> None:
    board = Board()
    now: dict[bytes, ReasonCode] = {}
    for key, record in halts:
        board.take(key, record, now_us=1_767_700_000_000_000, since_start=7.0)
        now.pop(key, None)
        if record.primary_reason is not None:
            now[key] = record.primary_reason
    assert board.halted_now.total() == len(now)
    assert board.records == len(halts)
    assert board.first_halt_seconds == 7.0


def test_the_board_knows_the_rate_of_the_last_seconds() -> None:
    board = Board()
    for second in range(60):
        board.count(applied=second * (100 if second < 50 else 200), lag=1, now=float(second))
    board.count(applied=12_000, lag=0, now=60.0)
    assert board.events_per_second == pytest.approx(200)


@pytest.mark.parametrize(("columns", "lines"), [(80, 24), (200, 60)])
def test_the_screen_fits(halts: list[tuple[bytes, OrderHalted]], columns: int, lines: int) -> None:
    board = Board()
    for key, record in halts:
        board.take(key, record, now_us=1_767_700_000_000_000, since_start=1.0)
    console = Console(width=columns, height=lines, record=True, file=io.StringIO())
    console.print(draw(board, "Kafka 127.0.0.1:9092", 12.0, lines))
    shown = console.export_text().splitlines()
    assert len(shown) <= lines
    assert max(map(len, shown)) <= columns


def processes_with(argument: str) -> list[int]:
    """Find processes that have this on their command line."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if argument in path.read_bytes().decode(errors="replace"):
                found.append(int(path.parent.name))
        except (FileNotFoundError, ProcessLookupError):
            continue
    return found


@pytest.fixture
def demo() -> Iterator[subprocess.Popen[str]]:
    """`orderhalt demo` as a program or a CI job runs it: no terminal."""
    process = subprocess.Popen(
        [sys.executable, "-m", "processor.cli", "demo", "--duration", "6"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    with process:
        yield process
        process.kill()


@pytest.mark.broker
@pytest.mark.slow
def test_the_demo_ends_by_itself_with_a_summary(demo: subprocess.Popen[str]) -> None:
    output, _ = demo.communicate(timeout=120)
    assert demo.returncode == 0, output
    assert re.search(r"halted studio-\d+ / \d+: ", output)
    assert "Halts opened: " in output
    assert re.search(r"The pages are at http://127\.0\.0\.1:\d+/", output)
    servers = re.search(r"ready at (127\.0\.0\.1:\d+)", output)
    assert servers, output
    assert not processes_with(servers[1])


@pytest.mark.broker
@pytest.mark.slow
def test_nothing_is_left_of_a_demo_that_is_killed(demo: subprocess.Popen[str]) -> None:
    """Ended in good order by SIGTERM, or by kill -9: no process of it goes on."""
    assert demo.stdout is not None
    line = next(line for line in demo.stdout if "ready at" in line)
    servers = line.split("ready at ")[1].split()[0].rstrip(".")
    next(line for line in demo.stdout if "halted" in line)
    assert len(processes_with(servers)) >= 3
    demo.send_signal(signal.SIGKILL)
    deadline = time.monotonic() + 20
    while processes_with(servers):
        assert time.monotonic() < deadline, "the workers or the shops go on"
        time.sleep(0.05)
