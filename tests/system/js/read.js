// Read a topic from its start with KafkaJS as it is out of the box; print one JSON a record.
// Ends when nothing has come for as long as is said.
const { Kafka, logLevel } = require('kafkajs');

async function main(servers, topic, quietMs) {
  const kafka = new Kafka({ brokers: [servers], logLevel: logLevel.ERROR });
  const consumer = kafka.consumer({ groupId: `kafkajs-${Date.now()}`, maxWaitTimeInMs: 100 });
  await consumer.connect();
  await consumer.subscribe({ topics: [topic], fromBeginning: true });
  let last = 0;
  await consumer.run({
    eachMessage: async ({ partition, message }) => {
      last = Date.now();
      const headers = Object.entries(message.headers || {})
        .map(([name, value]) => [name, value.toString('base64')]);
      console.log(JSON.stringify({
        partition,
        offset: Number(message.offset),
        key: message.key.toString('base64'),
        value: message.value === null ? null : message.value.toString('base64'),
        headers,
      }));
    },
  });
  while (last === 0 || Date.now() - last < quietMs) {
    await new Promise((done) => { setTimeout(done, 50); });
  }
  await consumer.disconnect();
}

main(process.argv[2], process.argv[3], Number(process.argv[4])).catch((error) => {
  console.error(error);
  process.exit(1);
});
