package orderhalt.rules;

/** Rows as bytes and back. Not for several threads. */
final class RowCodec {
    private static final int DIGEST_BYTES = 16;
    private static final byte[] NOTHING = {};

    private final RowWriter out = new RowWriter();

    // ---- orders

    /** Write an order; its placement, which seldom changes, is copied from the row before. */
    byte[] encode(OrderState order) {
        out.clear();
        if (order.placedBytes > 0) {
            out.put(order.row, order.placedBytes);
        } else {
            putPlaced(order.placed);
            order.placedBytes = out.size();
        }
        Standing standing = order.standing;
        out.put(standing != null);
        if (standing != null) {
            out.put(standing.occurredAt());
            out.put(standing.cancelled());
            out.put(standing.eventId());
        }
        out.put(order.transfers.length);
        for (Transfer transfer : order.transfers) {
            put(transfer);
        }
        out.put(order.settled);
        putHalt(order.halt);
        return out.toBytes();
    }

    private void putPlaced(Placed placed) {
        out.put(placed != null);
        if (placed == null) {
            return;
        }
        out.put(placed.version());
        out.put(placed.occurredAt());
        out.put(placed.eventId());
        out.put(placed.placedAt());
        out.put(placed.lines().length);
        for (Line line : placed.lines()) {
            out.put(line.lineId());
            out.put(line.productId());
            out.put(line.photoIds());
            out.put(line.packageId());
        }
        out.put(placed.costMinor());
        out.put(placed.currency());
        out.put(placed.paid());
    }

    private void put(Transfer transfer) {
        out.put(transfer.packageId());
        out.put(transfer.status().ordinal());
        out.put(transfer.attempt());
        out.put(transfer.willRetry());
        out.put(transfer.occurredAt());
        out.put(transfer.eventId());
        out.put(transfer.transferId());
        out.put(transfer.labId());
        out.put(transfer.errorCode());
        out.put(transfer.errorMessage());
    }

    private void putHalt(Halt halt) {
        out.put(halt != null);
        if (halt == null) {
            return;
        }
        out.put(halt.sequence());
        out.put(halt.episode());
        out.put(halt.haltedSince());
        out.put(halt.codes().length);
        for (int at = 0; at < halt.codes().length; at++) {
            out.put(halt.codes()[at].ordinal());
            out.put(halt.since()[at]);
        }
        out.put(halt.digest(), halt.digest().length);
    }

    /** Read an order; it remembers its row. */
    OrderState decodeOrder(Studio studio, String orderId, byte[] key, byte[] row) {
        OrderState order = new OrderState(studio, orderId, key);
        RowReader in = new RowReader(row);
        order.placed = in.bool() ? placed(in) : null;
        order.row = row;
        order.placedBytes = in.position();
        if (in.bool()) {
            order.standing = new Standing(in.integer(), in.bool(), in.text());
        }
        Transfer[] transfers = new Transfer[in.count()];
        for (int at = 0; at < transfers.length; at++) {
            transfers[at] = transfer(in);
        }
        order.transfers = transfers;
        order.settled = in.texts();
        order.halt = in.bool() ? halt(in) : null;
        order.stand();
        return order;
    }

    private static Placed placed(RowReader in) {
        long version = in.integer();
        long occurredAt = in.integer();
        String eventId = in.text();
        long placedAt = in.integer();
        Line[] lines = new Line[in.count()];
        for (int at = 0; at < lines.length; at++) {
            lines[at] = new Line(in.text(), in.text(), in.texts(), in.text());
        }
        return new Placed(
                version, occurredAt, eventId, placedAt, lines, in.integer(), in.text(), in.bool());
    }

    private static Transfer transfer(RowReader in) {
        return new Transfer(
                in.text(), Transfer.Status.at(in.count()), in.integer(), in.bool(), in.integer(), in.text(),
                in.text(), in.text(), in.text(), in.text());
    }

    private static Halt halt(RowReader in) {
        long sequence = in.integer();
        long episode = in.integer();
        long haltedSince = in.integer();
        Code[] codes = new Code[in.count()];
        long[] since = new long[codes.length];
        for (int at = 0; at < codes.length; at++) {
            codes[at] = Code.at(in.count());
            since[at] = in.integer();
        }
        byte[] digest = codes.length > 0 ? in.raw(DIGEST_BYTES) : NOTHING;
        return new Halt(sequence, episode, haltedSince, codes, since, digest);
    }

    // ---- marks and balances

    byte[] encode(Mark mark) {
        out.clear();
        out.put(mark.occurredAt());
        out.put(mark.gone());
        out.put(mark.eventId());
        out.put(mark.deletedBy());
        out.put(mark.restorableUntil());
        return out.toBytes();
    }

    static Mark decodeMark(byte[] row) {
        RowReader in = new RowReader(row);
        return new Mark(in.integer(), in.bool(), in.text(), in.text(), in.integer());
    }

    byte[] encode(Balance balance) {
        out.clear();
        out.put(balance.version());
        out.put(balance.occurredAt());
        out.put(balance.eventId());
        out.put(balance.amountMinor());
        out.put(balance.limited());
        out.put(balance.limitMinor());
        out.put(balance.lists());
        return out.toBytes();
    }

    static Balance decodeBalance(byte[] row) {
        RowReader in = new RowReader(row);
        return new Balance(
                in.integer(), in.integer(), in.text(), in.integer(), in.bool(), in.integer(), in.bool());
    }
}
