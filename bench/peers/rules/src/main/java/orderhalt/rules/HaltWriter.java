package orderhalt.rules;

import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.JsonGenerator;
import com.fasterxml.jackson.core.util.ByteArrayBuilder;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.util.List;
import java.util.SortedSet;

/** Writes the value of a record of order-halted (contract.md §5). Not for several threads. */
final class HaltWriter {
    private static final int LISTED = 100;

    private final JsonFactory factory = new JsonFactory();
    private final ByteArrayBuilder bytes = new ByteArrayBuilder(2048);

    /** What a record says besides the order and its halt. */
    record Change(String eventId, String occurredAt, String change, String status, Halt before, Cause cause,
            String causedBy) {}

    byte[] write(OrderState order, Halt halt, List<Finding> findings, Change change) {
        bytes.reset();
        try (JsonGenerator json = factory.createGenerator(bytes)) {
            json.writeStartObject();
            json.writeStringField("event_id", change.eventId());
            json.writeStringField("occurred_at", change.occurredAt());
            writeOrder(json, order);
            json.writeNumberField("sequence", halt.sequence());
            json.writeStringField("change", change.change());
            json.writeStringField("status", change.status());
            json.writeNumberField("episode", halt.episode());
            json.writeStringField("halted_since", Instants.format(halt.haltedSince()));
            json.writeStringField("primary_reason", findings.isEmpty() ? null : findings.get(0).code().text);
            json.writeArrayFieldStart("reasons");
            for (int at = 0; at < findings.size(); at++) {
                writeReason(json, order, findings.get(at), halt.since()[at]);
            }
            json.writeEndArray();
            writeEnded(json, change.before(), halt);
            json.writeObjectFieldStart("caused_by");
            json.writeStringField("topic", change.cause().topic());
            json.writeNumberField("partition", change.cause().partition());
            json.writeNumberField("offset", change.cause().offset());
            json.writeStringField("event_id", change.causedBy());
            json.writeEndObject();
            json.writeEndObject();
        } catch (IOException impossible) {
            throw new UncheckedIOException(impossible);
        }
        return bytes.toByteArray();
    }

    private static void writeOrder(JsonGenerator json, OrderState order) throws IOException {
        Placed placed = order.placed;
        json.writeStringField("studio_id", order.studio.id);
        json.writeStringField("order_id", order.id);
        json.writeNumberField("order_version", placed.version());
        json.writeStringField("placed_at", Instants.format(placed.placedAt()));
        json.writeBooleanField("paid", placed.paid());
        json.writeObjectFieldStart("production_cost");
        json.writeNumberField("amount_minor", placed.costMinor());
        json.writeStringField("currency", placed.currency());
        json.writeEndObject();
    }

    private static void writeEnded(JsonGenerator json, Halt before, Halt halt) throws IOException {
        json.writeArrayFieldStart("ended_reasons");
        for (int at = 0; before != null && at < before.codes().length; at++) {
            if (!halt.has(before.codes()[at])) {
                json.writeStartObject();
                json.writeStringField("code", before.codes()[at].text);
                json.writeStringField("since", Instants.format(before.since()[at]));
                json.writeEndObject();
            }
        }
        json.writeEndArray();
    }

    // ---- one reason

    private static void writeReason(JsonGenerator json, OrderState order, Finding finding, long since)
            throws IOException {
        json.writeStartObject();
        json.writeStringField("code", finding.code().text);
        json.writeStringField("since", Instants.format(since));
        writeLines(json, finding.lineIds());
        json.writeArrayFieldStart("subjects");
        if (finding.code() == Code.TRANSFER_FAILED) {
            writeTransferSubjects(json, order, finding);
        } else {
            writeAssets(json, finding);
        }
        json.writeEndArray();
        json.writeNumberField("subject_count", finding.assets().size() + finding.transfers().size());
        writeInstant(json, "restorable_until", finding.restorableUntil());
        writeActions(json, finding, order.placed.paid());
        if (finding.code() == Code.CREDIT_LIMIT_REACHED) {
            writeCredit(json, order);
        }
        if (finding.code() == Code.TRANSFER_FAILED) {
            writeTransfers(json, finding.transfers());
        }
        json.writeEndObject();
    }

    private static void writeLines(JsonGenerator json, SortedSet<String> lineIds) throws IOException {
        json.writeArrayFieldStart("line_ids");
        int listed = 0;
        for (String lineId : lineIds) {
            if (listed++ == LISTED) {
                break;
            }
            json.writeString(lineId);
        }
        json.writeEndArray();
        json.writeNumberField("line_count", lineIds.size());
    }

    private static void writeAssets(JsonGenerator json, Finding finding) throws IOException {
        int listed = 0;
        for (var asset : finding.assets().entrySet()) {
            if (listed++ == LISTED) {
                break;
            }
            Mark mark = asset.getValue();
            writeSubject(json, AssetType.values()[finding.code().ordinal()].text, asset.getKey(),
                    mark.occurredAt(), mark.deletedBy(), mark.restorableUntil());
        }
    }

    private static void writeTransferSubjects(JsonGenerator json, OrderState order, Finding finding)
            throws IOException {
        for (Transfer transfer : listed(finding.transfers())) {
            boolean whole = transfer.packageId() == null;
            writeSubject(json, whole ? "order" : "package", whole ? order.id : transfer.packageId(),
                    Instants.NONE, null, Instants.NONE);
        }
    }

    private static void writeSubject(
            JsonGenerator json, String type, String id, long deletedAt, String deletedBy, long until)
            throws IOException {
        json.writeStartObject();
        json.writeStringField("type", type);
        json.writeStringField("id", id);
        writeInstant(json, "deleted_at", deletedAt);
        json.writeStringField("deleted_by", deletedBy);
        writeInstant(json, "restorable_until", until);
        json.writeEndObject();
    }

    private static void writeActions(JsonGenerator json, Finding finding, boolean paid) throws IOException {
        json.writeArrayFieldStart("actions");
        if (finding.restorableUntil() != Instants.NONE) {
            json.writeString("restore_assets");
        }
        switch (finding.code()) {
            case CREDIT_LIMIT_REACHED -> write(json, "top_up", "contact_customer_care");
            case TRANSFER_FAILED -> {
                if (paid) {
                    write(json, "contact_support");
                } else {
                    write(json, "cancel_order", "create_new_order");
                }
            }
            default -> {
                if (paid) {
                    write(json, "contact_customer_care");
                } else {
                    write(json, "cancel_order", "create_new_order");
                }
            }
        }
        json.writeEndArray();
    }

    private static void write(JsonGenerator json, String... texts) throws IOException {
        for (String text : texts) {
            json.writeString(text);
        }
    }

    private static void writeCredit(JsonGenerator json, OrderState order) throws IOException {
        Account account = order.studio.account(order.placed.currency());
        FundingQueue.Sums sums = account.sums(order);
        json.writeObjectFieldStart("credit");
        json.writeStringField("currency", account.currency);
        json.writeNumberField("cost_minor", order.cost);
        json.writeNumberField("balance_minor", account.balance.amountMinor());
        json.writeNumberField("credit_limit_minor", account.balance.limitMinor());
        json.writeNumberField("available_minor", sums.available());
        json.writeNumberField("shortfall_minor", order.cost - sums.available());
        long topUp = sums.before() + order.cost - account.available();
        json.writeNumberField("top_up_minor", Math.max(0, topUp));
        json.writeEndObject();
    }

    private static void writeTransfers(JsonGenerator json, List<Transfer> transfers) throws IOException {
        json.writeArrayFieldStart("transfers");
        for (Transfer transfer : listed(transfers)) {
            json.writeStartObject();
            json.writeStringField("transfer_id", transfer.transferId());
            json.writeStringField("package_id", transfer.packageId());
            json.writeNumberField("attempt", transfer.attempt());
            json.writeStringField("lab_id", transfer.labId());
            if (transfer.errorCode() == null) {
                json.writeNullField("error");
            } else {
                json.writeObjectFieldStart("error");
                json.writeStringField("code", transfer.errorCode());
                json.writeStringField("message", transfer.errorMessage());
                json.writeEndObject();
            }
            json.writeEndObject();
        }
        json.writeEndArray();
        json.writeNumberField("transfer_count", transfers.size());
    }

    private static List<Transfer> listed(List<Transfer> transfers) {
        return transfers.subList(0, Math.min(LISTED, transfers.size()));
    }

    private static void writeInstant(JsonGenerator json, String field, long instant) throws IOException {
        json.writeStringField(field, instant == Instants.NONE ? null : Instants.format(instant));
    }
}
