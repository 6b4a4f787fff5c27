import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import mqttPacket from "mqtt-packet";
import { PacketGuard } from "../../../bridge/edge/packet-guard.ts";

const MAX = 1_000;

function publish(payloadBytes: number): Buffer {
  return mqttPacket.generate({ cmd: "publish", topic: "t", payload: Buffer.alloc(payloadBytes), qos: 0, dup: false, retain: false });
}

test("packets of the allowed size pass, however the bytes are cut; a larger one is seen by its header alone", () => {
  const sizes = fc.array(fc.integer({ min: 0, max: MAX - 6 }), { minLength: 1, maxLength: 20 });
  fc.assert(
    fc.property(sizes, fc.array(fc.integer({ min: 1, max: 400 }), { minLength: 1 }), (payloads, cuts) => {
      const bytes = Buffer.concat([...payloads.map(publish), publish(MAX).subarray(0, 3)]);
      const guard = new PacketGuard(MAX);
      let accepted = 0;
      for (let at = 0, cut = 0; at < bytes.length; cut++) {
        const end = Math.min(bytes.length, at + cuts[cut % cuts.length]);
        if (!guard.accepts(bytes.subarray(at, end))) break;
        accepted = end;
        at = end;
      }
      assert.ok(accepted >= bytes.length - 3 - 400 && accepted < bytes.length);
      assert.ok(new PacketGuard(MAX).accepts(bytes.subarray(0, bytes.length - 3)));
    }),
  );
});

test("a length of more than four bytes is none", () => {
  assert.equal(new PacketGuard(2 ** 30).accepts(Buffer.from([0x30, 0xff, 0xff, 0xff, 0xff, 0x01])), false);
});
