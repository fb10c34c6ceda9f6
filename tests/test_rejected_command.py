"""`orderhalt rejected` on a real Kafka: what was rejected is found, shown, repaired and sent again."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from schemas.partitioning import default_partition
from tests.support.deployment import PARTITIONS, STUDIO, Deployment, order_placed

HOME = default_partition(STUDIO.encode(), PARTITIONS)
WRONG = (HOME + 1) % PARTITIONS
OWN_HEADERS = [("trace", b"abc"), ("trace", b"def"), ("blob", b"\xff\x00")]


@pytest.fixture
def rejected(deployment: Deployment) -> Deployment:
    """A deployment that has rejected four records, each for another reason."""
    broken = {**order_placed("o1", "p1"), "paid": "yes"}
    deployment.send("order-placed", broken, headers=OWN_HEADERS)
    deployment.send("order-placed", order_placed("o2", "p2"), WRONG)
    deployment.send("lab-transfer", b"\xff\x1b[31m")
    deployment.send("order-placed", order_placed("o3", "p3"), HOME, key=b"another")
    deployment.start("processor.cli", "worker")
    deployment.read("orderhalt-rejected", 4)
    return deployment


def listed(deployment: Deployment, *options: str) -> list[dict[str, Any]]:
    done = deployment.run("rejected", "list", "--json", *options)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def id_of(deployment: Deployment, code: str) -> str:
    [found] = listed(deployment, "--code", code)
    return str(found["id"])


def test_list_finds_by_code_topic_and_time(rejected: Deployment) -> None:
    everything = listed(rejected)
    codes = {"invalid_event", "wrong_partition", "malformed_json", "key_mismatch"}
    assert {x["code"] for x in everything} == codes
    [invalid] = listed(rejected, "--code", "invalid_event")
    assert invalid["error"].startswith("paid:")
    assert (invalid["topic"], invalid["partition"]) == (f"{rejected.prefix}order-placed", HOME)
    assert invalid["key"] == STUDIO
    assert len(listed(rejected, "--topic", "order-placed")) == 3
    assert len(listed(rejected, "--topic", f"{rejected.prefix}lab-transfer")) == 1
    assert len(listed(rejected, "--since", "1h")) == 4
    assert listed(rejected, "--until", "1h") == []
    assert listed(rejected, "--since", "2100-01-01T00:00:00Z") == []
    assert [x["rejected_at"] for x in listed(rejected, "--limit", "1")] == [
        max(x["rejected_at"] for x in everything)
    ]


def test_list_writes_a_table(rejected: Deployment) -> None:
    done = rejected.run("rejected", "list", "--limit", "3")
    header, *lines = done.stdout.splitlines()
    assert header.split() == ["ID", "REJECTED", "CODE", "FROM", "KEY", "ERROR"]
    assert len(lines) == 3
    assert "4 rejected: " in done.stderr
    assert "the newest 3 are shown" in done.stderr


def test_show_says_why_and_what_to_do(rejected: Deployment) -> None:
    shown = rejected.run("rejected", "show", id_of(rejected, "invalid_event")).stdout
    assert "Not an event (invalid_event)" in shown
    assert "paid: " in shown
    assert "Check the value against the topic's JSON Schema" in shown
    assert f"{rejected.prefix}order-placed, partition {HOME}, offset 0" in shown
    assert "trace: abc" in shown
    assert '"paid": "yes"' in shown
    assert "Kein Ereignis" in (
        rejected.run("rejected", "show", id_of(rejected, "invalid_event"), "--lang", "de").stdout
    )


def test_show_keeps_a_stranger_s_bytes_from_the_terminal(rejected: Deployment) -> None:
    number = id_of(rejected, "malformed_json")
    shown = rejected.run("rejected", "show", number).stdout
    assert "\x1b" not in shown
    assert "00000000  ff 1b 5b 33 31 6d" in shown
    found = json.loads(rejected.run("rejected", "show", number, "--json").stdout)
    assert found["value_base64"] == "/xtbMzFt"


def test_resend_as_it_is_goes_to_the_partition_of_its_key(rejected: Deployment) -> None:
    number = id_of(rejected, "wrong_partition")
    dry = rejected.run("rejected", "resend", number, "--dry-run")
    assert f"would go to {rejected.prefix}order-placed partition {HOME}" in dry.stdout
    done = rejected.run("rejected", "resend", number, "--json")
    place = json.loads(done.stdout)
    assert (place["topic"], place["partition"]) == (f"{rejected.prefix}order-placed", HOME)
    assert halted_by_its_photo(rejected, "o2", "p2")


def halted_by_its_photo(deployment: Deployment, order: str, photo: str) -> bool:
    """Tell whether the worker knows the order: it halts it when its photo goes."""
    deployment.send(
        "asset-deleted",
        {
            "event_id": f"gone-{photo}",
            "occurred_at": "2026-05-01T11:00:00Z",
            "studio_id": STUDIO,
            "asset_type": "photo",
            "asset_ids": [photo],
        },
    )
    [halt] = deployment.read("order-halted", 1)
    return bool(halt.key() == f"{STUDIO}/{order}".encode())


def test_resend_repaired_keeps_key_and_headers_and_drops_ours(
    rejected: Deployment, tmp_path: Path
) -> None:
    number = id_of(rejected, "invalid_event")
    before = rejected.run("rejected", "show", number, "--value").stdout
    repaired = tmp_path / "repaired.json"
    repaired.write_text(before.replace('"yes"', "true"))
    done = rejected.run("rejected", "resend", number, "--value", str(repaired))
    assert done.returncode == 0, done.stderr
    sent = [x for x in rejected.read("order-placed", 4) if x.value() == repaired.read_bytes()]
    assert [(x.key(), x.headers(), x.partition()) for x in sent] == [
        (STUDIO.encode(), OWN_HEADERS, HOME)
    ]
    assert halted_by_its_photo(rejected, "o1", "p1")


def test_resend_takes_standard_input_and_another_key(rejected: Deployment) -> None:
    number = id_of(rejected, "key_mismatch")
    value = rejected.run("rejected", "show", number, "--value").stdout
    refused = rejected.run("rejected", "resend", number, "--value", "-", stdin=value)
    assert refused.returncode == 1
    assert "would be rejected again, as key_mismatch" in refused.stderr
    done = rejected.run("rejected", "resend", number, "--value", "-", "--key", STUDIO, stdin=value)
    assert done.returncode == 0, done.stderr
    assert halted_by_its_photo(rejected, "o3", "p3")


def test_resend_edits(rejected: Deployment, tmp_path: Path) -> None:
    editor = tmp_path / "editor.py"
    editor.write_text(
        "import pathlib, sys\n"
        "path = pathlib.Path(sys.argv[1])\n"
        "path.write_text(path.read_text().replace('\"yes\"', 'true'))\n"
    )
    number = id_of(rejected, "invalid_event")
    idle = rejected.run("rejected", "resend", number, "--edit", environment={"VISUAL": "true"})
    assert idle.returncode == 1
    assert "Nothing was changed" in idle.stderr
    environment = {"VISUAL": f"{sys.executable} {editor}"}
    done = rejected.run("rejected", "resend", number, "--edit", environment=environment)
    assert done.returncode == 0, done.stderr
    assert halted_by_its_photo(rejected, "o1", "p1")


def test_what_would_be_rejected_again_is_not_sent_unless_forced(rejected: Deployment) -> None:
    """One that is refused keeps all of them from being sent."""
    broken, lawful = id_of(rejected, "malformed_json"), id_of(rejected, "wrong_partition")
    refused = rejected.run("rejected", "resend", lawful, broken)
    assert refused.returncode == 1
    assert "as malformed_json" in refused.stderr
    assert "Nothing was sent." in refused.stderr
    assert refused.stdout == ""
    assert len(listed(rejected)) == 4
    forced = rejected.run("rejected", "resend", broken, "--force")
    assert forced.returncode == 0, forced.stderr
    assert len(rejected.read("orderhalt-rejected", 5)) == 5


def test_a_record_that_is_not_there(rejected: Deployment) -> None:
    for number in (f"{HOME}:999", "99:0"):
        for command in ("show", "resend"):
            done = rejected.run("rejected", command, number)
            assert done.returncode == 3, done.stderr
            assert f"There is no rejected record {number}" in done.stderr
    wrong = rejected.run("rejected", "show", "nonsense")
    assert wrong.returncode == 2
    assert "is not PARTITION:OFFSET" in wrong.stderr


def test_repairs_are_for_one_record() -> None:
    """Wrong usage is found before Kafka is asked."""
    from click.testing import CliRunner

    from processor.cli import main

    for words in (["0:1", "0:2", "--edit"], ["0:1", "--edit", "--value", "-"]):
        assert CliRunner().invoke(main, ["rejected", "resend", *words]).exit_code == 2
