"""Settings: variables and options, all faults at once, nothing that changes later."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from processor.config import ConfigurationError, Settings, load
from processor.deployment import runtime_config
from schemas import topics


@pytest.fixture(autouse=True)
def no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in Settings.model_fields:
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
