// Makes calls with Connect's own clients for Node, by each protocol and version of HTTP:
// each creates a user, is refused with details, and watches health where there are streams.
// Arguments: the address of a server, and a file with the descriptors.

import { readFileSync } from "node:fs";
import { createFileRegistry, fromBinary } from "@bufbuild/protobuf";
import { FileDescriptorSetSchema } from "@bufbuild/protobuf/wkt";
import { Code, ConnectError, createClient } from "@connectrpc/connect";
import {
  compressionGzip,
  createConnectTransport,
  createGrpcTransport,
  createGrpcWebTransport,
} from "@connectrpc/connect-node";

const [address, descriptors] = process.argv.slice(2);
const registry = createFileRegistry(
  fromBinary(FileDescriptorSetSchema, readFileSync(descriptors)),
);
const BadRequest = registry.getMessage("google.rpc.BadRequest");
const baseUrl = `http://${address}`;

const doors = {
  grpc: createGrpcTransport({ baseUrl }),
  "grpc gzip": createGrpcTransport({ baseUrl, ...gzip() }),
};
for (const httpVersion of ["1.1", "2"]) {
  const options = { baseUrl, httpVersion };
  doors[`grpc-web ${httpVersion}`] = createGrpcWebTransport(options);
  doors[`grpc-web gzip ${httpVersion}`] = createGrpcWebTransport({ ...options, ...gzip() });
  doors[`connect json ${httpVersion}`] = createConnectTransport(options);
  const binary = { ...options, useBinaryFormat: true };
  doors[`connect proto ${httpVersion}`] = createConnectTransport(binary);
  doors[`connect gzip ${httpVersion}`] = createConnectTransport({ ...options, ...gzip() });
}

function gzip() {
  return { sendCompression: compressionGzip, compressMinBytes: 0 };
}

for (const [name, transport] of Object.entries(doors)) {
  const users = createClient(registry.getService("mesibo.v1.UserService"), transport);
  const said = [];
  const user = await users.createUser({ address: `alice by ${name}`, appId: "demo" });
  said.push(typeof user.uid);
  try {
    await users.deleteUser({}, { timeoutMs: 5000 });
  } catch (error) {
    const [details] = ConnectError.from(error).findDetails(BadRequest);
    said.push(Code[error.code], details.fieldViolations[0].field);
  }
  try {
    await users.listUsers({}, { headers: { "mesibo-app": " " } });
  } catch (error) {
    said.push(Code[error.code]);
  }
  if (!name.startsWith("connect")) {
    const health = createClient(registry.getService("grpc.health.v1.Health"), transport);
    const end = new AbortController();
    for await (const { status } of health.watch({}, { signal: end.signal })) {
      said.push(status);
      break;
    }
    end.abort();
  }
  console.log(`${name}: ${said.join(" ")}`);
}
process.exit();
