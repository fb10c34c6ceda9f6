package orderhalt.kstreams;

import static java.nio.charset.StandardCharsets.UTF_8;

import java.util.List;
import orderhalt.harness.Task;
import orderhalt.rules.Cause;
import orderhalt.rules.Emission;
import orderhalt.rules.Event;
import orderhalt.rules.EventReader;
import orderhalt.rules.Rejection;
import orderhalt.rules.Shard;
import org.apache.kafka.common.header.Headers;
import org.apache.kafka.common.header.internals.RecordHeaders;
import org.apache.kafka.common.utils.Utils;
import org.apache.kafka.streams.processor.api.Processor;
import org.apache.kafka.streams.processor.api.ProcessorContext;
import org.apache.kafka.streams.processor.api.Record;
import org.apache.kafka.streams.processor.api.RecordMetadata;

/** All inputs of one partition: reads a record, applies it to the shard, sends on what comes of it. */
final class HaltProcessor implements Processor<byte[], byte[], byte[], Output> {
    private static final byte[] SPEC_VERSION = "1.0".getBytes(UTF_8);
    private static final byte[] DATA_SCHEMA = "urn:orderhalt:schema:order-halted:v1".getBytes(UTF_8);
    private static final byte[] CONTENT_TYPE = "application/json".getBytes(UTF_8);

    private final String prefix;
    private final int partitions;
    private final byte[] source;
    private final EventReader reader = new EventReader();
    private ProcessorContext<byte[], Output> context;
    private Shard shard;
    private int partition;

    HaltProcessor(String prefix, int partitions) {
        this.prefix = prefix;
        this.partitions = partitions;
        source = Shard.source(prefix).getBytes(UTF_8);
    }

    @Override
    public void init(ProcessorContext<byte[], Output> context) {
        this.context = context;
        partition = context.taskId().partition();
        shard = new Shard(new StoreRows(context), prefix);
        // What a changelog had is in the stores by now.
        shard.loadAll();
    }

    @Override
    public void process(Record<byte[], byte[]> record) {
        RecordMetadata at = context.recordMetadata().orElseThrow();
        try {
            String topic = at.topic().substring(prefix.length());
            Event event = reader.read(topic, record.key(), record.value(), record.timestamp());
            checkPartition(event, record.key());
            send(shard.apply(event, new Cause(at.topic(), partition, at.offset())), record.timestamp());
        } catch (Rejection rejection) {
            reject(record, at, rejection);
        }
    }

    private void checkPartition(Event event, byte[] key) throws Rejection {
        if (!shard.knows(event.studioId()) && Utils.toPositive(Utils.murmur2(key)) % partitions != partition) {
            throw Rejection.wrongPartition(partition);
        }
    }

    private void send(List<Emission> emissions, long timestamp) {
        for (Emission emission : emissions) {
            Headers headers = new RecordHeaders();
            headers.add("ce_specversion", SPEC_VERSION);
            headers.add("ce_id", emission.eventId().getBytes(UTF_8));
            headers.add("ce_source", source);
            headers.add("ce_type", ("orderhalt.halt." + emission.change() + ".v1").getBytes(UTF_8));
            headers.add("ce_subject", emission.key());
            headers.add("ce_time", emission.occurredAt().getBytes(UTF_8));
            headers.add("ce_dataschema", DATA_SCHEMA);
            headers.add("content-type", CONTENT_TYPE);
            Output output = new Output(emission.value(), partition);
            context.forward(new Record<>(emission.key(), output, timestamp, headers), Task.HALTED);
        }
    }

    private void reject(Record<byte[], byte[]> record, RecordMetadata at, Rejection rejection) {
        Headers headers = new RecordHeaders(record.headers());
        headers.add("orderhalt_error_code", rejection.code().getBytes(UTF_8));
        headers.add("orderhalt_error", rejection.getMessage().getBytes(UTF_8));
        headers.add("orderhalt_topic", at.topic().getBytes(UTF_8));
        headers.add("orderhalt_partition", Integer.toString(partition).getBytes(UTF_8));
        headers.add("orderhalt_offset", Long.toString(at.offset()).getBytes(UTF_8));
        headers.add("orderhalt_timestamp", Long.toString(record.timestamp()).getBytes(UTF_8));
        Output output = new Output(record.value(), partition);
        context.forward(
                new Record<>(record.key(), output, record.timestamp(), headers), Task.REJECTED);
    }
}
