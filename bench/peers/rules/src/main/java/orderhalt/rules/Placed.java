package orderhalt.rules;

/** The order as kept. */
record Placed(
        long version,
        long occurredAt,
        String eventId,
        long placedAt,
        Line[] lines,
        long costMinor,
        String currency,
        boolean paid) {

    /** The highest version, then the later event, then the greater event_id (contract.md §3). */
    boolean beats(Placed kept) {
        if (version != kept.version) {
            return version > kept.version;
        }
        if (occurredAt != kept.occurredAt) {
            return occurredAt > kept.occurredAt;
        }
        return Ids.compare(eventId, kept.eventId) > 0;
    }
}
