import assert from "node:assert/strict";
import { test } from "node:test";
import { GATEWAY_PROPERTIES, GatewayTime } from "../../../bridge/gateway-time.ts";
import { Fixture } from "./forwarder-fixture.ts";

const NOW = 1_767_225_600_000;
const MAX_AGE_MS = 60_000;
const told = (...values: string[]) => values.map((value) => ({ name: GATEWAY_PROPERTIES.receivedTs, value }));

test("a gateway's receive time is taken within the bound, and refused and counted ahead of it, before it, or unreadable", () => {
  const time = new GatewayTime({ maxAgeMs: MAX_AGE_MS });
  const receivedTs = (...values: string[]): number => time.receivedTs(told(...values), NOW) - NOW;
  assert.equal(receivedTs(String(NOW - 5_000)), -5_000);
  assert.equal(receivedTs(String(NOW - MAX_AGE_MS)), -MAX_AGE_MS);
  assert.equal(receivedTs(String(NOW + 900)), 0, "clocks differ a little: never ahead");
  assert.deepEqual(time.counts, { used: 3, ahead: 0, tooOld: 0, unreadable: 0 });
  for (const value of [NOW - MAX_AGE_MS - 1, 0, NOW + 1_001, 999_999_999_999_999].map(String)) assert.equal(receivedTs(value), 0);
  for (const value of ["", "-1", "1e12", " 1", "1.5", "0x10", "9".repeat(400), "２"]) assert.equal(receivedTs(value), 0);
  assert.equal(receivedTs(String(NOW - 1), String(NOW - 2)), 0, "told twice");
  assert.equal(receivedTs(), 0);
  assert.equal(time.receivedTs([{ name: "other", value: String(NOW - 1) }], NOW), NOW);
  assert.deepEqual(time.counts, { used: 3, ahead: 2, tooOld: 2, unreadable: 9 });
});

test("the record's timestamp and ingress.ts are the gateway's only where it is trusted", () => {
  const gatewayTime = new GatewayTime({ maxAgeMs: MAX_AGE_MS });
  for (const trusted of [true, false]) {
    const f = new Fixture({}, undefined, { gatewayTime: trusted ? gatewayTime : undefined });
    const before = Date.now();
    const ts = before - 10_000;
    f.take(1, { userProperties: told(String(ts)) });
    f.take(2);
    f.take(3, { userProperties: told(String(before - MAX_AGE_MS - 10_000)) });
    const [first, ...others] = f.writer.sent;
    assert.equal(first.timestamp === ts, trusted);
    for (const { timestamp } of trusted ? others : f.writer.sent) assert.ok(timestamp >= before && timestamp <= Date.now());
    for (const { timestamp, headers } of f.writer.sent) assert.equal(headers["ingress.ts"], String(timestamp));
    assert.equal(first.headers["mqtt.user.gateway.ts"], String(ts), "a header either way");
  }
  assert.deepEqual(gatewayTime.counts, { used: 1, ahead: 0, tooOld: 1, unreadable: 0 });
});
