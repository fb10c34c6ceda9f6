"""The ground: what is committed beside the code says what it should, and nothing it should not."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
LOCKS = sorted((ROOT / "requirements").glob("*.txt"))


@pytest.mark.parametrize("lock", LOCKS, ids=lambda path: path.name)
def test_a_lock_file_names_no_address_and_hashes_everything(lock: Path) -> None:
    text = lock.read_text()
    assert "://" not in text
    entries = re.split(r"\n(?=\S)", text.strip())
    for entry in entries:
        assert re.match(r"[a-z0-9][a-z0-9._-]*==\S+", entry), entry
        assert "--hash=sha256:" in entry, entry


def test_every_dependency_is_locked() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    locked = (ROOT / "requirements" / "dev.txt").read_text()
    wanted = [
        *project["project"]["dependencies"],
        *project["project"]["optional-dependencies"]["local"],
        *(entry for group in project["dependency-groups"].values() for entry in group),
    ]
    for requirement in wanted:
        if isinstance(requirement, str):
            name = re.split(r"[<>=~!\[ ]", requirement)[0]
            assert f"\n{name}==" in f"\n{locked}", f"run: make lock ({name})"


def test_lock_files_agree() -> None:
    """One environment may take any of them after another: each package has one version in all.

    One for each marker, where a package has dropped the oldest Python. A peer of the benchmark has an
    environment of its own.
    """
    versions: dict[str, set[str]] = {}
    for lock in LOCKS:
        if lock.name.startswith("peer-"):
            continue
        for name, version, marker in re.findall(
            r"^(\S+?)==(\S+)( ; python_full_version [^\\]*)?", lock.read_text(), re.MULTILINE
        ):
            versions.setdefault(name + marker, set()).add(version)
    assert not {name: found for name, found in versions.items() if len(found) > 1}
