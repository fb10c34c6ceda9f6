package orderhalt.rules;

import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.JsonParser;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashSet;
import java.util.Map;

/** Makes events of records, and refuses what is none (contract.md §2, §6). Not for several threads. */
public final class EventReader {
    private static final int VALUE_MAX = 1 << 20;
    private static final long DAY_MS = 86_400_000L;
    private static final Map<String, Transfer.Status> STATUS = Map.of(
            "started", Transfer.Status.STARTED,
            "failed", Transfer.Status.FAILED,
            "succeeded", Transfer.Status.SUCCEEDED);

    private final JsonFactory factory = new JsonFactory();
    private final Instants instants = new Instants();
    private final ArrayList<Line> lines = new ArrayList<>();
    // What every event has, of the one that is being read.
    private String eventId;
    private long occurredAt;
    private String studioId;

    /** Read one record of an input topic (its name without prefix); {@code timestamp} in milliseconds. */
    public Event read(String topic, byte[] key, byte[] value, long timestamp) throws Rejection {
        if (value != null && value.length > VALUE_MAX) {
            throw new Rejection("too_large", "The value is longer than " + VALUE_MAX + " bytes.");
        }
        if (value == null || value.length == 0) {
            throw new Rejection("empty_record", "The record has no value.");
        }
        Event event;
        try (JsonParser json = factory.createParser(value)) {
            checkEncoding(value);
            json.nextToken();
            event = readToItsEnd(topic, json);
        } catch (IOException fault) {
            throw new Rejection("malformed_json", "The value is not JSON.");
        }
        if (occurredAt > (timestamp + DAY_MS) * 1000) {
            throw Fields.invalid("occurred_at", "lies more than 24 h after the record's timestamp");
        }
        if (!isKey(key, studioId)) {
            throw new Rejection("key_mismatch", "The record's key differs from studio_id.");
        }
        return event;
    }

    /** UTF-8 without a byte-order mark has neither of these, and Jackson would take other encodings. */
    private static void checkEncoding(byte[] value) throws Rejection {
        boolean marked = value[0] == (byte) 0xEF || value[0] == (byte) 0xFE || value[0] == (byte) 0xFF;
        if (marked || value[0] == 0 || value.length > 1 && value[1] == 0) {
            throw new Rejection("malformed_json", "The value is not UTF-8, or has a byte-order mark.");
        }
    }

    /** What is malformed anywhere is malformed, though it were no event before that. */
    private Event readToItsEnd(String topic, JsonParser json) throws IOException, Rejection {
        Event event = null;
        Rejection rejection = null;
        try {
            event = read(topic, new Fields(json, instants));
        } catch (Rejection found) {
            rejection = found;
        }
        while (json.nextToken() != null) {
            if (rejection == null) {
                throw new Rejection("malformed_json", "The value goes on after its end.");
            }
        }
        if (rejection != null) {
            throw rejection;
        }
        return event;
    }

    private Event read(String topic, Fields fields) throws IOException, Rejection {
        eventId = null;
        occurredAt = Instants.NONE;
        studioId = null;
        fields.enter("The value");
        return switch (topic) {
            case "order-placed" -> orderPlaced(fields);
            case "order-cancelled" -> standingChanged(fields, true);
            case "order-reinstated" -> standingChanged(fields, false);
            case "asset-deleted" -> assetsChanged(fields, true);
            case "asset-restored" -> assetsChanged(fields, false);
            case "lab-transfer" -> labTransfer(fields);
            case "balance-changed" -> balanceChanged(fields);
            default -> throw new IllegalArgumentException("no input topic: " + topic);
        };
    }

    private static boolean isKey(byte[] key, String id) {
        if (key == null) {
            return false;
        }
        if (key.length != id.length()) {
            return Arrays.equals(key, id.getBytes(StandardCharsets.UTF_8));
        }
        for (int at = 0; at < key.length; at++) {
            if (key[at] != id.charAt(at)) {
                return false;
            }
        }
        return true;
    }

    /** Take a field that every event has, or leave out one that nobody knows. */
    private void common(String name, Fields fields) throws IOException, Rejection {
        switch (name) {
            case "event_id" -> eventId = fields.text(name, Fields.SHORT_ID);
            case "occurred_at" -> occurredAt = fields.instant(name);
            case "studio_id" -> studioId = fields.text(name, Fields.SHORT_ID);
            default -> fields.skip();
        }
    }

    private void checkCommon() throws Rejection {
        Fields.present("event_id", eventId);
        Fields.present("occurred_at", occurredAt == Instants.NONE ? null : this);
        Fields.present("studio_id", studioId);
    }

    // ---- orders

    private Event orderPlaced(Fields fields) throws IOException, Rejection {
        String orderId = null;
        long version = 1;
        long placedAt = Instants.NONE;
        Line[] read = null;
        Money cost = null;
        Boolean paid = null;
        for (String name = fields.next(); name != null; name = fields.next()) {
            switch (name) {
                case "order_id" -> orderId = fields.text(name, Fields.ID);
                case "version" -> version = fields.isNull() ? 1 : fields.integer(name, 1);
                case "placed_at" -> placedAt = fields.instant(name);
                case "lines" -> read = lines(fields);
                case "production_cost" -> cost = money(name, fields, 0);
                case "paid" -> paid = fields.bool(name);
                default -> common(name, fields);
            }
        }
        checkCommon();
        Fields.present("order_id", orderId);
        Fields.present("placed_at", placedAt == Instants.NONE ? null : this);
        Fields.present("lines", read);
        Fields.present("production_cost", cost);
        Fields.present("paid", paid);
        Placed placed = new Placed(
                version, occurredAt, eventId, placedAt, read, cost.amount, cost.currency, paid);
        return new Event.OrderPlaced(studioId, orderId, placed);
    }

    private Line[] lines(Fields fields) throws IOException, Rejection {
        fields.enterArray("lines");
        lines.clear();
        while (fields.nextElement()) {
            lines.add(line(fields));
        }
        if (lines.isEmpty() || lines.size() > 1000) {
            throw Fields.invalid("lines", "expected 1 to 1000 lines");
        }
        if (lines.size() > 1 && !areUnique()) {
            throw Fields.invalid("lines", "line_id is not unique in the order");
        }
        return lines.toArray(Line[]::new);
    }

    private boolean areUnique() {
        if (lines.size() == 2) {
            return !lines.get(0).lineId().equals(lines.get(1).lineId());
        }
        HashSet<String> ids = new HashSet<>();
        for (Line line : lines) {
            if (!ids.add(line.lineId())) {
                return false;
            }
        }
        return true;
    }

    private static Line line(Fields fields) throws IOException, Rejection {
        String lineId = null;
        String productId = null;
        String[] photoIds = null;
        String packageId = null;
        fields.enter("lines");
        for (String name = fields.next(); name != null; name = fields.next()) {
            switch (name) {
                case "line_id" -> lineId = fields.text(name, Fields.ID);
                case "product_id" -> productId = fields.text(name, Fields.ID);
                case "photo_ids" -> photoIds = fields.ids(name, 0, 5000);
                case "package_id" -> packageId = fields.textOrNull(name, Fields.ID);
                default -> fields.skip();
            }
        }
        Fields.present("line_id", lineId);
        Fields.present("product_id", productId);
        Fields.present("photo_ids", photoIds);
        return new Line(lineId, productId, photoIds, packageId);
    }

    private record Money(long amount, String currency) {}

    private static Money money(String field, Fields fields, long least) throws IOException, Rejection {
        long amount = 0;
        boolean known = false;
        String currency = null;
        fields.enter(field);
        for (String name = fields.next(); name != null; name = fields.next()) {
            switch (name) {
                case "amount_minor" -> {
                    amount = fields.integer(name, least);
                    known = true;
                }
                case "currency" -> currency = fields.currency(name);
                default -> fields.skip();
            }
        }
        Fields.present("amount_minor", known ? field : null);
        Fields.present("currency", currency);
        return new Money(amount, currency);
    }

    private Event standingChanged(Fields fields, boolean cancelled) throws IOException, Rejection {
        String orderId = null;
        for (String name = fields.next(); name != null; name = fields.next()) {
            if (name.equals("order_id")) {
                orderId = fields.text(name, Fields.ID);
            } else {
                common(name, fields);
            }
        }
        checkCommon();
        Fields.present("order_id", orderId);
        return new Event.StandingChanged(studioId, orderId, new Standing(occurredAt, cancelled, eventId));
    }

    private Event labTransfer(Fields fields) throws IOException, Rejection {
        String orderId = null;
        String transferId = null;
        String packageId = null;
        boolean scoped = false;
        long attempt = 0;
        Transfer.Status status = null;
        boolean willRetry = false;
        String labId = null;
        String[] error = {null, null};
        for (String name = fields.next(); name != null; name = fields.next()) {
            switch (name) {
                case "order_id" -> orderId = fields.text(name, Fields.ID);
                case "transfer_id" -> transferId = fields.text(name, Fields.ID);
                case "package_id" -> {
                    packageId = fields.textOrNull(name, Fields.ID);
                    scoped = true;
                }
                case "attempt" -> attempt = fields.integer(name, 1);
                case "status" -> status = STATUS.get(fields.text(name, Fields.CODE));
                case "will_retry" -> willRetry = !fields.isNull() && fields.bool(name);
                case "lab_id" -> labId = fields.textOrNull(name, Fields.ID);
                case "error" -> readError(fields, error);
                default -> common(name, fields);
            }
        }
        checkCommon();
        Fields.present("order_id", orderId);
        Fields.present("transfer_id", transferId);
        Fields.present("package_id", scoped ? this : null);
        Fields.present("attempt", attempt == 0 ? null : this);
        Fields.present("status", status);
        if (willRetry && status != Transfer.Status.FAILED) {
            throw Fields.invalid("will_retry", "is true, which only goes with status failed");
        }
        Transfer transfer = new Transfer(
                packageId, status, attempt, willRetry, occurredAt, eventId, transferId, labId, error[0], error[1]);
        return new Event.LabTransfer(studioId, orderId, transfer);
    }

    private static void readError(Fields fields, String[] error) throws IOException, Rejection {
        if (fields.isNull()) {
            return;
        }
        fields.enter("error");
        for (String name = fields.next(); name != null; name = fields.next()) {
            switch (name) {
                case "code" -> error[0] = fields.text(name, Fields.CODE);
                case "message" -> error[1] = fields.freeText(name);
                default -> fields.skip();
            }
        }
        Fields.present("error.code", error[0]);
        Fields.present("error.message", error[1]);
    }

    // ---- assets and money

    private Event assetsChanged(Fields fields, boolean gone) throws IOException, Rejection {
        AssetType type = null;
        String[] assetIds = null;
        String deletedBy = null;
        long until = Instants.NONE;
        for (String name = fields.next(); name != null; name = fields.next()) {
            switch (name) {
                case "asset_type" -> type = AssetType.of(fields.text(name, Fields.CODE));
                case "asset_ids" -> assetIds = fields.ids(name, 1, 10_000);
                case "deleted_by" -> deletedBy = gone ? fields.textOrNull(name, Fields.ID) : ignored(fields);
                case "restorable_until" -> until =
                        !gone || fields.isNull() ? ignoredInstant(fields) : fields.instant(name);
                default -> common(name, fields);
            }
        }
        checkCommon();
        Fields.present("asset_type", type);
        Fields.present("asset_ids", assetIds);
        Mark mark = new Mark(occurredAt, gone, eventId, deletedBy, until);
        return new Event.AssetsChanged(studioId, type, assetIds, mark);
    }

    private static String ignored(Fields fields) throws IOException, Rejection {
        fields.skip();
        return null;
    }

    private static long ignoredInstant(Fields fields) throws IOException, Rejection {
        fields.skip();
        return Instants.NONE;
    }

    private Event balanceChanged(Fields fields) throws IOException, Rejection {
        Money money = null;
        boolean known = false;
        boolean limited = false;
        long limit = 0;
        long version = 0;
        String[] settled = null;
        for (String name = fields.next(); name != null; name = fields.next()) {
            switch (name) {
                case "balance" -> money = money(name, fields, -Fields.INTEGER_MAX);
                case "credit_limit_minor" -> {
                    known = true;
                    limited = !fields.isNull();
                    limit = limited ? fields.integer(name, 0) : 0;
                }
                case "version" -> version = fields.integer(name, 1);
                case "settled_order_ids" -> settled = fields.isNull() ? null : fields.ids(name, 0, 10_000);
                default -> common(name, fields);
            }
        }
        checkCommon();
        Fields.present("balance", money);
        Fields.present("credit_limit_minor", known ? this : null);
        Fields.present("version", version == 0 ? null : this);
        Balance balance =
                new Balance(version, occurredAt, eventId, money.amount, limited, limit, settled != null);
        return new Event.BalanceChanged(studioId, money.currency, balance, settled);
    }
}
