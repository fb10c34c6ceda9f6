package orderhalt.rules;

import java.util.HashSet;

/** One order in memory: its facts as kept, and what they mean until a fact changes. */
final class OrderState {
    static final Transfer[] NO_TRANSFERS = {};
    static final Line[] NO_LINES = {};
    static final String[] NOTHING = {};

    final Studio studio;
    final String id;
    /** The order key, which is also that of its row. */
    final byte[] key;

    Placed placed;
    Standing standing;
    Transfer[] transfers = NO_TRANSFERS;
    /** Currencies whose balance has listed the order. */
    String[] settled = NOTHING;
    Halt halt;

    /** As of the last {@link #stand}, as are the fields below it. */
    Phase phase = Phase.UNPLACED;
    /** Those not secured, while it is in flight. */
    Line[] lines = NO_LINES;
    /** What the credit check counts, in minor units. */
    long cost;

    /** Its place in the queue of its account, while it is in one. */
    FundingQueue.Entry entry;
    /** The row as last written, and how many of its bytes are the placement; 0: that has changed. */
    byte[] row;
    int placedBytes;
    /** Whether it is to be written at the end of this event. */
    boolean dirty;
    /** Whether it has been judged in this event. */
    boolean judged;

    OrderState(Studio studio, String id, byte[] key) {
        this.studio = studio;
        this.id = id;
        this.key = key;
    }

    boolean isInFlight() {
        return phase == Phase.IN_FLIGHT;
    }

    boolean isShort() {
        return entry != null && entry.isShort;
    }

    /** Find its phase and what else follows from its facts anew. */
    void stand() {
        lines = NO_LINES;
        cost = placed == null || isSettled(placed.currency()) ? 0 : placed.costMinor();
        if (placed == null) {
            phase = Phase.UNPLACED;
        } else if (standing != null && standing.cancelled()) {
            phase = Phase.CANCELLED;
        } else {
            lines = linesLeft(transfers);
            phase = lines.length > 0 ? Phase.IN_FLIGHT : Phase.SECURED;
        }
    }

    boolean isSettled(String currency) {
        for (String each : settled) {
            if (each.equals(currency)) {
                return true;
            }
        }
        return false;
    }

    /** Give the lines that no known success carries, neither their package's nor the whole order's. */
    Line[] linesLeft(Transfer[] known) {
        HashSet<String> secured = null;
        for (Transfer transfer : known) {
            if (transfer.succeeded()) {
                if (transfer.packageId() == null) {
                    return NO_LINES;
                }
                secured = secured == null ? new HashSet<>() : secured;
                secured.add(transfer.packageId());
            }
        }
        if (secured == null) {
            return placed.lines();
        }
        Line[] left = new Line[placed.lines().length];
        int count = 0;
        for (Line line : placed.lines()) {
            if (line.packageId() == null || !secured.contains(line.packageId())) {
                left[count++] = line;
            }
        }
        return count == 0 ? NO_LINES : java.util.Arrays.copyOf(left, count);
    }

    /** Give when it closed: the latest, over its lines, of the earliest success that secures it. */
    long closing() {
        long latest = Long.MIN_VALUE;
        for (Line line : placed.lines()) {
            long earliest = Long.MAX_VALUE;
            for (Transfer transfer : transfers) {
                boolean secures = transfer.succeeded()
                        && (transfer.packageId() == null || transfer.packageId().equals(line.packageId()));
                if (secures) {
                    earliest = Math.min(earliest, transfer.occurredAt());
                }
            }
            latest = Math.max(latest, earliest);
        }
        return latest;
    }

    /** Give the transfer as kept of a scope, null where there is none. */
    Transfer transferOf(String scope) {
        for (Transfer transfer : transfers) {
            if (transfer.carries(scope)) {
                return transfer;
            }
        }
        return null;
    }
}
