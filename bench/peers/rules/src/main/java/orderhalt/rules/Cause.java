package orderhalt.rules;

/** The input event behind a record: where it stands, {@code topic} with its prefix. */
public record Cause(String topic, int partition, long offset) {}
