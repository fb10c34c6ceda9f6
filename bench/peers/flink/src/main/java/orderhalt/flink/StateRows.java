package orderhalt.flink;

import static java.nio.charset.StandardCharsets.ISO_8859_1;

import java.io.Serial;
import java.util.EnumMap;
import java.util.Map;
import java.util.function.BiConsumer;
import orderhalt.rules.Rows;
import org.apache.flink.api.common.functions.RuntimeContext;
import org.apache.flink.api.common.state.MapState;
import org.apache.flink.api.common.state.MapStateDescriptor;
import org.apache.flink.api.common.typeinfo.PrimitiveArrayTypeInfo;
import org.apache.flink.api.common.typeinfo.Types;

/** The rows of the studio that is the current key, in keyed state. */
final class StateRows implements Rows {
    private final Map<Table, MapState<String, byte[]>> states = new EnumMap<>(Table.class);

    StateRows(RuntimeContext context) {
        for (Table table : Table.values()) {
            states.put(table, context.getMapState(new MapStateDescriptor<>(
                    table.store, Types.STRING, PrimitiveArrayTypeInfo.BYTE_PRIMITIVE_ARRAY_TYPE_INFO)));
        }
    }

    @Override
    public byte[] get(Table table, byte[] key) {
        try {
            return states.get(table).get(new String(key, ISO_8859_1));
        } catch (Exception fault) {
            throw new StateFault(fault);
        }
    }

    @Override
    public void put(Table table, byte[] key, byte[] row) {
        try {
            states.get(table).put(new String(key, ISO_8859_1), row);
        } catch (Exception fault) {
            throw new StateFault(fault);
        }
    }

    /** All rows of the current key are those of one studio, whose prefix they have. */
    @Override
    public void forEach(Table table, byte[] prefix, BiConsumer<byte[], byte[]> consumer) {
        try {
            for (Map.Entry<String, byte[]> row : states.get(table).entries()) {
                consumer.accept(row.getKey().getBytes(ISO_8859_1), row.getValue());
            }
        } catch (Exception fault) {
            throw new StateFault(fault);
        }
    }

    private static final class StateFault extends RuntimeException {
        @Serial
        private static final long serialVersionUID = 1;

        private StateFault(Exception cause) {
            super("The state backend failed.", cause);
        }
    }
}
