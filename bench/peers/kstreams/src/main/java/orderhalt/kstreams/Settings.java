package orderhalt.kstreams;

import java.util.Map;
import java.util.Properties;
import orderhalt.harness.Task;
import org.apache.kafka.clients.consumer.ConsumerConfig;
import org.apache.kafka.clients.producer.ProducerConfig;
import org.apache.kafka.streams.StreamsConfig;

/** How Kafka Streams is set up and tuned (README.md here). */
record Settings(Task task, String store) {

    private static final String OVERRIDE = "streams.";

    static Settings of(Map<String, String> environment) {
        return new Settings(Task.of(environment), environment.getOrDefault("STORE", "memory"));
    }

    /** The configuration of one application; {@code -Dstreams.NAME=VALUE} overrides any of it. */
    Properties streams(String applicationId) {
        Properties config = new Properties();
        config.put(StreamsConfig.APPLICATION_ID_CONFIG, applicationId);
        config.put(StreamsConfig.BOOTSTRAP_SERVERS_CONFIG, task.servers());
        config.put(StreamsConfig.STATE_DIR_CONFIG, task.stateDir());
        config.put(StreamsConfig.PROCESSING_GUARANTEE_CONFIG, StreamsConfig.EXACTLY_ONCE_V2);
        config.put(StreamsConfig.COMMIT_INTERVAL_MS_CONFIG, task.commitIntervalMs());
        config.put(StreamsConfig.NUM_STREAM_THREADS_CONFIG, 1);
        config.put(StreamsConfig.REPLICATION_FACTOR_CONFIG, 1);
        config.put(StreamsConfig.consumerPrefix(ConsumerConfig.AUTO_OFFSET_RESET_CONFIG), "earliest");
        config.put(StreamsConfig.producerPrefix(ProducerConfig.MAX_REQUEST_SIZE_CONFIG), 4 << 20);
        // A commit interval's records in few batches and few fetches (README.md here says what it gave).
        config.put(StreamsConfig.producerPrefix(ProducerConfig.BATCH_SIZE_CONFIG), 256 << 10);
        config.put(StreamsConfig.consumerPrefix(ConsumerConfig.MAX_POLL_RECORDS_CONFIG), 5_000);
        config.put(StreamsConfig.consumerPrefix(ConsumerConfig.MAX_PARTITION_FETCH_BYTES_CONFIG), 4 << 20);
        config.put(StreamsConfig.BUFFERED_RECORDS_PER_PARTITION_CONFIG, 5_000);
        // Whichever topic has a record next: the rules do not depend on the order of topics, and waiting
        // for the empty ones costs a look at the consumer for each of them with each record.
        config.put(StreamsConfig.MAX_TASK_IDLE_MS_CONFIG, StreamsConfig.MAX_TASK_IDLE_MS_DISABLED);
        for (String name : System.getProperties().stringPropertyNames()) {
            if (name.startsWith(OVERRIDE)) {
                config.put(name.substring(OVERRIDE.length()), System.getProperty(name));
            }
        }
        return config;
    }
}
