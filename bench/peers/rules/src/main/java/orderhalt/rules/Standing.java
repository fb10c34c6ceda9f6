package orderhalt.rules;

/** Whether an order was last cancelled or reinstated. */
record Standing(long occurredAt, boolean cancelled, String eventId) {

    /** The latest; cancelled beats reinstated, then the greater event_id (contract.md §3). */
    boolean beats(Standing kept) {
        if (occurredAt != kept.occurredAt) {
            return occurredAt > kept.occurredAt;
        }
        if (cancelled != kept.cancelled) {
            return cancelled;
        }
        return Ids.compare(eventId, kept.eventId) > 0;
    }
}
