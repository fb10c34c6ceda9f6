// Read a topic from its start with KafkaJS as it is out of the box; print one JSON a record.
// Ends soon after as many as are said, or when none has come for too long.
const { Kafka, logLevel } = require('kafkajs');

async function main(servers, topic, count, patienceMs) {
  const kafka = new Kafka({ brokers: [servers], logLevel: logLevel.ERROR });
  const consumer = kafka.consumer({ groupId: `kafkajs-${Date.now()}`, maxWaitTimeInMs: 100 });
  await consumer.connect();
  await consumer.subscribe({ topics: [topic], fromBeginning: true });
  let last = Date.now();
  let read = 0;
  await consumer.run({
    eachMessage: async ({ partition, message }) => {
      last = Date.now();
      read += 1;
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
  while (Date.now() - last < (read < count ? patienceMs : 500)) {
    await new Promise((done) => { setTimeout(done, 50); });
  }
  await consumer.disconnect();
}

main(process.argv[2], process.argv[3], Number(process.argv[4]), Number(process.argv[5])).catch((error) => {
  console.error(error);
  process.exit(1);
});
