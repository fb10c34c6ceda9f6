package orderhalt.rules;

import static java.nio.charset.StandardCharsets.ISO_8859_1;

import java.util.HashMap;
import java.util.Map;
import java.util.function.BiConsumer;

/** Brings studios into memory from their rows: one when it is first met, or all at once. */
final class StudioLoader {
    private static final byte[] ALL = {};

    private final Rows rows;
    private final RowCodec codec;
    private final Map<String, Studio> studios;
    // The assets of one event share their mark, whose rows are equal.
    private final Map<String, Mark> sharedMarks = new HashMap<>();

    /** Puts what it loads into {@code studios}. */
    StudioLoader(Rows rows, RowCodec codec, Map<String, Studio> studios) {
        this.rows = rows;
        this.codec = codec;
        this.studios = studios;
    }

    Studio load(String studioId) {
        Studio studio = studios.computeIfAbsent(studioId, Studio::new);
        load(studio.keyPrefix.getBytes(ISO_8859_1));
        return studio;
    }

    void loadAll() {
        load(ALL);
    }

    private void load(byte[] prefix) {
        forEach(Rows.Table.BALANCES, prefix, (at, row) -> {
            at.studio.account(at.itemId).setBalance(RowCodec.decodeBalance(row));
        });
        forEach(Rows.Table.ORDERS, prefix, (at, row) -> {
            at.studio.enter(codec.decodeOrder(at.studio, at.itemId, at.key, row));
        });
        for (AssetType type : AssetType.values()) {
            forEach(Rows.Table.of(type), prefix, (at, row) -> {
                Mark mark = RowCodec.decodeMark(row);
                Mark shared = sharedMarks.putIfAbsent(mark.eventId(), mark);
                at.studio.marks.get(type.ordinal()).put(at.itemId, shared == null ? mark : shared);
            });
        }
        sharedMarks.clear();
    }

    private record Place(Studio studio, String itemId, byte[] key) {}

    private void forEach(Rows.Table table, byte[] prefix, BiConsumer<Place, byte[]> consumer) {
        rows.forEach(table, prefix, (key, row) -> {
            String text = new String(key, ISO_8859_1);
            int slash = text.indexOf('/');
            String studioId = Ids.unquote(text.substring(0, slash));
            Studio studio = studios.computeIfAbsent(studioId, Studio::new);
            consumer.accept(new Place(studio, Ids.unquote(text.substring(slash + 1)), key), row);
        });
    }
}
