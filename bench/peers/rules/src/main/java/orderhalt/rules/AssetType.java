package orderhalt.rules;

/** What can be deleted and restored; the order is that of the reasons. */
public enum AssetType {
    PRODUCT,
    PHOTO,
    PACKAGE;

    /** As it stands on the wire. */
    final String text = name().toLowerCase(java.util.Locale.ROOT);

    static AssetType of(String text) {
        return switch (text) {
            case "product" -> PRODUCT;
            case "photo" -> PHOTO;
            case "package" -> PACKAGE;
            default -> null;
        };
    }
}
