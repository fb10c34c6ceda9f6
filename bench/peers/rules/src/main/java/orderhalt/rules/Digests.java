package orderhalt.rules;

import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.Arrays;
import java.util.HexFormat;
import java.util.List;

/** Digests of what was said, and ids of what is said. Not for several threads. */
final class Digests {
    private static final byte[] URL_NAMESPACE = HexFormat.of().parseHex("6ba7b8119dad11d180b400c04fd430c8");
    private static final int DIGEST_BYTES = 16;

    private final MessageDigest sha1;
    private final RowWriter content = new RowWriter();

    Digests() {
        try {
            sha1 = MessageDigest.getInstance("SHA-1");
        } catch (NoSuchAlgorithmException impossible) {
            throw new IllegalStateException(impossible);
        }
    }

    /** Digest all that makes a new record when it changes, before anything is cut (contract.md §5). */
    byte[] of(Placed placed, List<Finding> findings) {
        content.clear();
        content.put(placed.version());
        content.put(placed.paid());
        content.put(placed.costMinor());
        content.put(placed.currency());
        for (Finding finding : findings) {
            put(finding);
        }
        return Arrays.copyOf(sha1.digest(content.toBytes()), DIGEST_BYTES);
    }

    private void put(Finding finding) {
        content.put(finding.code().ordinal());
        content.put(finding.lineIds().size());
        finding.lineIds().forEach(content::put);
        content.put(finding.assets().size());
        finding.assets().forEach((asset, mark) -> {
            content.put(asset);
            content.put(mark.occurredAt());
            content.put(mark.deletedBy());
            content.put(mark.restorableUntil());
        });
        content.put(finding.transfers().size());
        for (Transfer transfer : finding.transfers()) {
            content.put(transfer.packageId());
            content.put(transfer.transferId());
            content.put(transfer.attempt());
            content.put(transfer.labId());
            content.put(transfer.errorCode());
            content.put(transfer.errorMessage());
        }
    }

    /** Give the uuid5 of the URL namespace over a name, as text. */
    String uuid5(String name) {
        sha1.update(URL_NAMESPACE);
        byte[] digest = sha1.digest(name.getBytes(java.nio.charset.StandardCharsets.UTF_8));
        digest[6] = (byte) (digest[6] & 0x0F | 0x50);
        digest[8] = (byte) (digest[8] & 0x3F | 0x80);
        String hex = HexFormat.of().formatHex(digest, 0, 16);
        return hex.substring(0, 8) + '-' + hex.substring(8, 12) + '-' + hex.substring(12, 16) + '-'
                + hex.substring(16, 20) + '-' + hex.substring(20);
    }
}
