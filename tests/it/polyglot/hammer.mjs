// Sends 10,000 messages, each a number, by a client that repeats UNAVAILABLE, and
// prints how many were answered. The argument is the folder of the stubs, and the
// variable SERVER has the address.

import { createRequire } from "node:module";

const [stubs] = process.argv.slice(2);
const { MessageServiceClient } = await import(`${stubs}/mesibo/v1/message_service.js`);
const { credentials } = createRequire(stubs)("@grpc/grpc-js");

const retryPolicy = {
  maxAttempts: 5,
  initialBackoff: "0.01s",
  maxBackoff: "0.1s",
  backoffMultiplier: 2,
  retryableStatusCodes: ["UNAVAILABLE"],
};
const serviceConfig = { methodConfig: [{ name: [{}], retryPolicy }] };
const messages = new MessageServiceClient(process.env.SERVER, credentials.createInsecure(), {
  "grpc.service_config": JSON.stringify(serviceConfig),
});

function send(number) {
  const request = {
    fromAddress: "alice",
    recipient: { $case: "gid", value: 9n },
    message: String(number),
  };
  return new Promise((resolve) => {
    const options = { deadline: Date.now() + 300 };
    messages.sendMessage(request, options, (error, sent) => {
      resolve(!error && sent.messageId === BigInt(number));
    });
  });
}

let next = 1;
let answered = 0;
async function caller() {
  while (next <= 10_000) {
    if (await send(next++)) answered += 1;
  }
}
await Promise.all(Array.from({ length: 32 }, caller));
console.log(answered);
messages.close();
