package orderhalt.rules;

import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Collection;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;

/**
 * What is in memory of one studio: its orders in flight, its marks and accounts, and which orders in
 * flight refer to an asset. Closed orders are in the store alone.
 */
final class Studio {
    final String id;
    /** With which the keys of its rows begin, the {@code /} included. */
    final String keyPrefix;

    /** In flight. */
    final HashMap<String, OrderState> orders = new HashMap<>();
    /** By asset type. */
    final List<HashMap<String, Mark>> marks = perType();
    /** By asset type: an order, or a set of them; most assets have one. */
    private final List<HashMap<String, Object>> users = perType();

    private final ArrayList<Account> accounts = new ArrayList<>(1);

    Studio(String id) {
        this.id = id;
        keyPrefix = Ids.quote(id) + '/';
    }

    private static <T> List<HashMap<String, T>> perType() {
        return List.of(new HashMap<>(), new HashMap<>(), new HashMap<>());
    }

    /** Give the key of a row. */
    byte[] key(String itemId) {
        return keyPrefix.concat(Ids.quote(itemId)).getBytes(StandardCharsets.ISO_8859_1);
    }

    Collection<Account> accounts() {
        return accounts;
    }

    Account account(String currency) {
        for (Account account : accounts) {
            if (account.currency.equals(currency)) {
                return account;
            }
        }
        Account account = new Account(currency);
        accounts.add(account);
        return account;
    }

    // ---- the indexes of orders

    /** Index an order as what it is. */
    void enter(OrderState order) {
        if (order.isInFlight()) {
            orders.put(order.id, order);
            refer(order);
        }
        if (order.cost > 0 && order.isInFlight()) {
            account(order.placed.currency()).enqueue(order);
        } else if (order.cost > 0 && order.phase == Phase.SECURED) {
            account(order.placed.currency()).addSecured(order);
        }
    }

    /** Take an order out of the indexes, before it becomes something else. */
    void withdraw(OrderState order) {
        if (order.isInFlight()) {
            orders.remove(order.id);
            unrefer(order);
        }
        if (order.entry != null) {
            account(order.placed.currency()).dequeue(order);
        } else if (order.cost > 0 && order.phase == Phase.SECURED) {
            account(order.placed.currency()).removeSecured(order);
        }
    }

    // ---- which orders in flight refer to an asset

    /** Add the orders in flight that refer to an asset. */
    void addUsers(AssetType type, String asset, Collection<OrderState> found) {
        Object user = users.get(type.ordinal()).get(asset);
        if (user instanceof OrderState order) {
            found.add(order);
        } else if (user != null) {
            found.addAll(set(user));
        }
    }

    private void refer(OrderState order) {
        for (Line line : order.placed.lines()) {
            refer(AssetType.PRODUCT, line.productId(), order);
            for (String photo : line.photoIds()) {
                refer(AssetType.PHOTO, photo, order);
            }
            if (line.packageId() != null) {
                refer(AssetType.PACKAGE, line.packageId(), order);
            }
        }
    }

    private void refer(AssetType type, String asset, OrderState order) {
        Map<String, Object> index = users.get(type.ordinal());
        Object user = index.putIfAbsent(asset, order);
        if (user == null || user == order) {
            return;
        }
        if (user instanceof OrderState other) {
            HashSet<OrderState> both = new HashSet<>(4);
            both.add(other);
            both.add(order);
            index.put(asset, both);
        } else {
            set(user).add(order);
        }
    }

    private void unrefer(OrderState order) {
        for (Line line : order.placed.lines()) {
            unrefer(AssetType.PRODUCT, line.productId(), order);
            for (String photo : line.photoIds()) {
                unrefer(AssetType.PHOTO, photo, order);
            }
            if (line.packageId() != null) {
                unrefer(AssetType.PACKAGE, line.packageId(), order);
            }
        }
    }

    /** An asset may stand in an order several times, and is out of the index after the first. */
    private void unrefer(AssetType type, String asset, OrderState order) {
        Map<String, Object> index = users.get(type.ordinal());
        Object user = index.get(asset);
        if (user == order) {
            index.remove(asset);
        } else if (user instanceof HashSet) {
            HashSet<OrderState> others = set(user);
            others.remove(order);
            if (others.isEmpty()) {
                index.remove(asset);
            }
        }
    }

    @SuppressWarnings("unchecked")
    private static HashSet<OrderState> set(Object user) {
        return (HashSet<OrderState>) user;
    }
}
