package orderhalt.rules;

/**
 * An asset was deleted or restored; {@code gone} means deleted and not restored. All assets of one
 * event share theirs. {@code deletedBy} may be null, {@code restorableUntil} {@link Instants#NONE}.
 */
record Mark(long occurredAt, boolean gone, String eventId, String deletedBy, long restorableUntil) {

    /** The latest; deleted beats restored, then the greater event_id (contract.md §3). */
    boolean beats(Mark kept) {
        if (occurredAt != kept.occurredAt) {
            return occurredAt > kept.occurredAt;
        }
        if (gone != kept.gone) {
            return gone;
        }
        return Ids.compare(eventId, kept.eventId) > 0;
    }
}
