package orderhalt.flink;

/** One record of an input topic; {@code key} and {@code value} may be null. */
public record Input(String topic, int partition, long offset, long timestamp, byte[] key, byte[] value) {}
