"""Settings: variables and options, all faults at once, nothing that changes later."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from pydantic import ValidationError

from processor.cli import main
from processor.config import ConfigurationError, Settings, load, load_traced
from processor.deployment import runtime_config
from schemas import topics


@pytest.fixture(autouse=True)
def no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("config", *Settings.model_fields):
        monkeypatch.delenv(f"ORDERHALT_{name.upper()}", raising=False)


def test_defaults_need_nothing() -> None:
    settings = load()
    assert settings.servers == ("127.0.0.1:9092",)
    assert settings.group == "orderhalt"


def test_the_prefix_is_in_every_name() -> None:
    config = runtime_config(load(topic_prefix="shop-"))
    names = {
        *config.inputs,
        *config.changelogs.values(),
        config.output,
        config.rejected,
        config.positions,
        config.journal,
    }
    assert names == {f"shop-{topic.name}" for topic in topics.ALL}
    assert config.group_id == "shop-orderhalt"
    assert config.transactional_id(3) == "shop-orderhalt-3"


def test_an_option_beats_its_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ORDERHALT_COMMIT_INTERVAL_MS", "250")
    monkeypatch.setenv("ORDERHALT_TOPIC_PREFIX", "a-")
    settings = load(topic_prefix="b-", commit_interval_ms=None)
    assert (settings.topic_prefix, settings.commit_interval_ms) == ("b-", 250)


def test_all_faults_are_reported_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ORDERHALT_BOOTSTRAP_SERVERS", "kafka")
    monkeypatch.setenv("ORDERHALT_TOPIC_PREFIX", "a b")
    monkeypatch.setenv("ORDERHALT_TRANSACTION_TIMEOUT_MS", "soon")
    with pytest.raises(ConfigurationError) as error:
        load(closed_retention_days=0)
    lines = str(error.value).splitlines()
    assert [line.split(":")[0] for line in lines] == [
        "ORDERHALT_BOOTSTRAP_SERVERS",
        "ORDERHALT_TOPIC_PREFIX",
        "ORDERHALT_TRANSACTION_TIMEOUT_MS",
        "--closed-retention-days",
    ]


@pytest.mark.parametrize(
    ("servers", "lawful"),
    [
        ("127.0.0.1:9092", True),
        ("a.example:9092, b.example:9093", True),
        ("[::1]:9092", True),
        ("", False),
        ("a:9092,", False),
        ("http://a:9092", False),
        ("a:port", False),
    ],
)
def test_servers(servers: str, lawful: bool) -> None:
    if lawful:
        assert load(bootstrap_servers=servers).servers[0] in servers
    else:
        with pytest.raises(ConfigurationError):
            load(bootstrap_servers=servers)


def test_settings_are_frozen() -> None:
    with pytest.raises(ValidationError):
        load().topic_prefix = "x"


def test_a_file_stands_beneath_variables_and_options(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file = tmp_path / "orderhalt.toml"
    file.write_text(
        'bootstrap_servers = ["a:1", "b:2"]\ntopic_prefix = "file-"\nmax_poll_records = 7\n'
        "commit_interval_ms = 50\n"
    )
    monkeypatch.setenv("ORDERHALT_TOPIC_PREFIX", "variable-")
    monkeypatch.setenv("ORDERHALT_COMMIT_INTERVAL_MS", "60")
    loaded = load_traced(file, commit_interval_ms="70")
    settings = loaded.settings
    assert settings.servers == ("a:1", "b:2")
    assert (settings.topic_prefix, settings.commit_interval_ms) == ("variable-", 70)
    origins = {name: (x.kind, x.name) for name, x in loaded.origins.items()}
    assert origins["commit_interval_ms"] == ("option", "--commit-interval-ms")
    assert origins["topic_prefix"] == ("variable", "ORDERHALT_TOPIC_PREFIX")
    assert origins["max_poll_records"] == ("file", f"{file}: max_poll_records")
    assert origins["group_id"][0] == "default"
    monkeypatch.setenv("ORDERHALT_CONFIG", str(file))
    assert load().max_poll_records == 7


def test_faults_of_the_file_are_reported_with_all_others(tmp_path: Path) -> None:
    file = tmp_path / "orderhalt.toml"
    file.write_text('topic_prefx = "a"\nmax_poll_records = 0\nunheard_of = 1\n')
    with pytest.raises(ConfigurationError) as error:
        load(file, bootstrap_servers="nonsense")
    assert str(error.value).splitlines() == [
        f"{file}: topic_prefx: there is no such setting; did you mean topic_prefix?",
        f"{file}: unheard_of: there is no such setting, see `orderhalt config`",
        "--bootstrap-servers: 'nonsense' is not host:port",
        f"{file}: max_poll_records: Input should be greater than or equal to 1",
    ]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "cannot be read: No such file"),
        (b"a = ", "is not TOML"),
        (b"\xff", "is not TOML"),
    ],
)
def test_a_file_that_cannot_be_read_is_a_fault(
    tmp_path: Path, content: bytes | None, words: str
) -> None:
    file = tmp_path / "orderhalt.toml"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(ConfigurationError, match=words) as error:
        load(file, topic_prefix="a b")
    assert "--topic-prefix: " in str(error.value)


def test_an_empty_variable_is_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """As compose files write what is not set."""
    monkeypatch.setenv("ORDERHALT_SSL_CA_FILE", "")
    monkeypatch.setenv("ORDERHALT_INSTANCE_ID", "")
    settings = load()
    assert (settings.ssl_ca_file, settings.instance_id) == (None, None)


def test_every_setting_says_what_it_is() -> None:
    assert [name for name, field in Settings.model_fields.items() if not field.description] == []


# ---- orderhalt config


def configured(*options: str) -> Result:
    return CliRunner().invoke(main, ["config", *options])


def test_the_command_says_what_counts_and_where_it_comes_from(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("ORDERHALT_SECURITY_PROTOCOL", "SASL_PLAINTEXT")
    monkeypatch.setenv("ORDERHALT_SASL_USERNAME", "somebody")
    monkeypatch.setenv("ORDERHALT_SASL_PASSWORD", "not-a-secret")
    shown = configured("--topic-prefix", "shop-").stdout
    assert re.search(r"^topic_prefix +shop-  \(--topic-prefix\)$", shown, re.MULTILINE)
    assert re.search(r"^sasl_username +somebody  \(ORDERHALT_SASL_USERNAME\)$", shown, re.MULTILINE)
    assert re.search(r"^sasl_password +\*{8}  ", shown, re.MULTILINE)
    assert "not-a-secret" not in shown
    document = json.loads(configured("--json").stdout)
    assert list(document["settings"]) == list(Settings.model_fields)
    assert document["settings"]["sasl_password"]["value"] == "*" * 8
    assert document["settings"]["one_by_one"] == {
        "value": False,
        "from": "default",
        "name": "ORDERHALT_ONE_BY_ONE",
    }


def test_the_command_lists_every_fault_and_ends_with_2(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ORDERHALT_MAX_POLL_RECORDS", "many")
    done = configured("--closed-retention-days", "0", "--topic-prefix", "a b")
    assert done.exit_code == 2
    for name in ("--topic-prefix: ", "ORDERHALT_MAX_POLL_RECORDS: ", "--closed-retention-days: "):
        assert name in done.stderr


def test_every_command_reports_all_faults_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A variable that is no number does not hide the others, as it would if click read it."""
    monkeypatch.setenv("ORDERHALT_COMMIT_INTERVAL_MS", "soon")
    monkeypatch.setenv("ORDERHALT_ONE_BY_ONE", "perhaps")
    done = CliRunner().invoke(main, ["worker", "--session-timeout-ms", "x"])
    assert done.exit_code == 2
    for name in ("ORDERHALT_COMMIT_INTERVAL_MS", "ORDERHALT_ONE_BY_ONE", "--session-timeout-ms"):
        assert f"{name}: " in done.stderr


def test_the_template_is_a_file_that_changes_nothing(tmp_path: Path) -> None:
    template = configured("--template").stdout
    file = tmp_path / "orderhalt.toml"
    file.write_text(template)
    assert load(file) == load()
    bare = re.sub(r"^# (\w+ = )", r"\1", template, flags=re.MULTILINE)
    assert set(tomllib.loads(bare)) == set(Settings.model_fields)
    file.write_text(bare)
    assert load(file).model_dump() == load().model_dump()


def test_secrets_have_no_option() -> None:
    """Others can read the command lines of running processes."""
    shown = configured("--help").stdout
    assert "--sasl-username" in shown
    assert "--sasl-password" not in shown
    assert "--ssl-key-password" not in shown


def test_a_mistyped_variable_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ORDERHALT_TOPIC_PREFX", "a")
    assert "ORDERHALT_TOPIC_PREFX is no setting; did you mean ORDERHALT_TOPIC_PREFIX?" in (
        configured().stderr
    )
