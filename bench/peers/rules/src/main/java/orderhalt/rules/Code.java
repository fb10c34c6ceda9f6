package orderhalt.rules;

import java.util.Locale;

/** Why an order is halted, by precedence (contract.md §4). */
enum Code {
    PRODUCT_MISSING,
    PHOTOS_MISSING,
    PACKAGE_MISSING,
    CREDIT_LIMIT_REACHED,
    TRANSFER_FAILED;

    /** As it stands on the wire. */
    final String text = name().toLowerCase(Locale.ROOT);

    private static final Code[] ALL = values();

    static Code at(int position) {
        return ALL[position];
    }

    /** Whether an order with this reason cannot be produced, and so reserves no money. */
    boolean isMissing() {
        return this.ordinal() <= PACKAGE_MISSING.ordinal();
    }
}
