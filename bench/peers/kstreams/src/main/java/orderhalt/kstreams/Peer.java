package orderhalt.kstreams;

import java.time.Duration;
import java.util.concurrent.CountDownLatch;
import orderhalt.harness.Drain;
import orderhalt.harness.Task;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.errors.StreamsUncaughtExceptionHandler.StreamThreadExceptionResponse;

/** The halting job on Kafka Streams, as a peer of the benchmark (bench/peers/README.md). */
public final class Peer {
    private static final Duration CLOSES_WITHIN = Duration.ofSeconds(10);

    private Peer() {}

    public static void main(String[] arguments) throws Exception {
        Settings settings = Settings.of(System.getenv());
        Task task = settings.task();
        if (task.warmupPrefix() != null) {
            KafkaStreams streams = start(settings, task.warmupGroup(), task.warmupPrefix());
            new Drain(task, task.warmupGroup(), task.warmupPrefix()).await();
            streams.close(CLOSES_WITHIN);
            streams.cleanUp();
        }
        KafkaStreams streams = start(settings, task.group(), "");
        CountDownLatch ended = new CountDownLatch(1);
        Runtime.getRuntime().addShutdownHook(new Thread(() -> {
            streams.close(CLOSES_WITHIN);
            ended.countDown();
        }));
        ended.await();
    }

    private static KafkaStreams start(Settings settings, String application, String prefix) {
        KafkaStreams streams =
                new KafkaStreams(HaltTopology.of(settings, prefix), settings.streams(application));
        streams.setUncaughtExceptionHandler(fault -> {
            fault.printStackTrace();
            Runtime.getRuntime().halt(70);
            return StreamThreadExceptionResponse.SHUTDOWN_APPLICATION;
        });
        streams.start();
        return streams;
    }
}
