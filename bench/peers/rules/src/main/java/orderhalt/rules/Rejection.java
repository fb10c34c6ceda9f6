package orderhalt.rules;

/** A record that is not an event, before anything has changed (contract.md §6). */
public final class Rejection extends Exception {
    private static final long serialVersionUID = 1;

    private final String code;

    Rejection(String code, String message) {
        super(message, null, false, false);
        this.code = code;
    }

    /** The record's studio belongs into another partition than that where the record is. */
    public static Rejection wrongPartition(int partition) {
        return new Rejection("wrong_partition",
                "studio_id: Kafka's default partitioner puts this studio elsewhere than into " + partition + ".");
    }

    /** What {@code orderhalt_error_code} says. */
    public String code() {
        return code;
    }
}
