package orderhalt.rules;

import java.nio.charset.StandardCharsets;
import java.util.Arrays;

/** Writes compact binary rows: integers as zigzag varints, text with its length before it. */
final class RowWriter {
    private byte[] bytes = new byte[1024];
    private int size;

    void clear() {
        size = 0;
    }

    int size() {
        return size;
    }

    byte[] toBytes() {
        return Arrays.copyOf(bytes, size);
    }

    void put(byte[] source, int length) {
        reserve(length);
        System.arraycopy(source, 0, bytes, size, length);
        size += length;
    }

    void put(long value) {
        reserve(10);
        long rest = value << 1 ^ value >> 63;
        while ((rest & ~0x7FL) != 0) {
            bytes[size++] = (byte) (rest | 0x80);
            rest >>>= 7;
        }
        bytes[size++] = (byte) rest;
    }

    void put(boolean value) {
        reserve(1);
        bytes[size++] = (byte) (value ? 1 : 0);
    }

    /** Null is written as a length of -1. */
    void put(String text) {
        if (text == null) {
            put(-1);
            return;
        }
        byte[] encoded = text.getBytes(StandardCharsets.UTF_8);
        put(encoded.length);
        put(encoded, encoded.length);
    }

    void put(String[] texts) {
        put(texts.length);
        for (String text : texts) {
            put(text);
        }
    }

    private void reserve(int count) {
        if (size + count > bytes.length) {
            bytes = Arrays.copyOf(bytes, Math.max(bytes.length * 2, size + count));
        }
    }
}
