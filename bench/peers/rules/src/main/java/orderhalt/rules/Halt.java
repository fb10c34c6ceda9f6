package orderhalt.rules;

/**
 * What was last said of an order on order-halted; it is halted where {@code codes} are. {@code since}
 * goes with {@code codes}; {@code digest} is of all that makes a new record when it changes.
 */
record Halt(long sequence, long episode, long haltedSince, Code[] codes, long[] since, byte[] digest) {

    boolean has(Code code) {
        return since(code) != Instants.NONE;
    }

    /** Since when a code has been active, {@link Instants#NONE} where it is not. */
    long since(Code code) {
        for (int at = 0; at < codes.length; at++) {
            if (codes[at] == code) {
                return since[at];
            }
        }
        return Instants.NONE;
    }
}
