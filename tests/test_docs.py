"""What README and docs tell people to type can be typed."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import click
import pytest

from processor.cli import main
from processor.metrics.table import table

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
# In a code block, or in back ticks: `orderhalt …`, alone or at either end of a pipe.
COMMAND = re.compile(r"(?:^ {4}|^\$ |`|\| )(orderhalt [a-z][^`|\n#]*)", re.MULTILINE)


def commands() -> list[str]:
    """Collect every full command line of the pages; words in capitals are placeholders."""
    found = []
    for page in PAGES:
        if page.name in ("contract.md", "glossary.md"):
            continue
        found += [x.strip() for x in COMMAND.findall(page.read_text())]
    return sorted({x for x in found if not re.search(r"[A-Z]{2}|…", x)})


def test_the_pages_show_commands() -> None:
    assert len(commands()) >= 6


@pytest.mark.parametrize("line", commands())
def test_command_is_understood(line: str) -> None:
    """The command and each of its options exist; nothing is run."""
    words = shlex.split(line)[1:]
    group: click.Command = main
    context = click.Context(main)
    while isinstance(group, click.Group):
        command = group.get_command(context, words.pop(0))
        assert command is not None, f"no such command: {line}"
        group = command
    group.make_context("orderhalt", words, resilient_parsing=False)


@pytest.mark.parametrize(
    "target",
    [
        "availability", "bench", "compiled", "crash", "dashboards", "demo", "help", "observability", "recovery", "schemas",
        "simulation", "test", "test-compiled", "test-system",
    ],
)  # fmt: skip
def test_make_target_exists(target: str) -> None:
    assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(), re.MULTILINE)


def test_every_test_that_the_guarantees_name_exists() -> None:
    page = (ROOT / "docs" / "guarantees.md").read_text()
    named = re.findall(r"`(tests/[a-z_/]+[.]py)::(\w+)`", page)
    assert len(named) >= 15
    for path, name in named:
        assert re.search(rf"^def {name}\(", (ROOT / path).read_text(), re.MULTILINE), (path, name)


def test_the_table_of_metrics_is_what_the_file_of_names_says() -> None:
    page = (ROOT / "docs" / "operating.md").read_text()
    found = re.search(
        r"<!-- made by `python -m processor.metrics.table` -->\n(.*?)\n<!--", page, re.DOTALL
    )
    assert found is not None
    assert found[1] == table(), "run python -m processor.metrics.table, and put it there"


def test_the_pipe_of_the_readme_runs() -> None:
    """The first thing to try without a broker: simulated events, judged."""
    readme = (ROOT / "README.md").read_text()
    pipe = re.search(r"`(orderhalt simulate [^`]*\| orderhalt replay -)`", readme)
    assert pipe is not None
    simulate, replay = (shlex.split(x)[1:] for x in pipe[1].split(" | "))
    events = subprocess.run(
        [sys.executable, "-m", "processor.cli", *simulate], check=True, capture_output=True
    )
    done = subprocess.run(
        [sys.executable, "-m", "processor.cli", *replay],
        input=events.stdout,
        check=True,
        capture_output=True,
    )
    assert b'"primary_reason"' in done.stdout
    assert b"Halted orders" in done.stderr
