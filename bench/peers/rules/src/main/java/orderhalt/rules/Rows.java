package orderhalt.rules;

import java.util.function.BiConsumer;

/**
 * Where the rows of a shard are kept for good: the stores of the framework. Keys are the percent-encoded
 * ids joined by {@code /}, the studio's first (contract.md §1).
 */
public interface Rows {
    /** One store each. */
    enum Table {
        ORDERS,
        PRODUCTS,
        PHOTOS,
        PACKAGES,
        BALANCES;

        /** The name of its store. */
        public final String store = name().toLowerCase(java.util.Locale.ROOT);

        private static final Table[] OF_ASSETS = {PRODUCTS, PHOTOS, PACKAGES};

        static Table of(AssetType type) {
            return OF_ASSETS[type.ordinal()];
        }
    }

    /** Give a row, or null. */
    byte[] get(Table table, byte[] key);

    void put(Table table, byte[] key, byte[] row);

    /** Give all rows whose key begins with {@code prefix}, which is a studio's or empty. */
    void forEach(Table table, byte[] prefix, BiConsumer<byte[], byte[]> consumer);
}
