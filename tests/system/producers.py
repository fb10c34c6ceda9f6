"""Send with the clients of strangers, keyed, and with no partition named."""

from __future__ import annotations

from collections.abc import Callable

from confluent_kafka import Producer

from tests.system import toolbox
from tests.system.readers import run

Pairs = list[tuple[str, str]]
"""Key and value; neither has a tab or a line end."""
Send = Callable[[str, str, Pairs], None]

#: What docs/producing.md tells users of librdkafka to set.
DOCUMENTED = "murmur2_random"


def _lines(pairs: Pairs) -> bytes:
    return "".join(f"{key}\t{value}\n" for key, value in pairs).encode()


def java_console(servers: str, topic: str, pairs: Pairs) -> None:
    """Send with Kafka's console producer: the JVM client as it is."""
    options = ["--bootstrap-server", servers, "--topic", topic]
    for each in ("parse.key=true", "key.separator=\t"):
        options += ["--reader-property", each]
    main = "org.apache.kafka.tools.ConsoleProducer"
    java = toolbox.java_tools()
    # Java reads standard input in the machine's character set unless told.
    run(
        [java[0], "-Dstdin.encoding=UTF-8", "-Dfile.encoding=UTF-8", *java[1:], main, *options],
        _lines(pairs),
    )


def kcat(servers: str, topic: str, pairs: Pairs) -> None:
    """Send with kcat and the documented partitioner."""
    options = ["-P", "-b", servers, "-t", topic, "-K", "\t"]
    run([toolbox.program("kcat"), *options, "-X", f"partitioner={DOCUMENTED}"], _lines(pairs))


def librdkafka(servers: str, topic: str, pairs: Pairs, partitioner: str = DOCUMENTED) -> None:
    """Send with confluent-kafka for Python."""
    producer = Producer({"bootstrap.servers": servers, "partitioner": partitioner})
    for key, value in pairs:
        producer.produce(topic, value.encode(), key.encode())
    assert producer.flush(30) == 0


def librdkafka_as_it_is(servers: str, topic: str, pairs: Pairs) -> None:
    """Send with librdkafka's own default partitioner, which is the wrong one."""
    librdkafka(servers, topic, pairs, "consistent_random")


def kafkajs(servers: str, topic: str, pairs: Pairs) -> None:
    """Send with KafkaJS as it is."""
    run(toolbox.node("produce.js", servers, topic), _lines(pairs))
