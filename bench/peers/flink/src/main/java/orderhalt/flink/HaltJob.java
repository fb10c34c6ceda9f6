package orderhalt.flink;

import static java.nio.charset.StandardCharsets.UTF_8;

import java.io.Serial;
import java.time.Duration;
import orderhalt.harness.Task;
import org.apache.flink.api.common.eventtime.WatermarkStrategy;
import org.apache.flink.api.common.typeinfo.TypeInformation;
import org.apache.flink.api.common.typeinfo.Types;
import org.apache.flink.api.java.functions.KeySelector;
import org.apache.flink.configuration.CheckpointingOptions;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.configuration.ExecutionOptions;
import org.apache.flink.configuration.PipelineOptions;
import org.apache.flink.configuration.RestartStrategyOptions;
import org.apache.flink.configuration.StateBackendOptions;
import org.apache.flink.configuration.StateChangelogOptions;
import org.apache.flink.connector.base.DeliveryGuarantee;
import org.apache.flink.connector.kafka.sink.KafkaRecordSerializationSchema;
import org.apache.flink.connector.kafka.sink.KafkaSink;
import org.apache.flink.connector.kafka.source.KafkaSource;
import org.apache.flink.connector.kafka.source.enumerator.initializer.OffsetsInitializer;
import org.apache.flink.connector.kafka.source.reader.deserializer.KafkaRecordDeserializationSchema;
import org.apache.flink.streaming.api.datastream.DataStream;
import org.apache.flink.streaming.api.datastream.DataStreamUtils;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;
import org.apache.flink.util.Collector;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.producer.ProducerRecord;

/** The job: one source of all inputs, one keyed function, one exactly-once sink, chained in one task. */
final class HaltJob {
    private HaltJob() {}

    static StreamExecutionEnvironment of(Task task, String backend, String group, String prefix) {
        StreamExecutionEnvironment environment =
                StreamExecutionEnvironment.getExecutionEnvironment(configuration(task, backend, group));
        environment.setParallelism(1);
        DataStream<Input> inputs =
                environment.fromSource(source(task, group, prefix), WatermarkStrategy.noWatermarks(), "inputs");
        // With one subtask for all there is nothing to shuffle: the chain stays whole.
        KeySelector<Input, String> studio = input -> input.key() == null ? "" : new String(input.key(), UTF_8);
        DataStreamUtils.reinterpretAsKeyedStream(inputs, studio, Types.STRING)
                .process(new HaltFunction(prefix, task.partitions()))
                .returns(TypeInformation.of(Output.class))
                .sinkTo(sink(task, group));
        return environment;
    }

    private static Configuration configuration(Task task, String backend, String group) {
        String directory = "file://" + task.stateDir() + '/' + group;
        Configuration configuration = new Configuration();
        configuration.set(PipelineOptions.OBJECT_REUSE, true);
        configuration.set(RestartStrategyOptions.RESTART_STRATEGY, "none");
        configuration.set(ExecutionOptions.BUFFER_TIMEOUT, Duration.ofMillis(task.commitIntervalMs()));
        configuration.set(
                CheckpointingOptions.CHECKPOINTING_INTERVAL, Duration.ofMillis(task.commitIntervalMs()));
        configuration.set(CheckpointingOptions.CHECKPOINT_STORAGE, "filesystem");
        configuration.set(CheckpointingOptions.CHECKPOINTS_DIRECTORY, directory);
        configuration.set(CheckpointingOptions.INCREMENTAL_CHECKPOINTS, true);
        configuration.set(StateBackendOptions.STATE_BACKEND, backend);
        // What changed since the last checkpoint is written, not the state.
        configuration.set(StateChangelogOptions.ENABLE_STATE_CHANGE_LOG, true);
        configuration.set(StateChangelogOptions.STATE_CHANGE_LOG_STORAGE, "filesystem");
        configuration.setString("state.changelog.dstl.dfs.base-path", directory + "/changelog");
        for (String name : System.getProperties().stringPropertyNames()) {
            if (name.startsWith("flink.")) {
                configuration.setString(name.substring("flink.".length()), System.getProperty(name));
            }
        }
        return configuration;
    }

    private static KafkaSource<Input> source(Task task, String group, String prefix) {
        return KafkaSource.<Input>builder()
                .setBootstrapServers(task.servers())
                .setTopics(Task.INPUTS.stream().map(prefix::concat).toList())
                .setGroupId(group)
                .setStartingOffsets(OffsetsInitializer.earliest())
                .setProperty("isolation.level", "read_committed")
                .setDeserializer(new InputSchema())
                .build();
    }

    private static KafkaSink<Output> sink(Task task, String group) {
        return KafkaSink.<Output>builder()
                .setBootstrapServers(task.servers())
                .setDeliveryGuarantee(DeliveryGuarantee.EXACTLY_ONCE)
                .setTransactionalIdPrefix(group)
                .setProperty("transaction.timeout.ms", "60000")
                .setProperty("max.request.size", Integer.toString(4 << 20))
                .setRecordSerializer(new OutputSchema())
                .build();
    }

    private static final class InputSchema implements KafkaRecordDeserializationSchema<Input> {
        @Serial
        private static final long serialVersionUID = 1;

        @Override
        public void deserialize(ConsumerRecord<byte[], byte[]> record, Collector<Input> out) {
            out.collect(new Input(
                    record.topic(), record.partition(), record.offset(), record.timestamp(), record.key(),
                    record.value()));
        }

        @Override
        public TypeInformation<Input> getProducedType() {
            return TypeInformation.of(Input.class);
        }
    }

    private static final class OutputSchema implements KafkaRecordSerializationSchema<Output> {
        @Serial
        private static final long serialVersionUID = 1;

        @Override
        public ProducerRecord<byte[], byte[]> serialize(Output output, KafkaSinkContext context, Long timestamp) {
            return output.record();
        }
    }
}
