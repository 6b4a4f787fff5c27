import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { AnswerFrames, MAX_ANSWER_BYTES } from "../../../eventlog/kafka/connection/answer-frames.ts";

function framed(answer: Uint8Array): Buffer {
  const length = Buffer.alloc(4);
  length.writeInt32BE(answer.length);
  return Buffer.concat([length, answer]);
}

test("however the bytes are cut into chunks, the same answers come out, each in a buffer to itself", () => {
  const answers = fc.array(fc.uint8Array({ minLength: 4, maxLength: 300 }), { maxLength: 8 });
  fc.assert(
    fc.property(answers, fc.array(fc.integer({ min: 1, max: 200 }), { minLength: 1 }), (sent, sizes) => {
      const got: Buffer[] = [];
      const frames = new AnswerFrames((answer) => got.push(answer));
      const bytes = Buffer.concat(sent.map(framed));
      for (let at = 0, i = 0; at < bytes.length; i++) {
        const chunk = Buffer.from(bytes.subarray(at, (at += sizes[i % sizes.length])));
        frames.push(chunk);
        chunk.fill(0xff); // a socket's buffer is used again
      }
      assert.deepEqual(
        got.map((answer) => [...answer]),
        sent.map((answer) => [...answer]),
      );
      for (const answer of got) assert.equal(answer.buffer.byteLength, answer.length);
    }),
  );
});

test("a length that no answer has is refused before a buffer of that size is made", () => {
  for (const length of [-1, 0, 3, MAX_ANSWER_BYTES + 1]) {
    const bytes = Buffer.alloc(4);
    bytes.writeInt32BE(length);
    assert.throws(() => new AnswerFrames(() => assert.fail("an answer")).push(bytes), RangeError);
  }
});
