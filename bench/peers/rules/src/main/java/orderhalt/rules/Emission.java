package orderhalt.rules;

/** One record for order-halted; the texts are those of its CloudEvents headers (contract.md §5). */
public record Emission(byte[] key, byte[] value, String eventId, String change, String occurredAt) {}
