package orderhalt.rules;

/** Where an order is in its life; only orders in flight are halted (contract.md §4). */
enum Phase {
    UNPLACED,
    IN_FLIGHT,
    CANCELLED,
    SECURED
}
