import assert from "node:assert/strict";
import { test } from "node:test";
import pino from "pino";
import { runService } from "../../../cli/service.ts";

const logger = pino({ level: "silent" });

test("a signal stops what was started, last first, with exit code 0", async () => {
  const order: string[] = [];
  const code = await runService(
    (closers) => {
      closers.push("first", () => Promise.resolve(order.push("first")));
      closers.push("second", () => Promise.resolve(order.push("second")));
      setImmediate(() => process.emit("SIGTERM", "SIGTERM"));
      return Promise.resolve({});
    },
    { logger },
  );
  assert.equal(code, 0);
  assert.deepEqual(order, ["second", "first"]);
});

test("a signal during a start that never ends stops what is there", async () => {
  let closed = false;
  const code = await runService(
    (closers) => {
      closers.push("ingress", () => {
        closed = true;
        return Promise.resolve();
      });
      setImmediate(() => process.emit("SIGINT", "SIGINT"));
      return new Promise(() => undefined);
    },
    { logger },
  );
  assert.equal(code, 0);
  assert.ok(closed);
});

test("a service that fails is stopped and its error is passed on", async () => {
  let closed = false;
  const running = runService(
    (closers) => {
      closers.push("worker", () => {
        closed = true;
        return Promise.resolve();
      });
      return Promise.resolve({ finished: Promise.reject(new Error("lost")) });
    },
    { logger },
  );
  await assert.rejects(running, /lost/);
  assert.ok(closed);
});

test("a start that fails stops what is there and passes its error on", async () => {
  let closed = false;
  const running = runService(
    (closers) => {
      closers.push("kafka", () => {
        closed = true;
        return Promise.resolve();
      });
      return Promise.reject(new Error("no topics"));
    },
    { logger },
  );
  await assert.rejects(running, /no topics/);
  assert.ok(closed);
});

test("one part that does not stop cleanly does not spare the others, and shows in the exit code", async () => {
  let closed = false;
  const code = await runService(
    (closers) => {
      closers.push("log", () => {
        closed = true;
        return Promise.resolve();
      });
      closers.push("worker", () => Promise.reject(new Error("stuck")));
      setImmediate(() => process.emit("SIGTERM", "SIGTERM"));
      return Promise.resolve({});
    },
    { logger },
  );
  assert.equal(code, 1);
  assert.ok(closed);
});

test("a stop that hangs is given up after its time", async () => {
  const running = runService(
    (closers) => {
      closers.push("worker", () => new Promise(() => undefined));
      setImmediate(() => process.emit("SIGTERM", "SIGTERM"));
      return Promise.resolve({});
    },
    { logger, stopTimeoutMs: 30 },
  );
  await assert.rejects(running, { code: "stop-timeout" });
});

test("no signal handler stays behind", async () => {
  const before = process.listenerCount("SIGTERM");
  await runService(
    () => {
      setImmediate(() => process.emit("SIGTERM", "SIGTERM"));
      return Promise.resolve({});
    },
    { logger },
  );
  assert.equal(process.listenerCount("SIGTERM"), before);
});

test("what asks for a stop beside signals ends the service; a signal with it is the same stop", async () => {
  let stops = 0;
  const asked = Promise.withResolvers<string>();
  const code = await runService(
    (closers) => {
      closers.push("worker", () => {
        process.emit("SIGTERM", "SIGTERM");
        return Promise.resolve(stops++);
      });
      asked.resolve("supervisor");
      return Promise.resolve({});
    },
    { logger, stopAsked: asked.promise },
  );
  assert.deepEqual([code, stops], [0, 1]);
});
