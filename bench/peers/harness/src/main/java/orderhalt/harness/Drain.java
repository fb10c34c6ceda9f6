package orderhalt.harness;

import java.util.HashMap;
import java.util.Map;
import java.util.concurrent.ExecutionException;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.AdminClientConfig;
import org.apache.kafka.clients.admin.OffsetSpec;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.common.TopicPartition;

/** Waits until an application has taken its inputs to their ends. */
public final class Drain {
    private static final long ASK_EVERY_MS = 100;

    private final Task task;
    private final String group;
    private final String prefix;

    public Drain(Task task, String group, String prefix) {
        this.task = task;
        this.group = group;
        this.prefix = prefix;
    }

    public void await() throws ExecutionException, InterruptedException {
        Map<String, Object> config = Map.of(AdminClientConfig.BOOTSTRAP_SERVERS_CONFIG, task.servers());
        try (Admin admin = Admin.create(config)) {
            Map<TopicPartition, Long> ends = ends(admin);
            while (!isAt(ends, admin)) {
                Thread.sleep(ASK_EVERY_MS);
            }
        }
    }

    private boolean isAt(Map<TopicPartition, Long> ends, Admin admin)
            throws ExecutionException, InterruptedException {
        Map<TopicPartition, OffsetAndMetadata> committed =
                admin.listConsumerGroupOffsets(group).partitionsToOffsetAndMetadata().get();
        for (var end : ends.entrySet()) {
            OffsetAndMetadata at = committed.get(end.getKey());
            if (end.getValue() > 0 && (at == null || at.offset() < end.getValue())) {
                return false;
            }
        }
        return true;
    }

    private Map<TopicPartition, Long> ends(Admin admin) throws ExecutionException, InterruptedException {
        Map<TopicPartition, OffsetSpec> asked = new HashMap<>();
        for (String input : Task.INPUTS) {
            for (int number = 0; number < task.partitions(); number++) {
                asked.put(new TopicPartition(prefix + input, number), OffsetSpec.latest());
            }
        }
        Map<TopicPartition, Long> ends = new HashMap<>();
        for (var end : admin.listOffsets(asked).all().get().entrySet()) {
            ends.put(end.getKey(), end.getValue().offset());
        }
        return ends;
    }
}
