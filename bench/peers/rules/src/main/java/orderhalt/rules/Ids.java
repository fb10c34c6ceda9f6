package orderhalt.rules;

import java.nio.charset.StandardCharsets;

/** Ids as text: their order, and their form in keys (contract.md §1, §2). */
final class Ids {
    private static final String HEX = "0123456789ABCDEF";

    private Ids() {}

    /** Compare by code point, which is not what UTF-16 does where surrogates are met. */
    static int compare(String a, String b) {
        int length = Math.min(a.length(), b.length());
        for (int at = 0; at < length; at++) {
            char x = a.charAt(at);
            char y = b.charAt(at);
            if (x != y) {
                boolean mixed = Character.isSurrogate(x) != Character.isSurrogate(y);
                if (mixed) {
                    return Character.isSurrogate(x) ? 1 : -1;
                }
                return x - y;
            }
        }
        return a.length() - b.length();
    }

    /** Percent-encode everything but unreserved characters (RFC 3986). */
    static String quote(String id) {
        for (int at = 0; at < id.length(); at++) {
            if (!isUnreserved(id.charAt(at))) {
                return quoteBytes(id.getBytes(StandardCharsets.UTF_8));
            }
        }
        return id;
    }

    private static String quoteBytes(byte[] bytes) {
        StringBuilder quoted = new StringBuilder(bytes.length * 2);
        for (byte each : bytes) {
            if (each > 0 && isUnreserved((char) each)) {
                quoted.append((char) each);
            } else {
                quoted.append('%').append(HEX.charAt(each >> 4 & 15)).append(HEX.charAt(each & 15));
            }
        }
        return quoted.toString();
    }

    /** Undo {@link #quote}. */
    static String unquote(String quoted) {
        if (quoted.indexOf('%') < 0) {
            return quoted;
        }
        byte[] bytes = new byte[quoted.length()];
        int size = 0;
        for (int at = 0; at < quoted.length(); at++) {
            if (quoted.charAt(at) == '%') {
                bytes[size++] = (byte) Integer.parseInt(quoted, at + 1, at + 3, 16);
                at += 2;
            } else {
                bytes[size++] = (byte) quoted.charAt(at);
            }
        }
        return new String(bytes, 0, size, StandardCharsets.UTF_8);
    }

    private static boolean isUnreserved(char c) {
        return c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c >= 'A' && c <= 'Z'
                || c == '-' || c == '.' || c == '_' || c == '~';
    }
}
