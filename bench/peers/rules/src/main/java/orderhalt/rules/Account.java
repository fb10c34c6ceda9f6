package orderhalt.rules;

import java.util.ArrayList;
import java.util.List;

/**
 * The credit check of a studio and currency (contract.md §4): the queue of its orders in flight, and its
 * secured orders by (closing, order_id), of which the balance contains those up to a date.
 */
final class Account {
    private static final long ALL_COUNT = Long.MIN_VALUE;

    private record Secured(long closing, String orderId, long cost) {
        private int compareTo(long otherClosing, String otherId) {
            int byTime = Long.compare(closing, otherClosing);
            return byTime != 0 ? byTime : Ids.compare(orderId, otherId);
        }
    }

    final String currency;
    Balance balance;
    private final FundingQueue queue = new FundingQueue();
    private final ArrayList<Secured> secured = new ArrayList<>();
    /** The balance contains the secured orders whose closing is not after this. */
    private long containedUntil = ALL_COUNT;
    /** Total cost of the others. */
    private long spent;
    /** Whether {@link #fund} has something to do. */
    boolean changed;

    Account(String currency) {
        this.currency = currency;
    }

    // ---- what changes it

    void enqueue(OrderState order) {
        order.entry = queue.add(order);
        changed = true;
    }

    void dequeue(OrderState order) {
        queue.remove(order.entry);
        order.entry = null;
        changed = true;
    }

    void moveUp(OrderState order) {
        changed |= queue.moveUp(order.entry);
    }

    void setMissing(OrderState order, boolean missing) {
        changed |= queue.setMissing(order.entry, missing);
    }

    void addSecured(OrderState order) {
        long closing = order.closing();
        secured.add(position(closing, order.id), new Secured(closing, order.id, order.cost));
        if (closing > containedUntil) {
            spent = Math.addExact(spent, order.cost);
            changed = true;
        }
    }

    void removeSecured(OrderState order) {
        long closing = order.closing();
        Secured removed = secured.remove(position(closing, order.id));
        assert removed.orderId.equals(order.id) : "a secured order is listed once";
        if (closing > containedUntil) {
            spent -= removed.cost;
            changed = true;
        }
    }

    void setBalance(Balance kept) {
        balance = kept;
        changed = true;
        long until = kept.lists() ? ALL_COUNT : kept.occurredAt();
        if (until == containedUntil) {
            return;
        }
        containedUntil = until;
        spent = 0;
        for (int at = secured.size() - 1; at >= 0 && secured.get(at).closing > until; at--) {
            spent = Math.addExact(spent, secured.get(at).cost);
        }
    }

    private int position(long closing, String orderId) {
        int low = 0;
        int high = secured.size();
        while (low < high) {
            int middle = (low + high) >>> 1;
            if (secured.get(middle).compareTo(closing, orderId) < 0) {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        return low;
    }

    // ---- what it says

    /** Fund the queue; add the orders that became short or are so no longer. */
    void fund(List<OrderState> flipped) {
        changed = false;
        boolean checked = balance != null && balance.limited();
        queue.fund(checked, checked ? available() : 0, flipped);
    }

    /** Give what the queue can be funded with, where there is a limit. */
    long available() {
        return balance.amountMinor() + balance.limitMinor() - spent;
    }

    FundingQueue.Sums sums(OrderState order) {
        return queue.sums(order.entry);
    }
}
