"""What a figure must name: machine, versions, command."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import sys
from pathlib import Path
from typing import Any

from processor.rules import shard


def description() -> dict[str, Any]:
    """Describe where and with what something is measured."""
    return {
        "cpu": _cpu_model(),
        "cores": os.cpu_count(),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "rules": "pure Python" if str(shard.__file__).endswith(".py") else "compiled",
        "versions": {
            name: importlib.metadata.version(name)
            for name in ("orderhalt", "faust-streaming", "aiokafka", "msgspec")
        },
        "command": " ".join(["python -m", _module(), *sys.argv[1:]]),
        "load_before": round(os.getloadavg()[0], 2),
    }


def _module() -> str:
    path = Path(sys.argv[0])
    return f"{path.parent.name}.{path.stem}"


def _cpu_model() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.machine()
