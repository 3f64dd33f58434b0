// Submits a batch over AMQP and follows every event of it: one JSON object a line, the answer first.
//   AMQP_URL=amqp://… node submit.mjs request.json
// Ends when the batch is posted or completed, or when the request was rejected.
import { randomUUID } from "node:crypto";
import { readFileSync } from "node:fs";
import amqp from "amqplib";

const DONE = new Set(["batch.completed", "batch.completed_with_errors", "batch.failed"]);
const request = JSON.parse(readFileSync(process.argv[2], "utf8"));
const connection = await amqp.connect(process.env.AMQP_URL);
const channel = await connection.createConfirmChannel();
const show = (message) => console.log(JSON.stringify(message));

// A queue of our own for the answer, and one for the events; both go when we go. A real app names its queues and makes
// them durable, so that it gets what happened while it was away.
const { queue: answers } = await channel.assertQueue("", { exclusive: true });
const { queue: events } = await channel.assertQueue("", { exclusive: true });

const answer = await new Promise(async (resolve) => {
  const correlationId = randomUUID();
  await channel.consume(answers, (message) => {
    if (message.properties.correlationId === correlationId) resolve(JSON.parse(message.content));
  }, { noAck: true });
  const properties = { persistent: true, correlationId, replyTo: answers, contentType: "application/json" };
  channel.publish("batchpay.requests", "submit.v1", Buffer.from(JSON.stringify(request)), properties);
  await channel.waitForConfirms();
});
show(answer);

if (answer.type === "request.accepted") {
  await channel.bindQueue(events, "batchpay.events", `of-batch.${answer.batch_id}`);
  // Delivery is at least once: the same event may come again, with the same id.
  const seen = new Set();
  await new Promise(async (resolve) => {
    await channel.consume(events, (message) => {
      const event = JSON.parse(message.content);
      if (!seen.has(event.event_id)) show(event);
      seen.add(event.event_id);
      channel.ack(message);
      if (DONE.has(event.type)) resolve();
    });
  });
}
await connection.close();
