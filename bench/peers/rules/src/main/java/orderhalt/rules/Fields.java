package orderhalt.rules;

import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.core.JsonToken;
import java.io.IOException;
import java.util.ArrayList;

/** The fields of one JSON object one after the other, and their values as the contract limits them. */
final class Fields {
    static final long INTEGER_MAX = (1L << 53) - 1;
    static final int ID = 256;
    static final int SHORT_ID = 128;
    static final int CODE = 64;
    private static final int FREE_TEXT = 500;
    private static final String[] NOTHING = {};

    private final JsonParser json;
    private final Instants instants;
    private final ArrayList<String> list = new ArrayList<>();

    Fields(JsonParser json, Instants instants) {
        this.json = json;
        this.instants = instants;
    }

    /** Enter the object that begins here. */
    void enter(String what) throws IOException, Rejection {
        if (json.currentToken() != JsonToken.START_OBJECT) {
            throw invalid(what, "expected an object");
        }
    }

    /** Go on to the value of the next field; give its name, or null at the object's end. */
    String next() throws IOException {
        String name = json.nextFieldName();
        if (name != null) {
            json.nextToken();
        }
        return name;
    }

    /** Go on to the next object of an array; false at its end. */
    boolean nextElement() throws IOException {
        return json.nextToken() != JsonToken.END_ARRAY;
    }

    /** Leave out a field that nobody knows; half characters are looked for at its top alone. */
    void skip() throws IOException, Rejection {
        if (json.currentToken() == JsonToken.VALUE_STRING) {
            checkHalves("The value", json.getText());
        }
        json.skipChildren();
    }

    boolean isNull() throws IOException {
        return json.currentToken() == JsonToken.VALUE_NULL;
    }

    String text(String field, int most) throws IOException, Rejection {
        if (json.currentToken() != JsonToken.VALUE_STRING) {
            throw invalid(field, "expected a string");
        }
        String text = json.getText();
        checkCharacters(field, text);
        int length = text.length() <= most ? text.length() : text.codePointCount(0, text.length());
        if (length < 1 || length > most) {
            throw invalid(field, "expected 1 to " + most + " characters");
        }
        return text;
    }

    String textOrNull(String field, int most) throws IOException, Rejection {
        return isNull() ? null : text(field, most);
    }

    /** Free text is never a reason to reject: it is cut, and its control characters become spaces. */
    String freeText(String field) throws IOException, Rejection {
        if (json.currentToken() != JsonToken.VALUE_STRING) {
            throw invalid(field, "expected a string");
        }
        String text = json.getText();
        checkHalves(field, text);
        if (text.length() > FREE_TEXT && text.codePointCount(0, text.length()) > FREE_TEXT) {
            text = text.substring(0, text.offsetByCodePoints(0, FREE_TEXT));
        }
        for (int at = 0; at < text.length(); at++) {
            if (Character.isISOControl(text.charAt(at))) {
                return text.replaceAll("\\p{Cc}", " ");
            }
        }
        return text;
    }

    long integer(String field, long least) throws IOException, Rejection {
        if (json.currentToken() != JsonToken.VALUE_NUMBER_INT) {
            throw invalid(field, "expected an integer");
        }
        if (json.getNumberType() == JsonParser.NumberType.BIG_INTEGER) {
            throw invalid(field, "is out of range");
        }
        long value = json.getLongValue();
        if (value < least || value > INTEGER_MAX) {
            throw invalid(field, "is out of range");
        }
        return value;
    }

    boolean bool(String field) throws IOException, Rejection {
        return switch (json.currentToken()) {
            case VALUE_TRUE -> true;
            case VALUE_FALSE -> false;
            default -> throw invalid(field, "expected true or false");
        };
    }

    long instant(String field) throws IOException, Rejection {
        if (json.currentToken() != JsonToken.VALUE_STRING) {
            throw invalid(field, "expected an instant");
        }
        try {
            return instants.parse(json.getText());
        } catch (IllegalArgumentException | StringIndexOutOfBoundsException fault) {
            throw invalid(field, "expected an RFC 3339 instant of the years 2000 to 2199");
        }
    }

    String currency(String field) throws IOException, Rejection {
        String text = text(field, 3);
        for (int at = 0; at < 3; at++) {
            if (text.length() != 3 || text.charAt(at) < 'A' || text.charAt(at) > 'Z') {
                throw invalid(field, "expected three capital letters");
            }
        }
        return text;
    }

    String[] ids(String field, int least, int most) throws IOException, Rejection {
        enterArray(field);
        list.clear();
        while (nextElement()) {
            list.add(text(field, ID));
        }
        if (list.size() < least || list.size() > most) {
            throw invalid(field, "expected " + least + " to " + most + " ids");
        }
        return list.isEmpty() ? NOTHING : list.toArray(NOTHING);
    }

    void enterArray(String field) throws Rejection {
        if (json.currentToken() != JsonToken.START_ARRAY) {
            throw invalid(field, "expected an array");
        }
    }

    private static void checkCharacters(String field, String text) throws Rejection {
        for (int at = 0; at < text.length(); at++) {
            char c = text.charAt(at);
            if (Character.isISOControl(c)) {
                checkHalves(field, text);
                throw invalid(field, "holds a control character");
            }
            if (Character.isSurrogate(c)) {
                checkHalves(field, text);
            }
        }
    }

    private static void checkHalves(String field, String text) throws Rejection {
        for (int at = 0; at < text.length(); at++) {
            char c = text.charAt(at);
            if (Character.isSurrogate(c)) {
                if (Character.isLowSurrogate(c) || at + 1 == text.length()
                        || !Character.isLowSurrogate(text.charAt(at + 1))) {
                    throw new Rejection("malformed_json", field + ": holds half a character.");
                }
                at++;
            }
        }
    }

    static <T> T present(String field, T value) throws Rejection {
        if (value == null) {
            throw invalid(field, "is missing");
        }
        return value;
    }

    static Rejection invalid(String field, String what) {
        return new Rejection("invalid_event", field + ": " + what + ".");
    }
}
