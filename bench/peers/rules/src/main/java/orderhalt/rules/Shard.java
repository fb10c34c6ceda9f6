package orderhalt.rules;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.LinkedHashSet;
import java.util.List;

/**
 * The rules of one partition: an event in, records out, changed rows into the store (contract.md §3-§5).
 *
 * <p>Orders in flight, marks and accounts of a studio are in memory, with the indexes made of them; they
 * are read from the store all at once ({@link #loadAll}), or when a studio is first met. Closed orders are in the store alone. Rows are
 * written at the end of each event.
 */
public final class Shard {
    private static final int SCOPES_MAX = 1000;

    private final Rows rows;
    private final RowCodec codec = new RowCodec();
    private final Concluder concluder;
    private final HashMap<String, Studio> studios = new HashMap<>();
    private final StudioLoader loader;
    private boolean isLoaded;
    // Of the event that is being applied.
    private final ArrayList<OrderState> affected = new ArrayList<>();
    private final ArrayList<OrderState> changed = new ArrayList<>();
    private final ArrayList<Emission> emitted = new ArrayList<>();

    /** {@code prefix}: that of the topics, which stands in ce_source. */
    public Shard(Rows rows, String prefix) {
        this.rows = rows;
        concluder = new Concluder(source(prefix));
        loader = new StudioLoader(rows, codec, studios);
    }

    /** What ce_source says. */
    public static String source(String prefix) {
        return prefix.isEmpty() ? "/orderhalt" : "/orderhalt/" + prefix;
    }

    /** Read all rows now, and none of a studio that is new. */
    public void loadAll() {
        loader.loadAll();
        isLoaded = true;
    }

    /** Whether a studio has been met; only then is its partition known to be right. */
    public boolean knows(String studioId) {
        return studios.containsKey(studioId);
    }

    /**
     * Take one event; give the records to emit, a list that the next call uses again. Throws Rejection
     * before anything has changed.
     */
    public List<Emission> apply(Event event, Cause cause) throws Rejection {
        Studio studio = studios.get(event.studioId());
        if (studio == null) {
            studio = meet(event.studioId());
        }
        affected.clear();
        changed.clear();
        emitted.clear();
        if (event instanceof Event.OrderPlaced placed) {
            orderPlaced(studio, placed);
        } else if (event instanceof Event.LabTransfer transfer) {
            labTransfer(studio, transfer);
        } else if (event instanceof Event.BalanceChanged balance) {
            balanceChanged(studio, balance);
        } else if (event instanceof Event.AssetsChanged assets) {
            assetsChanged(studio, assets);
        } else if (event instanceof Event.StandingChanged standing) {
            standingChanged(studio, standing);
        }
        concluder.conclude(studio, affected, event, cause, emitted, changed);
        writeOrders();
        return emitted;
    }

    private Studio meet(String studioId) {
        if (!isLoaded) {
            return loader.load(studioId);
        }
        Studio studio = new Studio(studioId);
        studios.put(studioId, studio);
        return studio;
    }

    private void writeOrders() {
        for (OrderState order : changed) {
            order.dirty = false;
            order.row = codec.encode(order);
            rows.put(Rows.Table.ORDERS, order.key, order.row);
        }
    }

    // ---- orders

    private void orderPlaced(Studio studio, Event.OrderPlaced event) {
        OrderState order = find(studio, event.orderId());
        if (order.placed != null && !event.placed().beats(order.placed)) {
            return;
        }
        studio.withdraw(order);
        order.placed = event.placed();
        order.placedBytes = 0;
        settleDown(studio, order);
    }

    private void standingChanged(Studio studio, Event.StandingChanged event) {
        OrderState order = find(studio, event.orderId());
        if (order.standing != null && !event.standing().beats(order.standing)) {
            return;
        }
        studio.withdraw(order);
        order.standing = event.standing();
        settleDown(studio, order);
    }

    private void labTransfer(Studio studio, Event.LabTransfer event) throws Rejection {
        OrderState order = find(studio, event.orderId());
        Transfer transfer = event.transfer();
        int at = 0;
        while (at < order.transfers.length && !order.transfers[at].carries(transfer.packageId())) {
            at++;
        }
        int known = order.transfers.length;
        if (at < known && !transfer.beats(order.transfers[at])) {
            return;
        }
        if (at == known) {
            checkRoom(order, transfer);
        }
        Transfer[] transfers = Arrays.copyOf(order.transfers, Math.max(known, at + 1));
        transfers[at] = transfer;
        if (order.isInFlight() && order.linesLeft(transfers).length > 0) {
            // It stays where it is in the indexes, but for its turn.
            order.transfers = transfers;
            order.stand();
            if (order.entry != null) {
                studio.account(order.placed.currency()).moveUp(order);
            }
            change(order);
            return;
        }
        studio.withdraw(order);
        order.transfers = transfers;
        settleDown(studio, order);
    }

    private static void checkRoom(OrderState order, Transfer transfer) throws Rejection {
        int packages = order.transfers.length - (order.transferOf(null) == null ? 0 : 1);
        if (transfer.packageId() != null && packages >= SCOPES_MAX) {
            throw new Rejection("too_many_scopes",
                    "package_id: the order has transfers of " + SCOPES_MAX + " packages already.");
        }
    }

    /** Give an order, whether it is in flight, in the store, or not known yet. */
    private OrderState find(Studio studio, String orderId) {
        OrderState order = studio.orders.get(orderId);
        if (order != null) {
            return order;
        }
        byte[] key = studio.key(orderId);
        byte[] row = rows.get(Rows.Table.ORDERS, key);
        return row == null
                ? new OrderState(studio, orderId, key)
                : codec.decodeOrder(studio, orderId, key, row);
    }

    /** Take an order in again after its facts have changed. */
    private void settleDown(Studio studio, OrderState order) {
        order.stand();
        studio.enter(order);
        change(order);
    }

    private void change(OrderState order) {
        affected.add(order);
        order.dirty = true;
        changed.add(order);
    }

    // ---- assets

    private void assetsChanged(Studio studio, Event.AssetsChanged event) {
        AssetType type = event.type();
        HashMap<String, Mark> marks = studio.marks.get(type.ordinal());
        Mark mark = event.mark();
        Rows.Table table = Rows.Table.of(type);
        byte[] row = null;
        LinkedHashSet<OrderState> users = new LinkedHashSet<>();
        for (String asset : event.assetIds()) {
            Mark kept = marks.get(asset);
            if (kept != null && !mark.beats(kept)) {
                continue;
            }
            marks.put(asset, mark);
            row = row == null ? codec.encode(mark) : row;
            rows.put(table, studio.key(asset), row);
            if (mark.gone() || kept != null && kept.gone()) {
                studio.addUsers(type, asset, users);
            }
        }
        affected.addAll(users);
    }

    // ---- money

    private void balanceChanged(Studio studio, Event.BalanceChanged event) {
        Account account = studio.account(event.currency());
        if (account.balance == null || event.balance().beats(account.balance)) {
            account.setBalance(event.balance());
            rows.put(Rows.Table.BALANCES, studio.key(event.currency()), codec.encode(event.balance()));
        }
        if (event.settledOrderIds() == null) {
            return;
        }
        for (String orderId : new LinkedHashSet<>(List.of(event.settledOrderIds()))) {
            settle(studio, find(studio, orderId), event.currency());
        }
    }

    private void settle(Studio studio, OrderState order, String currency) {
        if (order.isSettled(currency)) {
            return;
        }
        studio.withdraw(order);
        String[] settled = Arrays.copyOf(order.settled, order.settled.length + 1);
        settled[order.settled.length] = currency;
        order.settled = settled;
        settleDown(studio, order);
    }
}
