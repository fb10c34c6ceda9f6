package orderhalt.flink;

import static java.nio.charset.StandardCharsets.UTF_8;

import java.io.Serial;
import orderhalt.harness.Task;
import orderhalt.rules.Cause;
import orderhalt.rules.Emission;
import orderhalt.rules.Event;
import orderhalt.rules.EventReader;
import orderhalt.rules.Rejection;
import orderhalt.rules.Shard;
import org.apache.flink.api.common.functions.OpenContext;
import org.apache.flink.streaming.api.functions.KeyedProcessFunction;
import org.apache.flink.util.Collector;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.header.Headers;
import org.apache.kafka.common.header.internals.RecordHeader;
import org.apache.kafka.common.utils.Utils;

/** All inputs, keyed by studio: reads a record, applies it to the rules, gives what comes of it. */
final class HaltFunction extends KeyedProcessFunction<String, Input, Output> {
    @Serial
    private static final long serialVersionUID = 1;

    private final String prefix;
    private final int partitions;
    private transient EventReader reader;
    private transient Shard shard;

    HaltFunction(String prefix, int partitions) {
        this.prefix = prefix;
        this.partitions = partitions;
    }

    @Override
    public void open(OpenContext context) {
        reader = new EventReader();
        shard = new Shard(new StateRows(getRuntimeContext()), prefix);
    }

    @Override
    public void processElement(Input input, Context context, Collector<Output> out) {
        try {
            String topic = input.topic().substring(prefix.length());
            Event event = reader.read(topic, input.key(), input.value(), input.timestamp());
            if (!shard.knows(event.studioId()) && partitionOf(input.key()) != input.partition()) {
                throw Rejection.wrongPartition(input.partition());
            }
            Cause cause = new Cause(input.topic(), input.partition(), input.offset());
            for (Emission emission : shard.apply(event, cause)) {
                out.collect(halted(emission, input.partition()));
            }
        } catch (Rejection rejection) {
            out.collect(rejected(input, rejection));
        }
    }

    private int partitionOf(byte[] key) {
        return Utils.toPositive(Utils.murmur2(key)) % partitions;
    }

    private Output halted(Emission emission, int partition) {
        ProducerRecord<byte[], byte[]> record =
                new ProducerRecord<>(prefix + Task.HALTED, partition, emission.key(), emission.value());
        Headers headers = record.headers();
        add(headers, "ce_specversion", "1.0");
        add(headers, "ce_id", emission.eventId());
        add(headers, "ce_source", Shard.source(prefix));
        add(headers, "ce_type", "orderhalt.halt." + emission.change() + ".v1");
        headers.add(new RecordHeader("ce_subject", emission.key()));
        add(headers, "ce_time", emission.occurredAt());
        add(headers, "ce_dataschema", "urn:orderhalt:schema:order-halted:v1");
        add(headers, "content-type", "application/json");
        return new Output(record);
    }

    private Output rejected(Input input, Rejection rejection) {
        ProducerRecord<byte[], byte[]> record = new ProducerRecord<>(
                prefix + Task.REJECTED, input.partition(), input.key(), input.value());
        Headers headers = record.headers();
        add(headers, "orderhalt_error_code", rejection.code());
        add(headers, "orderhalt_error", rejection.getMessage());
        add(headers, "orderhalt_topic", input.topic());
        add(headers, "orderhalt_partition", Integer.toString(input.partition()));
        add(headers, "orderhalt_offset", Long.toString(input.offset()));
        add(headers, "orderhalt_timestamp", Long.toString(input.timestamp()));
        return new Output(record);
    }

    private static void add(Headers headers, String name, String text) {
        headers.add(new RecordHeader(name, text.getBytes(UTF_8)));
    }
}
