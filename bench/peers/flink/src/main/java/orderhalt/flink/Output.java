package orderhalt.flink;

import org.apache.kafka.clients.producer.ProducerRecord;

/** One record to write. */
public record Output(ProducerRecord<byte[], byte[]> record) {}
