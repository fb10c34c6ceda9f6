package orderhalt.rules;

import java.nio.charset.StandardCharsets;

/** Reads what {@link RowWriter} has written. */
final class RowReader {
    private static final String[] NOTHING = {};

    private final byte[] bytes;
    private int at;

    RowReader(byte[] bytes) {
        this.bytes = bytes;
    }

    int position() {
        return at;
    }

    long integer() {
        long value = 0;
        int shift = 0;
        byte next;
        do {
            next = bytes[at++];
            value |= (long) (next & 0x7F) << shift;
            shift += 7;
        } while (next < 0);
        return value >>> 1 ^ -(value & 1);
    }

    int count() {
        return (int) integer();
    }

    boolean bool() {
        return bytes[at++] != 0;
    }

    String text() {
        int length = count();
        if (length < 0) {
            return null;
        }
        String text = new String(bytes, at, length, StandardCharsets.UTF_8);
        at += length;
        return text;
    }

    String[] texts() {
        int count = count();
        String[] texts = count == 0 ? NOTHING : new String[count];
        for (int number = 0; number < count; number++) {
            texts[number] = text();
        }
        return texts;
    }

    byte[] raw(int length) {
        byte[] raw = java.util.Arrays.copyOfRange(bytes, at, at + length);
        at += length;
        return raw;
    }
}
