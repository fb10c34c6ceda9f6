package orderhalt.flink;

import java.util.concurrent.TimeUnit;
import orderhalt.harness.Drain;
import orderhalt.harness.Task;
import org.apache.flink.core.execution.JobClient;

/** The halting job on Flink, in one JVM, as a peer of the benchmark (bench/peers/README.md). */
public final class Peer {
    private static final int FAILED = 70;

    private Peer() {}

    public static void main(String[] arguments) throws Exception {
        Task task = Task.of(System.getenv());
        String backend = System.getenv().getOrDefault("STORE", "hashmap");
        if (task.warmupPrefix() != null) {
            JobClient job =
                    HaltJob.of(task, backend, task.warmupGroup(), task.warmupPrefix()).executeAsync("warm-up");
            new Drain(task, task.warmupGroup(), task.warmupPrefix()).await();
            job.cancel().get(30, TimeUnit.SECONDS);
        }
        JobClient job = HaltJob.of(task, backend, task.group(), "").executeAsync("halts");
        Runtime.getRuntime().addShutdownHook(new Thread(() -> cancel(job)));
        try {
            job.getJobExecutionResult().get();
        } catch (Exception fault) {
            fault.printStackTrace();
            Runtime.getRuntime().halt(FAILED);
        }
    }

    private static void cancel(JobClient job) {
        try {
            job.cancel().get(10, TimeUnit.SECONDS);
        } catch (Exception fault) {
            fault.printStackTrace();
        }
        Runtime.getRuntime().halt(0);
    }
}
