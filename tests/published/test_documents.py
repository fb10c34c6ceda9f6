"""The committed documents are what the code says, and the wheel has them."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import jsonschema_rs
import pytest
import yaml

import schemas.__main__ as command
from schemas.documents import documents
from schemas.examples import EXAMPLES
from schemas.jsonschemas import DESCRIBED, json_schema
from schemas.topics import INPUTS, ORDER_HALTED, REJECTED, Topic
from tests.published.pages import PAGES, filled

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("name", documents())
def test_a_document_is_what_the_code_says(name: str) -> None:
    """Otherwise: `make schemas`, and read what has changed."""
    assert (ROOT / "schemas" / name).read_text("utf-8") == documents()[name]


def test_no_document_is_left_over() -> None:
    folder = ROOT / "schemas"
    found = {x.name for x in (*folder.glob("*.json"), *folder.glob("asyncapi*.yaml"))}
    assert found == set(documents())


def test_the_command_says_what_differs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(command, "HERE", tmp_path)
    assert command.main(["--check"]) == 1
    assert "differs: schemas/order-placed.schema.json" in capsys.readouterr().out
    assert not list(tmp_path.iterdir()), "a check writes nothing"
    assert command.main([]) == 0
    assert command.main(["--check"]) == 0
    (tmp_path / "asyncapi.yaml").write_text("{}")
    assert command.main(["--check"]) == 1
    assert "asyncapi.yaml" in capsys.readouterr().out


def test_asyncapi_has_every_topic_that_is_not_private() -> None:
    document = yaml.safe_load((ROOT / "schemas" / "asyncapi.yaml").read_text("utf-8"))
    topics = (*INPUTS, ORDER_HALTED, REJECTED)
    assert set(document["channels"]) == {topic.name for topic in topics}
    for topic in topics:
        binding = document["channels"][topic.name]["bindings"]["kafka"]
        expected = {"cleanup.policy": [topic.cleanup], **topic.config}
        shown = binding["topicConfiguration"]
        assert {n: v if isinstance(v, list) else str(v) for n, v in shown.items()} == expected


@pytest.mark.parametrize("topic", DESCRIBED, ids=lambda x: x.name)
def test_examples_are_as_published(topic: Topic) -> None:
    """The official parser does not check examples of this schema dialect."""
    document = yaml.safe_load((ROOT / "schemas" / "asyncapi.yaml").read_text("utf-8"))
    assert topic.value is not None
    (example,) = document["components"]["messages"][topic.value.__name__]["examples"]
    assert example["payload"] == EXAMPLES[topic.name]
    jsonschema_rs.validate(json_schema(topic), example["payload"])


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    (built,) = folder.glob("*.whl")
    return built


def test_the_wheel_has_every_document_and_the_catalogue(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        for name, text in documents().items():
            assert archive.read(f"schemas/{name}").decode() == text
    assert "schemas/catalogue.yaml" in names
    assert not [name for name in names if name.startswith(("tests/", "bench/"))]


def test_the_catalogue_is_read_from_the_wheel(wheel: Path) -> None:
    code = (
        "import schemas.catalogue as c; assert '.whl' in c.__file__, c.__file__; "
        "print(c.catalogue().reason('photos_missing').title.to('de'))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={"PYTHONPATH": str(wheel), "PYTHONIOENCODING": "utf-8"},
        cwd=wheel.parent,
        check=True,
        capture_output=True,
        text=True,
    )
    assert done.stdout == "Fotos fehlen\n"


@pytest.mark.parametrize("page", PAGES, ids=lambda x: x.name)
def test_a_page_has_what_the_code_says(page: Path) -> None:
    """Otherwise: `make schemas`, and read what has changed."""
    text = page.read_text("utf-8")
    assert text.count("<!-- made: ") == text.count("<!-- end -->") > 0
    assert filled(text) == text


def test_producing_names_every_input() -> None:
    page = (ROOT / "docs" / "producing.md").read_text("utf-8")
    assert [topic.name for topic in INPUTS if f"`{topic.name}`" not in page] == []
