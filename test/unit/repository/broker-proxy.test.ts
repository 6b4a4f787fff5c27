/** The fault tests' proxy itself: what it does to bytes, and that it changes none. */
import assert from "node:assert/strict";
import { connect, createServer, type AddressInfo, type Socket } from "node:net";
import { test, type TestContext } from "node:test";
import { BrokerProxy } from "../../support/broker-proxy.ts";
import { API_KEYS, RequestScanner } from "../../support/request-scanner.ts";
import { waitFor } from "../../support/wait-for.ts";

/** Records what it gets, and echoes it. */
async function echo(t: TestContext) {
  const got: Buffer[] = [];
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on("error", () => undefined).on("close", () => sockets.delete(socket));
    socket.on("data", (chunk) => {
      got.push(chunk);
      socket.write(chunk);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  t.after(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  return { port: (server.address() as AddressInfo).port, got, bytes: () => Buffer.concat(got), sockets };
}

async function client(t: TestContext, proxy: BrokerProxy) {
  const socket = connect(proxy.port, "127.0.0.1");
  const answers: Buffer[] = [];
  let error: string | undefined;
  socket.on("data", (chunk) => answers.push(chunk)).on("error", (problem) => (error = (problem as NodeJS.ErrnoException).code));
  t.after(() => socket.destroy());
  await new Promise<void>((resolve, reject) => socket.once("connect", resolve).once("error", reject));
  return { socket, answers: () => Buffer.concat(answers), pieces: () => answers.length, error: () => error };
}

function request(apiKey: number, bodyBytes: number): Buffer {
  const frame = Buffer.alloc(6 + bodyBytes, apiKey);
  frame.writeInt32BE(2 + bodyBytes, 0);
  frame.writeInt16BE(apiKey, 4);
  return frame;
}

test("bytes pass unchanged, also more than the bound of what waits", async (t) => {
  const server = await echo(t);
  const proxy = await BrokerProxy.start(t, server.port);
  const one = await client(t, proxy);
  const sent = Buffer.from(Array.from({ length: 3_000_000 }, (_, i) => i % 251));
  one.socket.write(sent);
  await waitFor("all came back", () => one.answers().length === sent.length);
  assert.ok(one.answers().equals(sent));
});

test("latency delays a direction by what it says, and not the other", async (t) => {
  const server = await echo(t);
  const proxy = await BrokerProxy.start(t, server.port);
  proxy.shape("down", { latencyMs: 300 });
  const one = await client(t, proxy);
  const started = performance.now();
  one.socket.write("ping");
  await waitFor("the server has it", () => server.bytes().length === 4);
  assert.ok(performance.now() - started < 300);
  await waitFor("the answer", () => one.answers().length === 4);
  assert.ok(performance.now() - started >= 299);
});

test("pieces arrive one by one: frames in parts, drop by drop", async (t) => {
  const server = await echo(t);
  const proxy = await BrokerProxy.start(t, server.port);
  proxy.shape("up", { pieceBytes: 3, pieceEveryMs: 5 });
  const one = await client(t, proxy);
  one.socket.write("twelve bytes");
  await waitFor("all of it", () => server.bytes().toString() === "twelve bytes");
  assert.equal(server.got.length, 4);
});

test("half-open: nothing goes on and nothing is closed; calm() lets it all through", async (t) => {
  const server = await echo(t);
  const proxy = await BrokerProxy.start(t, server.port);
  const one = await client(t, proxy);
  one.socket.write("a");
  await waitFor("a is back", () => one.answers().length === 1);
  proxy.shape("both", { stalled: true });
  one.socket.write("b");
  const late = await client(t, proxy); // connections are taken, and silent
  late.socket.write("c");
  await waitFor("both have reached the server", () => server.sockets.size === 2);
  for (const socket of server.sockets) socket.destroy();
  await waitFor("the server has closed", () => server.sockets.size === 0);
  assert.equal(server.bytes().toString(), "a");
  assert.equal(one.socket.destroyed, false);
  assert.equal(one.error(), undefined);
  proxy.calm();
  await waitFor("the close is heard of", () => one.socket.destroyed);
  const after = await client(t, proxy);
  after.socket.write("d");
  await waitFor("d is back", () => after.answers().toString() === "d");
});

test("cut() resets connections and takes new ones; refuse() takes none until calm()", async (t) => {
  const server = await echo(t);
  const proxy = await BrokerProxy.start(t, server.port);
  const one = await client(t, proxy);
  await waitFor("it is through", () => server.sockets.size === 1);
  proxy.cut();
  await waitFor("it is reset", () => one.error() === "ECONNRESET");
  await waitFor("the server heard of it too", () => server.sockets.size === 0);
  const two = await client(t, proxy);
  two.socket.write("x");
  await waitFor("x is back", () => two.answers().toString() === "x");
  proxy.refuse();
  const three = await client(t, proxy).catch(() => undefined);
  if (three !== undefined) await waitFor("it is refused", () => three.socket.destroyed);
  proxy.calm();
  const four = await client(t, proxy);
  four.socket.write("y");
  await waitFor("y is back", () => four.answers().toString() === "y");
});

for (const [fault, reaches] of [
  ["lose-answer", 16],
  ["lose-request", 0],
  ["half", 8],
] as const) {
  test(`failNext: "${fault}" happens to the named request alone, and once`, async (t) => {
    const server = await echo(t);
    const proxy = await BrokerProxy.start(t, server.port);
    const one = await client(t, proxy);
    one.socket.write(request(API_KEYS.fetch, 10));
    await waitFor("a fetch passes", () => one.answers().length === 16);
    proxy.failNext(API_KEYS.endTxn, fault);
    one.socket.write(request(API_KEYS.fetch, 10));
    await waitFor("another fetch passes", () => one.answers().length === 32);
    one.socket.write(request(API_KEYS.endTxn, 10));
    await waitFor("the connection is cut", () => one.error() === "ECONNRESET");
    assert.equal(one.answers().length, 32);
    await waitFor("the server has its part", () => server.bytes().length === 32 + reaches);
    assert.equal(proxy.faultsDone, 1);
    const two = await client(t, proxy);
    two.socket.write(request(API_KEYS.endTxn, 10));
    await waitFor("the next one passes", () => two.answers().length === 16);
  });
}

test("requests are found wherever the chunks are cut", () => {
  const bytes = Buffer.concat([request(0, 5), request(26, 300), request(1, 0), request(28, 7)]);
  for (let size = 1; size < 40; size++) {
    const scanner = new RequestScanner();
    const keys: number[] = [];
    for (let at = 0; at < bytes.length; at += size) keys.push(...scanner.scan(bytes.subarray(at, at + size)));
    assert.deepEqual(keys, [0, 26, 1, 28], `chunks of ${size}`);
  }
});
