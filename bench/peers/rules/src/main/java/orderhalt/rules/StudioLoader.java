package orderhalt.rules;

import java.nio.charset.StandardCharsets;
import java.util.HashMap;
import java.util.Map;

/** Brings a studio into memory from its rows. */
final class StudioLoader {
    private final Rows rows;
    private final RowCodec codec;

    StudioLoader(Rows rows, RowCodec codec) {
        this.rows = rows;
        this.codec = codec;
    }

    Studio load(String studioId) {
        Studio studio = new Studio(studioId);
        byte[] prefix = studio.keyPrefix.getBytes(StandardCharsets.ISO_8859_1);
        rows.forEach(Rows.Table.BALANCES, prefix, (key, row) -> {
            studio.account(item(key, prefix)).setBalance(RowCodec.decodeBalance(row));
        });
        rows.forEach(Rows.Table.ORDERS, prefix, (key, row) -> {
            studio.enter(codec.decodeOrder(studio, item(key, prefix), key, row));
        });
        for (AssetType type : AssetType.values()) {
            loadMarks(studio, type, prefix);
        }
        return studio;
    }

    private void loadMarks(Studio studio, AssetType type, byte[] prefix) {
        // The assets of one event share their mark, whose rows are equal.
        Map<String, Mark> seen = new HashMap<>();
        Rows.Table table = Rows.Table.values()[Rows.Table.PRODUCTS.ordinal() + type.ordinal()];
        rows.forEach(table, prefix, (key, row) -> {
            Mark mark = RowCodec.decodeMark(row);
            Mark shared = seen.putIfAbsent(mark.eventId(), mark);
            studio.marks.get(type.ordinal()).put(item(key, prefix), shared == null ? mark : shared);
        });
    }

    private static String item(byte[] key, byte[] prefix) {
        int length = key.length - prefix.length;
        return Ids.unquote(new String(key, prefix.length, length, StandardCharsets.ISO_8859_1));
    }
}
