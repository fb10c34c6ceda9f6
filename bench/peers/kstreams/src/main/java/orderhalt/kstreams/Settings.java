package orderhalt.kstreams;

import java.util.Map;
import java.util.Properties;
import org.apache.kafka.clients.consumer.ConsumerConfig;
import org.apache.kafka.clients.producer.ProducerConfig;
import org.apache.kafka.streams.StreamsConfig;

/** What the harness sets (bench/peers/README.md), and how Kafka Streams is tuned (README.md here). */
record Settings(
        String servers,
        String commitIntervalMs,
        int partitions,
        String group,
        String stateDir,
        String warmupPrefix,
        boolean inMemory) {

    private static final String OVERRIDE = "streams.";

    static Settings of(Map<String, String> environment) {
        return new Settings(
                environment.get("ORDERHALT_BOOTSTRAP_SERVERS"),
                environment.get("ORDERHALT_COMMIT_INTERVAL_MS"),
                Integer.parseInt(environment.get("BENCH_PARTITIONS")),
                environment.get("BENCH_GROUP"),
                environment.get("BENCH_STATE_DIR"),
                environment.get("BENCH_WARMUP_PREFIX"),
                environment.getOrDefault("STORE", "memory").equals("memory"));
    }

    /** The configuration of one application; {@code -Dstreams.NAME=VALUE} overrides any of it. */
    Properties streams(String applicationId) {
        Properties config = new Properties();
        config.put(StreamsConfig.APPLICATION_ID_CONFIG, applicationId);
        config.put(StreamsConfig.BOOTSTRAP_SERVERS_CONFIG, servers);
        config.put(StreamsConfig.STATE_DIR_CONFIG, stateDir);
        config.put(StreamsConfig.PROCESSING_GUARANTEE_CONFIG, StreamsConfig.EXACTLY_ONCE_V2);
        config.put(StreamsConfig.COMMIT_INTERVAL_MS_CONFIG, commitIntervalMs);
        config.put(StreamsConfig.NUM_STREAM_THREADS_CONFIG, 1);
        config.put(StreamsConfig.REPLICATION_FACTOR_CONFIG, 1);
        config.put(StreamsConfig.consumerPrefix(ConsumerConfig.AUTO_OFFSET_RESET_CONFIG), "earliest");
        config.put(StreamsConfig.producerPrefix(ProducerConfig.MAX_REQUEST_SIZE_CONFIG), 4 << 20);
        for (String name : System.getProperties().stringPropertyNames()) {
            if (name.startsWith(OVERRIDE)) {
                config.put(name.substring(OVERRIDE.length()), System.getProperty(name));
            }
        }
        return config;
    }
}
