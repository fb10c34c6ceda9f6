package orderhalt.rules;

/** A line of an order and the assets that it refers to; {@code packageId} may be null. */
record Line(String lineId, String productId, String[] photoIds, String packageId) {}
