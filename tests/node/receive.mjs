// Receives webhooks and verifies each with the secret that it reads from its input: prints its port, then one JSON
// object a line.
//   echo whsec_… | node receive.mjs
// Answers 503 to the first one, as a receiver that is just being restarted, and 401 to what is not signed by us.
import { createServer } from "node:http";
import { createInterface } from "node:readline/promises";
import { Webhook } from "standardwebhooks";

const secret = createInterface({ input: process.stdin });
const webhook = new Promise((resolve) => secret.once("line", (line) => resolve(new Webhook(line))));
const show = (message) => console.log(JSON.stringify(message));
let restarted = false;

const server = createServer(async (request, response) => {
  const chunks = [];
  for await (const chunk of request) chunks.push(chunk);
  let event;
  try {
    // The text as it came: parsed and written again, it would be another one.
    event = (await webhook).verify(Buffer.concat(chunks).toString(), request.headers);
  } catch (error) {
    show({ id: request.headers["webhook-id"], answered: 401, error: error.message });
    response.writeHead(401).end();
    return;
  }
  const answered = restarted ? 204 : 503;
  restarted = true;
  show({ id: request.headers["webhook-id"], answered, event });
  response.writeHead(answered).end();
});
server.listen(0, "127.0.0.1", () => show({ port: server.address().port }));
