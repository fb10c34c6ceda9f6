package orderhalt.kstreams;

/** The value of a record to write, and the partition where it belongs: that of its studio. */
record Output(byte[] value, int partition) {}
