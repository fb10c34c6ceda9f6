package orderhalt.harness;

import java.util.List;
import java.util.Map;

/** What the harness gives a peer (bench/peers/README.md); {@code warmupPrefix} may be null. */
public record Task(
        String servers, long commitIntervalMs, int partitions, String group, String stateDir, String warmupPrefix) {

    /** The topics of the contract, without prefix. */
    public static final List<String> INPUTS = List.of(
            "order-placed", "order-cancelled", "order-reinstated", "asset-deleted", "asset-restored",
            "lab-transfer", "balance-changed");

    public static final String HALTED = "order-halted";
    public static final String REJECTED = "orderhalt-rejected";

    public static Task of(Map<String, String> environment) {
        return new Task(
                environment.get("ORDERHALT_BOOTSTRAP_SERVERS"),
                Long.parseLong(environment.get("ORDERHALT_COMMIT_INTERVAL_MS")),
                Integer.parseInt(environment.get("BENCH_PARTITIONS")),
                environment.get("BENCH_GROUP"),
                environment.get("BENCH_STATE_DIR"),
                environment.get("BENCH_WARMUP_PREFIX"));
    }

    /** The consumer group of the warm-up. */
    public String warmupGroup() {
        return group + "-warmup";
    }
}
