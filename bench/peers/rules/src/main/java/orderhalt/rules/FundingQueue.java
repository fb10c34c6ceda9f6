package orderhalt.rules;

import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;

/**
 * Who in a queue of orders is funded, at a cost that does not grow with the queue (contract.md §4).
 *
 * <p>The rule is a walk: in order of their turns, an order is short if it costs more than what is left,
 * and else takes its cost from it. The queue is cut into blocks, and a block remembers how much less or
 * more could have been left at its first order before any of its decisions were another. Only blocks
 * that were changed, or that a shift has carried over such an edge, are walked. While all orders fit,
 * nobody needs their order, and there are no blocks.
 */
final class FundingQueue {
    private static final int BLOCK_MAX = 64;
    private static final long FAR = 1L << 62;

    /** By turn: orders of which a transfer is known first, then by placed_at and order_id. */
    private static final Comparator<Entry> BY_TURN = (a, b) -> {
        if (a.waits != b.waits) {
            return a.waits ? 1 : -1;
        }
        int byTime = Long.compare(a.placedAt, b.placedAt);
        return byTime != 0 ? byTime : Ids.compare(a.order.id, b.order.id);
    };

    /** One order of the queue. */
    static final class Entry {
        final OrderState order;
        /** No transfer is known of it. */
        private boolean waits;

        private final long placedAt;
        final long cost;
        /** 0 where an asset is missing: then it cannot be produced. */
        private long reserves;
        /** Not funded, as of the last {@link FundingQueue#fund}. */
        boolean isShort;
        /** Its position among the entries. */
        private int slot;

        private Entry(OrderState order) {
            this.order = order;
            waits = order.transfers.length == 0;
            placedAt = order.placed.placedAt();
            cost = order.cost;
            boolean missing = order.halt != null && order.halt.codes().length > 0
                    && order.halt.codes()[0].isMissing();
            reserves = missing ? 0 : cost;
            isShort = order.halt != null && order.halt.has(Code.CREDIT_LIMIT_REACHED);
        }
    }

    /** What the check says to one order that is short: what is left, and what all before it want. */
    record Sums(long available, long before) {}

    private final ArrayList<Entry> entries = new ArrayList<>();
    private final ArrayList<Block> blocks = new ArrayList<>();
    private int shorts;
    private int rested;
    /** Costs of all orders. */
    private long total;

    boolean isEmpty() {
        return entries.isEmpty();
    }

    Entry add(OrderState order) {
        Entry entry = new Entry(order);
        entry.slot = entries.size();
        entries.add(entry);
        total = Math.addExact(total, entry.cost);
        shorts += entry.isShort ? 1 : 0;
        if (!blocks.isEmpty()) {
            put(entry);
        }
        return entry;
    }

    void remove(Entry entry) {
        Entry last = entries.remove(entries.size() - 1);
        if (last != entry) {
            entries.set(entry.slot, last);
            last.slot = entry.slot;
        }
        total -= entry.cost;
        shorts -= entry.isShort ? 1 : 0;
        if (!blocks.isEmpty()) {
            take(entry);
        }
    }

    /** Let an order of which a transfer is known now go before those that wait for theirs. */
    boolean moveUp(Entry entry) {
        if (!entry.waits) {
            return false;
        }
        if (!blocks.isEmpty()) {
            take(entry);
        }
        entry.waits = false;
        if (!blocks.isEmpty()) {
            put(entry);
        }
        return true;
    }

    /** Note whether an asset of an order is missing; tell whether that is new. */
    boolean setMissing(Entry entry, boolean missing) {
        long reserves = missing ? 0 : entry.cost;
        if (entry.reserves == reserves) {
            return false;
        }
        if (!blocks.isEmpty()) {
            Block block = blocks.get(blockOf(entry));
            block.wants += reserves - entry.reserves;
            block.changed = true;
        }
        entry.reserves = reserves;
        return true;
    }

    /** Fund the orders with what is available; add those that are decided otherwise now. */
    void fund(boolean checked, long available, List<OrderState> flipped) {
        if (!checked || total <= available) {
            fundAll(flipped);
            return;
        }
        rested = 0;
        if (blocks.isEmpty()) {
            makeBlocks();
        }
        int before = flipped.size();
        long left = available;
        for (Block block : blocks) {
            long by = left - block.entered;
            if (block.changed || by != 0 && !block.shift(by)) {
                block.walk(left, flipped);
            }
            left = block.left;
        }
        for (OrderState order : flipped.subList(before, flipped.size())) {
            shorts += order.entry.isShort ? 1 : -1;
        }
    }

    /** All of them fit: no order needs to be looked at, but those that were short. */
    private void fundAll(List<OrderState> flipped) {
        if (shorts == 0) {
            if (!blocks.isEmpty() && ++rested > entries.size()) {
                blocks.clear();
            }
            return;
        }
        for (Entry entry : entries) {
            if (entry.isShort) {
                entry.isShort = false;
                flipped.add(entry.order);
            }
        }
        shorts = 0;
        blocks.forEach(block -> block.changed = true);
    }

    /** Give the sums of a short order, as of the last {@link #fund}. */
    Sums sums(Entry entry) {
        int at = blockOf(entry);
        long before = 0;
        for (Block block : blocks.subList(0, at)) {
            before += block.wants;
        }
        Block block = blocks.get(at);
        long left = block.entered;
        for (Entry each : block.entries) {
            if (each == entry) {
                break;
            }
            before += each.reserves;
            if (each.cost <= left) {
                left -= each.reserves;
            }
        }
        return new Sums(left, before);
    }

    // ---- blocks

    private void makeBlocks() {
        Entry[] ordered = entries.toArray(Entry[]::new);
        java.util.Arrays.sort(ordered, BY_TURN);
        for (int first = 0; first < ordered.length; first += BLOCK_MAX) {
            int end = Math.min(first + BLOCK_MAX, ordered.length);
            blocks.add(new Block(List.of(ordered).subList(first, end)));
        }
    }

    private void put(Entry entry) {
        int at = blockOf(entry);
        Block block = blocks.get(at);
        block.entries.add(block.find(entry), entry);
        block.wants += entry.reserves;
        block.changed = true;
        if (block.entries.size() > BLOCK_MAX) {
            List<Entry> second = block.entries.subList(BLOCK_MAX / 2, block.entries.size());
            blocks.add(at + 1, new Block(second));
            second.clear();
            block.wants -= blocks.get(at + 1).wants;
        }
    }

    private void take(Entry entry) {
        int at = blockOf(entry);
        Block block = blocks.get(at);
        Entry found = block.entries.remove(block.find(entry));
        assert found == entry : "the blocks hold what the entries say";
        block.wants -= entry.reserves;
        block.changed = true;
        if (block.entries.isEmpty()) {
            blocks.remove(at);
        }
    }

    /** Give the block that holds an entry, or into which it belongs. */
    private int blockOf(Entry entry) {
        int low = 0;
        int high = blocks.size() - 1;
        while (low < high) {
            int middle = (low + high) >>> 1;
            if (BY_TURN.compare(blocks.get(middle).last(), entry) < 0) {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        return low;
    }

    /** Consecutive orders, and what was decided about them. */
    private static final class Block {
        private final ArrayList<Entry> entries;
        private boolean changed = true;
        /** What was left at its first order, and after its last. */
        private long entered;

        private long left;
        /** How much less could have been left before the first funded order becomes short. */
        private long falls;
        /** How much more, before the first short order is funded. */
        private long rises;
        /** What its orders would reserve if all were funded. */
        private long wants;

        private Block(List<Entry> some) {
            entries = new ArrayList<>(some);
            for (Entry entry : entries) {
                wants += entry.reserves;
            }
        }

        private Entry last() {
            return entries.get(entries.size() - 1);
        }

        private int find(Entry entry) {
            int low = 0;
            int high = entries.size();
            while (low < high) {
                int middle = (low + high) >>> 1;
                if (BY_TURN.compare(entries.get(middle), entry) < 0) {
                    low = middle + 1;
                } else {
                    high = middle;
                }
            }
            return low;
        }

        private void walk(long available, List<OrderState> flipped) {
            entered = available;
            changed = false;
            falls = FAR;
            rises = FAR;
            long rest = available;
            for (Entry entry : entries) {
                long after = rest - entry.cost;
                boolean isShort = after < 0;
                if (isShort) {
                    rises = Math.min(rises, -after);
                } else {
                    falls = Math.min(falls, after);
                    rest -= entry.reserves;
                }
                if (isShort != entry.isShort) {
                    entry.isShort = isShort;
                    flipped.add(entry.order);
                }
            }
            left = rest;
        }

        /** Let more or less be left at the first order; tell whether all decisions stand. */
        private boolean shift(long by) {
            if (by < -falls || by >= rises) {
                return false;
            }
            entered += by;
            left += by;
            falls += by;
            rises -= by;
            return true;
        }
    }
}
