package orderhalt.kstreams;

import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import orderhalt.harness.Task;
import orderhalt.rules.Rows;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.ByteArraySerializer;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.common.serialization.Serializer;
import org.apache.kafka.streams.Topology;
import org.apache.kafka.streams.processor.StreamPartitioner;
import org.apache.kafka.streams.state.KeyValueBytesStoreSupplier;
import org.apache.kafka.streams.state.Stores;

/** The flow: seven co-partitioned inputs, one processor with its stores, two outputs. */
final class HaltTopology {
    private static final String SOURCE = "inputs";
    private static final String PROCESSOR = "halts";

    private HaltTopology() {}

    static Topology of(Settings settings, String prefix) {
        Topology topology = new Topology();
        String[] inputs = Task.INPUTS.stream().map(prefix::concat).toArray(String[]::new);
        topology.addSource(SOURCE, new ByteArrayDeserializer(), new ByteArrayDeserializer(), inputs);
        topology.addProcessor(PROCESSOR, () -> new HaltProcessor(prefix, settings.task().partitions()), SOURCE);
        for (Rows.Table table : Rows.Table.values()) {
            topology.addStateStore(
                    Stores.keyValueStoreBuilder(
                                    supplier(settings, table.store), Serdes.Bytes(), Serdes.ByteArray())
                            .withLoggingEnabled(Map.of())
                            .withCachingDisabled(),
                    PROCESSOR);
        }
        Serializer<Output> valueOf = (topic, output) -> output.value();
        StreamPartitioner<byte[], Output> toStudio =
                (topic, key, output, count) -> Optional.of(Set.of(output.partition()));
        for (String name : List.of(Task.HALTED, Task.REJECTED)) {
            topology.addSink(name, prefix + name, new ByteArraySerializer(), valueOf, toStudio, PROCESSOR);
        }
        return topology;
    }

    private static KeyValueBytesStoreSupplier supplier(Settings settings, String name) {
        return switch (settings.store()) {
            case "memory" -> HashStore.supplier(name);
            case "tree" -> Stores.inMemoryKeyValueStore(name);
            case "rocksdb" -> Stores.persistentKeyValueStore(name);
            default -> throw new IllegalArgumentException("STORE is memory, tree or rocksdb");
        };
    }
}
