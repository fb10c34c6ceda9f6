package orderhalt.rules;

import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.Base64;
import java.util.EnumMap;
import java.util.Map;
import java.util.TreeMap;
import java.util.function.BiConsumer;

/**
 * The rules without a framework, to be compared with others: records on standard input, one a line, as
 * topic, partition, offset, timestamp, key and value (both base64, {@code -} for null) between tabs; what
 * comes of each on standard output, {@code KEY VALUE} (base64) or {@code ! CODE}, and an empty line.
 *
 * <p>The argument is after how many records all but the rows is dropped and read anew; 0: never.
 */
public final class Replay {
    private final Map<Integer, MapRows> rows = new TreeMap<>();
    private final Map<Integer, Shard> shards = new TreeMap<>();
    private final EventReader reader = new EventReader();
    private int made;

    private Replay() {}

    public static void main(String[] arguments) throws IOException {
        int reload = Integer.parseInt(arguments[0]);
        BufferedReader in = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.US_ASCII));
        PrintStream out = new PrintStream(System.out, false, StandardCharsets.US_ASCII);
        Replay replay = new Replay();
        int taken = 0;
        for (String line = in.readLine(); line != null; line = in.readLine()) {
            replay.take(line.split("\t", -1), out);
            if (reload > 0 && ++taken % reload == 0) {
                replay.shards.clear();
            }
        }
        out.flush();
    }

    private void take(String[] record, PrintStream out) {
        int partition = Integer.parseInt(record[1]);
        MapRows kept = rows.computeIfAbsent(partition, number -> new MapRows());
        Shard shard = shards.computeIfAbsent(partition, number -> shardOf(kept));
        try {
            Event event = reader.read(record[0], bytes(record[4]), bytes(record[5]), Long.parseLong(record[3]));
            Cause cause = new Cause(record[0], partition, Long.parseLong(record[2]));
            for (Emission emission : shard.apply(event, cause)) {
                out.println(text(emission.key()) + ' ' + text(emission.value()));
            }
        } catch (Rejection rejection) {
            out.println("! " + rejection.code());
        }
        out.println();
    }

    /** Every other one reads all of its rows at once. */
    private Shard shardOf(MapRows kept) {
        Shard shard = new Shard(kept, "");
        if (++made % 2 == 0) {
            shard.loadAll();
        }
        return shard;
    }

    private static byte[] bytes(String text) {
        return text.equals("-") ? null : Base64.getDecoder().decode(text);
    }

    private static String text(byte[] bytes) {
        return Base64.getEncoder().encodeToString(bytes);
    }

    private static final class MapRows implements Rows {
        private final Map<Table, TreeMap<byte[], byte[]>> tables = new EnumMap<>(Table.class);

        private MapRows() {
            for (Table table : Table.values()) {
                tables.put(table, new TreeMap<>(Arrays::compareUnsigned));
            }
        }

        @Override
        public byte[] get(Table table, byte[] key) {
            return tables.get(table).get(key);
        }

        @Override
        public void put(Table table, byte[] key, byte[] row) {
            tables.get(table).put(key, row);
        }

        @Override
        public void forEach(Table table, byte[] prefix, BiConsumer<byte[], byte[]> consumer) {
            tables.get(table).tailMap(prefix, true).forEach((key, row) -> {
                if (Arrays.equals(key, 0, Math.min(key.length, prefix.length), prefix, 0, prefix.length)) {
                    consumer.accept(key, row);
                }
            });
        }
    }
}
