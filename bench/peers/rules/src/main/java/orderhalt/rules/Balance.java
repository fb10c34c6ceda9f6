package orderhalt.rules;

/**
 * The balance as kept of a studio and currency. {@code limited} false: no limit, no check.
 * {@code lists}: it names the orders that it contains; else it contains what was secured by its date.
 */
record Balance(
        long version,
        long occurredAt,
        String eventId,
        long amountMinor,
        boolean limited,
        long limitMinor,
        boolean lists) {

    /** The highest version, then the later event, then the greater event_id (contract.md §3). */
    boolean beats(Balance kept) {
        if (version != kept.version) {
            return version > kept.version;
        }
        if (occurredAt != kept.occurredAt) {
            return occurredAt > kept.occurredAt;
        }
        return Ids.compare(eventId, kept.eventId) > 0;
    }
}
