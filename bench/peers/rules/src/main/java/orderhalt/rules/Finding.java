package orderhalt.rules;

import java.util.ArrayList;
import java.util.List;
import java.util.SortedMap;
import java.util.SortedSet;
import java.util.TreeMap;
import java.util.TreeSet;

/**
 * One active reason of an order in flight and what shows it: all unsecured lines that do, the gone
 * assets by id, or the deciding failed transfers (the whole order's first, then by package id).
 */
record Finding(Code code, SortedSet<String> lineIds, SortedMap<String, Mark> assets, List<Transfer> transfers) {

    static final Finding CREDIT = of(Code.CREDIT_LIMIT_REACHED);

    private static final Code[] MISSING = {Code.PRODUCT_MISSING, Code.PHOTOS_MISSING, Code.PACKAGE_MISSING};

    private static Finding of(Code code) {
        return new Finding(code, new TreeSet<>(Ids::compare), new TreeMap<>(Ids::compare), new ArrayList<>());
    }

    /** Find all reasons of an order in flight but credit, by precedence (contract.md §4). */
    static List<Finding> of(OrderState order) {
        boolean missing = anyMissing(order);
        boolean failed = anyFailed(order);
        if (!missing && !failed) {
            return List.of();
        }
        List<Finding> found = new ArrayList<>();
        if (missing) {
            findMissing(order, found);
        }
        if (failed) {
            findFailed(order, found);
        }
        return found;
    }

    // Nearly always nothing is gone and nothing has failed, and nothing is built.

    private static boolean anyMissing(OrderState order) {
        var marks = order.studio.marks;
        var products = marks.get(0);
        var photos = marks.get(1);
        var packages = marks.get(2);
        for (Line line : order.lines) {
            if (isGone(products.get(line.productId()))) {
                return true;
            }
            if (line.packageId() != null && isGone(packages.get(line.packageId()))) {
                return true;
            }
            for (String photo : line.photoIds()) {
                if (isGone(photos.get(photo))) {
                    return true;
                }
            }
        }
        return false;
    }

    private static boolean anyFailed(OrderState order) {
        for (Transfer transfer : order.transfers) {
            if (transfer.failedForGood()) {
                return true;
            }
        }
        return false;
    }

    private static boolean isGone(Mark mark) {
        return mark != null && mark.gone();
    }

    private static void findMissing(OrderState order, List<Finding> found) {
        Finding[] byType = {of(MISSING[0]), of(MISSING[1]), of(MISSING[2])};
        for (Line line : order.lines) {
            note(order, byType, AssetType.PRODUCT, line.productId(), line);
            for (String photo : line.photoIds()) {
                note(order, byType, AssetType.PHOTO, photo, line);
            }
            if (line.packageId() != null) {
                note(order, byType, AssetType.PACKAGE, line.packageId(), line);
            }
        }
        for (Finding finding : byType) {
            if (!finding.assets.isEmpty()) {
                found.add(finding);
            }
        }
    }

    private static void note(OrderState order, Finding[] byType, AssetType type, String asset, Line line) {
        Mark mark = order.studio.marks.get(type.ordinal()).get(asset);
        if (isGone(mark)) {
            byType[type.ordinal()].assets.put(asset, mark);
            byType[type.ordinal()].lineIds.add(line.lineId());
        }
    }

    /** Of the transfers that cover a line the one with the higher attempt decides, at a tie its package's. */
    private static void findFailed(OrderState order, List<Finding> found) {
        Finding failed = of(Code.TRANSFER_FAILED);
        Transfer whole = order.transferOf(null);
        TreeMap<String, Transfer> byPackage = new TreeMap<>(Ids::compare);
        boolean wholeFailed = false;
        for (Line line : order.lines) {
            Transfer own = line.packageId() == null ? null : order.transferOf(line.packageId());
            if (own == null || whole != null && whole.attempt() > own.attempt()) {
                own = whole;
            }
            if (own != null && own.failedForGood()) {
                failed.lineIds.add(line.lineId());
                wholeFailed |= own == whole;
                if (own != whole) {
                    byPackage.put(own.packageId(), own);
                }
            }
        }
        if (wholeFailed) {
            failed.transfers.add(whole);
        }
        failed.transfers.addAll(byPackage.values());
        if (!failed.lineIds.isEmpty()) {
            found.add(failed);
        }
    }

    /** Give the earliest until when all of its assets can be restored, {@link Instants#NONE} if one cannot. */
    long restorableUntil() {
        long earliest = Long.MAX_VALUE;
        for (Mark mark : assets.values()) {
            earliest = Math.min(earliest, mark.restorableUntil());
        }
        return assets.isEmpty() ? Instants.NONE : earliest;
    }
}
