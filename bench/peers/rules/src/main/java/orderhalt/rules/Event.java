package orderhalt.rules;

/** An input event (contract.md §2) and the fact in it. */
public sealed interface Event {
    String eventId();

    /** Microseconds since 1970 UTC. */
    long occurredAt();

    String studioId();

    /** order-placed. */
    record OrderPlaced(String studioId, String orderId, Placed placed) implements Event {
        @Override
        public String eventId() {
            return placed.eventId();
        }

        @Override
        public long occurredAt() {
            return placed.occurredAt();
        }
    }

    /** order-cancelled and order-reinstated. */
    record StandingChanged(String studioId, String orderId, Standing standing) implements Event {
        @Override
        public String eventId() {
            return standing.eventId();
        }

        @Override
        public long occurredAt() {
            return standing.occurredAt();
        }
    }

    /** asset-deleted and asset-restored. */
    record AssetsChanged(String studioId, AssetType type, String[] assetIds, Mark mark) implements Event {
        @Override
        public String eventId() {
            return mark.eventId();
        }

        @Override
        public long occurredAt() {
            return mark.occurredAt();
        }
    }

    /** lab-transfer. */
    record LabTransfer(String studioId, String orderId, Transfer transfer) implements Event {
        @Override
        public String eventId() {
            return transfer.eventId();
        }

        @Override
        public long occurredAt() {
            return transfer.occurredAt();
        }
    }

    /** balance-changed. */
    record BalanceChanged(String studioId, String currency, Balance balance, String[] settledOrderIds)
            implements Event {
        @Override
        public String eventId() {
            return balance.eventId();
        }

        @Override
        public long occurredAt() {
            return balance.occurredAt();
        }
    }
}
