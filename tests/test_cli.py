"""The command line: every command helps, with an example, and none is imported before its turn."""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest
from click.testing import CliRunner

from processor.cli import COMMANDS, main
from processor.cli.exits import MEANINGS
from processor.runtime.failstop import EXIT_UNAVAILABLE


@pytest.fixture
def runner() -> CliRunner:
    return CliRunner()


def test_help_lists_the_commands_in_order(runner: CliRunner) -> None:
    result = runner.invoke(main, ["--help"])
    listed = [
        line.split()[0] for line in result.output.partition("Commands:")[2].splitlines() if line
    ]
    assert [word for word in listed if word in COMMANDS] == list(COMMANDS)
    assert "Exit codes" in result.output


def test_version_is_the_package_s(runner: CliRunner) -> None:
    assert version("orderhalt") in runner.invoke(main, ["--version"]).output


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_helps_with_an_example(runner: CliRunner, name: str) -> None:
    result = runner.invoke(main, [name, "--help"])
    assert result.exit_code == 0, result.output
    assert f"orderhalt {name}" in result.output.partition("Example")[2]


def test_every_option_has_a_variable(
    runner: CliRunner, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """One that its help does not name is made of the command and the option."""
    monkeypatch.setenv("ORDERHALT_SIMULATE_EVENTS", "3")
    monkeypatch.setenv("ORDERHALT_SIMULATE_OUTPUT", str(tmp_path / "events"))
    result = runner.invoke(main, ["simulate"])
    assert result.exit_code == 0, result.output
    assert len((tmp_path / "events").read_text().splitlines()) == 3


def test_help_imports_no_command() -> None:
    """A worker starts fast because `orderhalt` loads only what it runs."""
    program = (
        "import sys; from processor.cli import main\n"
        "main(['--help'], standalone_mode=False)\n"
        "heavy = {'faust', 'aiokafka', 'rich', 'msgspec', 'pydantic'} & set(sys.modules)\n"
        "sys.exit(' '.join(heavy) or 0)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], check=False, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


def test_an_unknown_command_is_wrong_usage(runner: CliRunner) -> None:
    assert runner.invoke(main, ["nonsense"]).exit_code == 2


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_has_a_script_for_every_shell(runner: CliRunner, shell: str) -> None:
    result = runner.invoke(main, ["completion", shell])
    assert result.exit_code == 0, result.output
    assert f"_ORDERHALT_COMPLETE={shell}_complete" in result.output


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("orderhalt expl", {"explain"}),
        ("orderhalt rejected ", {"list", "show", "resend"}),
        ("orderhalt tail --from", {"--from-beginning"}),
        ("orderhalt explain s o --lang ", {"en", "de"}),
    ],
)
def test_a_shell_completes_commands_options_and_values(words: str, expected: set[str]) -> None:
    """Bash itself runs the script, and is asked what it would offer."""
    typed = words.split(" ")
    bash = shutil.which("bash")
    assert bash is not None, "this test needs bash"
    program = (
        'eval "$("$1" completion bash)"\n'
        f"COMP_WORDS=({' '.join(map(repr, typed))}); COMP_CWORD={len(typed) - 1}\n"
        '_orderhalt_completion "$1"; printf "%s\\n" "${COMPREPLY[@]}"'
    )
    installed = Path(sys.executable).with_name("orderhalt")
    done = subprocess.run(
        [bash, "-c", program, bash, str(installed)], check=False, capture_output=True, text=True
    )
    assert expected <= set(done.stdout.split()), done.stderr


def test_the_exit_codes_of_help_and_docs_are_one_table(runner: CliRunner) -> None:
    """Every code that a command ends with stands in both, and no other."""
    page = (Path(__file__).parent.parent / "docs" / "operating.md").read_text()
    documented = {int(code) for code in re.findall(r"^\| (\d+) \|", page, re.MULTILINE)}
    shown = runner.invoke(main, ["--help"]).output.partition("Exit codes:")[2]
    assert documented == set(MEANINGS)
    assert {int(code) for code in re.findall(r"^ +(\d+)  ", shown, re.MULTILINE)} == set(MEANINGS)


def test_ctrl_c_before_it_is_done_has_a_code_of_its_own() -> None:
    """Asked of a Kafka that takes the connection and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        silent.settimeout(30)
        port = silent.getsockname()[1]
        explain = subprocess.Popen(
            [sys.executable, "-m", "processor.cli", "explain", "s", "o"],
            env={**os.environ, "ORDERHALT_BOOTSTRAP_SERVERS": f"127.0.0.1:{port}"},
            stderr=subprocess.PIPE,
        )
        connection, _ = silent.accept()
        connection.settimeout(30)
        with connection:
            # It waits for the answer now. Before, the end of connecting can swallow a cancellation
            # (asyncio.wait_for of Python 3.11), and one has to press again.
            assert connection.recv(1)
            explain.send_signal(signal.SIGINT)
            _, said = explain.communicate(timeout=30)
    assert (explain.returncode, said) == (130, b"")


@pytest.mark.parametrize(
    "words",
    [
        "explain s o",
        "tail",
        "rejected list",
        "rejected show 0:0",
        "rejected resend 0:0",
        "topics check",
        "topics create",
        "skip order-placed 0 0",
        "simulate --fast --events 1",
    ],
)
def test_where_there_is_no_kafka_every_command_says_so(runner: CliRunner, words: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        nobody = f"127.0.0.1:{server.getsockname()[1]}"
    result = runner.invoke(main, [*words.split(), "--bootstrap-servers", nobody])
    assert result.exit_code == EXIT_UNAVAILABLE, result.stderr
    assert nobody in result.stderr
    assert "Traceback" not in result.stderr
