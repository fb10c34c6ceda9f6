package orderhalt.rules;

import java.time.DateTimeException;
import java.time.LocalDate;

/** RFC 3339 text on the wire, microseconds since 1970 UTC inside (contract.md §2, §5). */
final class Instants {
    /** Where an event says no instant. */
    static final long NONE = Long.MIN_VALUE;

    private static final long SECOND = 1_000_000L;
    private static final long DAY = 86_400 * SECOND;
    private static final long EARLIEST = LocalDate.of(2000, 1, 1).toEpochDay() * DAY;
    private static final long LATEST = LocalDate.of(2200, 1, 1).toEpochDay() * DAY;

    // Producers write the current time: nearly all instants share their day with the one before.
    private String lastDate = "";
    private long lastDay;

    /** Read an instant with offset; throws IllegalArgumentException where it is none of 2000-2199. */
    long parse(String text) {
        if (text.length() < 20 || text.charAt(4) != '-' || text.charAt(7) != '-'
                || (text.charAt(10) | 32) != 't' || text.charAt(13) != ':' || text.charAt(16) != ':') {
            throw refuse();
        }
        long seconds = limited(text, 11, 23) * 3600L + limited(text, 14, 59) * 60L + limited(text, 17, 59);
        int at = 19;
        long micros = 0;
        if (text.charAt(at) == '.') {
            int first = ++at;
            for (long unit = SECOND / 10; at < text.length() && isDigit(text.charAt(at)); at++, unit /= 10) {
                micros += (text.charAt(at) - '0') * unit;
            }
            if (at == first) {
                throw refuse();
            }
        }
        long whole = (day(text) * 86_400 + seconds - offset(text, at)) * SECOND;
        if (whole < EARLIEST || whole >= LATEST) {
            throw refuse();
        }
        return whole + micros;
    }

    private static long offset(String text, int at) {
        if (at == text.length() - 1 && (text.charAt(at) | 32) == 'z') {
            return 0;
        }
        if (at != text.length() - 6 || text.charAt(at + 3) != ':') {
            throw refuse();
        }
        long seconds = limited(text, at + 1, 23) * 3600L + limited(text, at + 4, 59) * 60L;
        return switch (text.charAt(at)) {
            case '+' -> seconds;
            case '-' -> -seconds;
            default -> throw refuse();
        };
    }

    private long day(String text) {
        if (!text.startsWith(lastDate) || lastDate.isEmpty()) {
            int year = digits(text, 0) * 100 + digits(text, 2);
            try {
                lastDay = LocalDate.of(year, digits(text, 5), digits(text, 8)).toEpochDay();
            } catch (DateTimeException fault) {
                throw refuse();
            }
            lastDate = text.substring(0, 10);
        }
        return lastDay;
    }

    private static int limited(String text, int at, int most) {
        int value = digits(text, at);
        if (value > most) {
            throw refuse();
        }
        return value;
    }

    private static int digits(String text, int at) {
        char tens = text.charAt(at);
        char ones = text.charAt(at + 1);
        if (!isDigit(tens) || !isDigit(ones)) {
            throw refuse();
        }
        return (tens - '0') * 10 + ones - '0';
    }

    private static boolean isDigit(char c) {
        return c >= '0' && c <= '9';
    }

    private static IllegalArgumentException refuse() {
        return new IllegalArgumentException("expected an RFC 3339 instant of the years 2000 to 2199");
    }

    /** Write an instant as {@code YYYY-MM-DDThh:mm:ss.ffffffZ}. */
    static String format(long micros) {
        LocalDate date = LocalDate.ofEpochDay(Math.floorDiv(micros, DAY));
        long within = Math.floorMod(micros, DAY);
        long seconds = within / SECOND;
        char[] text = "0000-00-00T00:00:00.000000Z".toCharArray();
        put(text, 4, date.getYear());
        put(text, 7, date.getMonthValue());
        put(text, 10, date.getDayOfMonth());
        put(text, 13, seconds / 3600);
        put(text, 16, seconds / 60 % 60);
        put(text, 19, seconds % 60);
        put(text, 26, within % SECOND);
        return new String(text);
    }

    private static void put(char[] text, int end, long number) {
        for (int at = end - 1; number > 0; at--, number /= 10) {
            text[at] = (char) ('0' + number % 10);
        }
    }
}
