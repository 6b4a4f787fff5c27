import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { parseAck, parseCommand } from "../../../bridge/commands/parse-command.ts";
import { command } from "./support.ts";

const KEY = Buffer.from("demo|device-1");
const yes = (): boolean => true;

function parsed(value: unknown, key: Buffer | null = KEY, isOwn = yes): string {
  const result = parseCommand(key, value === null ? null : Buffer.from(JSON.stringify(value)), isOwn);
  return result.kind === "command" ? result.kind : `${result.kind} ${result.reason}`;
}

test("a record is a command, a rejection that names it, or a dead letter", () => {
  assert.equal(parsed(command("a")), "command");
  assert.equal(
    parsed(command("a"), KEY, () => false),
    "rejected wrong-partition",
  );
  assert.equal(parsed({ ...command("a"), expiresTs: "soon" }), "rejected invalid");
  assert.equal(parsed({ ...command("a"), extra: 1 }), "rejected invalid");
  assert.equal(parsed({ ...command("a"), payload: "x".repeat(40_000) }), "rejected invalid");
  assert.equal(parsed({ ...command("a"), expiresTs: command("a").issuedTs + 8 * 86_400_000 }), "rejected invalid");
  assert.equal(parsed(command("a", { tenant: "victim" })), "dead-letter device-mismatch");
  assert.equal(parsed(command("a"), null), "dead-letter device-mismatch");
  assert.equal(parsed({ ...command("a"), id: "no spaces" }), "dead-letter schema");
  assert.equal(parsed(command("a", { deviceId: "a/b" }), Buffer.from("demo|a/b")), "dead-letter schema");
  assert.equal(parsed(command("a", { deviceId: "+" }), Buffer.from("demo|+")), "dead-letter schema");
  assert.equal(parsed(null), "dead-letter empty");
});

test("an answer names its command in the payload or the correlation data, and never two", () => {
  const id = Buffer.from("a");
  assert.deepEqual(parseAck(Buffer.from('{"id":"a","status":"error","message":"m"}'), undefined)?.status, "error");
  assert.equal(parseAck(Buffer.from(""), id)?.id, "a");
  assert.equal(parseAck(null, id)?.id, "a");
  assert.equal(parseAck(Buffer.from("not json"), id)?.id, "a");
  assert.equal(parseAck(Buffer.from('{"id":"b"}'), id), undefined);
  assert.equal(parseAck(Buffer.from('{"id":"a","status":"maybe"}'), undefined), undefined);
  assert.equal(parseAck(Buffer.from("{}"), undefined), undefined);
});

test("no bytes make parsing throw", () => {
  fc.assert(
    fc.property(fc.uint8Array(), fc.option(fc.uint8Array()), fc.json(), (bytes, other, json) => {
      for (const value of [Buffer.from(bytes), Buffer.from(json)]) {
        parseCommand(other === null ? null : Buffer.from(other), value, yes);
        parseAck(value, other);
      }
    }),
    { numRuns: 2_000 },
  );
});
