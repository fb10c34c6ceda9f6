package orderhalt.rules;

import java.util.Objects;

/**
 * The transfer as kept of one scope: a package, or the whole order where {@code packageId} is null.
 * {@code labId} and the two fields of the error may be null.
 */
record Transfer(
        String packageId,
        Status status,
        long attempt,
        boolean willRetry,
        long occurredAt,
        String eventId,
        String transferId,
        String labId,
        String errorCode,
        String errorMessage) {

    /** By rank in the merge. */
    enum Status {
        STARTED,
        FAILED,
        SUCCEEDED;

        private static final Status[] ALL = values();

        static Status at(int position) {
            return ALL[position];
        }
    }

    boolean succeeded() {
        return status == Status.SUCCEEDED;
    }

    /** Whether it failed for good. */
    boolean failedForGood() {
        return status == Status.FAILED && !willRetry;
    }

    boolean carries(String scope) {
        return Objects.equals(packageId, scope);
    }

    /** The earliest success, else the highest attempt, each with its ties (contract.md §3). */
    boolean beats(Transfer kept) {
        if (succeeded() || kept.succeeded()) {
            return status != kept.status ? succeeded() : isEarlierThan(kept);
        }
        if (attempt != kept.attempt) {
            return attempt > kept.attempt;
        }
        if (status != kept.status) {
            return status.ordinal() > kept.status.ordinal();
        }
        if (willRetry != kept.willRetry) {
            return kept.willRetry;
        }
        if (occurredAt != kept.occurredAt) {
            return occurredAt > kept.occurredAt;
        }
        return Ids.compare(eventId, kept.eventId) > 0;
    }

    private boolean isEarlierThan(Transfer kept) {
        if (occurredAt != kept.occurredAt) {
            return occurredAt < kept.occurredAt;
        }
        return Ids.compare(eventId, kept.eventId) < 0;
    }
}
