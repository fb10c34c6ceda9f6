// Send lines of "key TAB value" from standard input with KafkaJS as it is out of the box.
const { Kafka, logLevel } = require('kafkajs');

async function main(servers, topic) {
  let text = '';
  for await (const part of process.stdin.setEncoding('utf8')) text += part;
  const messages = text.trimEnd().split('\n').map((line) => {
    const [key, value] = line.split('\t');
    return { key, value };
  });
  const producer = new Kafka({ brokers: [servers], logLevel: logLevel.ERROR }).producer();
  await producer.connect();
  await producer.send({ topic, acks: -1, messages });
  await producer.disconnect();
}

main(process.argv[2], process.argv[3]).catch((error) => {
  console.error(error);
  process.exit(1);
});
