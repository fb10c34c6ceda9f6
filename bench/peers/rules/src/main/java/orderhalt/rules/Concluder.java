package orderhalt.rules;

import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

/** From the orders that an event affects to the records that say what is new (contract.md §4, §5). */
final class Concluder {
    private static final byte[] NO_DIGEST = {};
    private static final Code[] NO_CODES = {};
    private static final long[] NO_TIMES = {};

    private final String source;
    private final Digests digests = new Digests();
    private final HaltWriter writer = new HaltWriter();
    private final ArrayList<Judged> judged = new ArrayList<>();
    private final ArrayList<OrderState> flipped = new ArrayList<>();

    /** An order and its reasons but credit. */
    private record Judged(OrderState order, List<Finding> findings) {}

    /** {@code source} is ce_source. */
    Concluder(String source) {
        this.source = source;
    }

    /**
     * Judge what is affected, fund the accounts that have changed, and add what is new to
     * {@code emitted}. Orders whose halt is another are {@code dirty} afterwards.
     */
    void conclude(Studio studio, List<OrderState> affected, Event event, Cause cause, List<Emission> emitted,
            List<OrderState> changed) {
        judged.clear();
        for (OrderState order : affected) {
            judge(order, false);
        }
        for (Account account : studio.accounts()) {
            if (account.changed) {
                fund(account);
            }
        }
        if (judged.size() > 1) {
            judged.sort((a, b) -> Ids.compare(a.order.id, b.order.id));
        }
        for (Judged each : judged) {
            Emission said = say(each.order, each.findings, event, cause);
            if (said != null) {
                emitted.add(said);
                if (!each.order.dirty) {
                    each.order.dirty = true;
                    changed.add(each.order);
                }
            }
        }
    }

    private void fund(Account account) {
        flipped.clear();
        account.fund(flipped);
        for (OrderState order : flipped) {
            if (!order.judged) {
                judge(order, true);
            }
        }
    }

    /** An order that has no reason and had none has nothing to say, unless its credit is another. */
    private void judge(OrderState order, boolean creditFlipped) {
        if (!order.isInFlight()) {
            if (order.halt != null) {
                add(order, List.of());
            }
            return;
        }
        List<Finding> findings = Finding.of(order);
        if (findings.isEmpty() && order.halt == null && !creditFlipped) {
            return;
        }
        add(order, findings);
        if (order.entry != null) {
            boolean missing = !findings.isEmpty() && findings.get(0).code().isMissing();
            order.studio.account(order.placed.currency()).setMissing(order, missing);
        }
    }

    private void add(OrderState order, List<Finding> findings) {
        order.judged = true;
        judged.add(new Judged(order, findings));
    }

    /** Give the record of what is new of an order's halt, and keep that it was said; null: nothing is. */
    private Emission say(OrderState order, List<Finding> but, Event event, Cause cause) {
        order.judged = false;
        Halt before = order.halt;
        List<Finding> findings = order.isShort() ? withCredit(but) : but;
        boolean wasHalted = before != null && before.codes().length > 0;
        if (findings.isEmpty() && !wasHalted) {
            return null;
        }
        Halt halt = next(order, before, findings, event);
        if (wasHalted && Arrays.equals(halt.codes(), before.codes())
                && Arrays.equals(halt.digest(), before.digest())) {
            return null;
        }
        order.halt = halt;
        String name = source + '/' + new String(order.key, StandardCharsets.ISO_8859_1) + '/' + halt.sequence()
                + '/' + event.eventId();
        String what = findings.isEmpty() ? "ended" : wasHalted ? "changed" : "opened";
        HaltWriter.Change change = new HaltWriter.Change(
                digests.uuid5(name), Instants.format(event.occurredAt()), what, status(order, findings), before,
                cause, event.eventId());
        byte[] value = writer.write(order, halt, findings, change);
        return new Emission(order.key, value, change.eventId(), what, change.occurredAt());
    }

    private Halt next(OrderState order, Halt before, List<Finding> findings, Event event) {
        boolean wasHalted = before != null && before.codes().length > 0;
        Code[] codes = findings.isEmpty() ? NO_CODES : new Code[findings.size()];
        long[] since = findings.isEmpty() ? NO_TIMES : new long[findings.size()];
        for (int at = 0; at < codes.length; at++) {
            codes[at] = findings.get(at).code();
            boolean held = before != null && before.has(codes[at]);
            since[at] = held ? before.since(codes[at]) : event.occurredAt();
        }
        byte[] digest = findings.isEmpty() ? NO_DIGEST : digests.of(order.placed, findings);
        long sequence = before == null ? 1 : before.sequence() + 1;
        if (wasHalted) {
            return new Halt(sequence, before.episode(), before.haltedSince(), codes, since, digest);
        }
        long episode = before == null ? 1 : before.episode() + 1;
        return new Halt(sequence, episode, event.occurredAt(), codes, since, digest);
    }

    private static List<Finding> withCredit(List<Finding> findings) {
        List<Finding> all = new ArrayList<>(findings);
        int at = 0;
        while (at < all.size() && all.get(at).code().isMissing()) {
            at++;
        }
        all.add(at, Finding.CREDIT);
        return all;
    }

    private static String status(OrderState order, List<Finding> findings) {
        if (!findings.isEmpty()) {
            return "halted";
        }
        return switch (order.phase) {
            case CANCELLED -> "cancelled";
            case SECURED -> "transferred";
            default -> "released";
        };
    }
}
