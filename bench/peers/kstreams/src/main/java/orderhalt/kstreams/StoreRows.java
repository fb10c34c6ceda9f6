package orderhalt.kstreams;

import java.util.EnumMap;
import java.util.Map;
import java.util.function.BiConsumer;
import orderhalt.rules.Rows;
import org.apache.kafka.common.utils.Bytes;
import org.apache.kafka.streams.KeyValue;
import org.apache.kafka.streams.processor.api.ProcessorContext;
import org.apache.kafka.streams.state.KeyValueIterator;
import org.apache.kafka.streams.state.KeyValueStore;

/** The rows of a shard in the state stores of its task. */
final class StoreRows implements Rows {
    private final Map<Table, KeyValueStore<Bytes, byte[]>> stores = new EnumMap<>(Table.class);

    StoreRows(ProcessorContext<?, ?> context) {
        for (Table table : Table.values()) {
            stores.put(table, context.getStateStore(table.store));
        }
    }

    @Override
    public byte[] get(Table table, byte[] key) {
        return stores.get(table).get(Bytes.wrap(key));
    }

    @Override
    public void put(Table table, byte[] key, byte[] row) {
        stores.get(table).put(Bytes.wrap(key), row);
    }

    @Override
    public void forEach(Table table, byte[] prefix, BiConsumer<byte[], byte[]> consumer) {
        if (prefix.length > 0) {
            throw new UnsupportedOperationException("Here all studios are read at once.");
        }
        try (KeyValueIterator<Bytes, byte[]> found = stores.get(table).all()) {
            while (found.hasNext()) {
                KeyValue<Bytes, byte[]> row = found.next();
                consumer.accept(row.key.get(), row.value);
            }
        }
    }
}
