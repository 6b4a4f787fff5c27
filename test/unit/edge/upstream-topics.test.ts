import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { UpstreamTopics } from "../../../bridge/edge/upstream-topics.ts";
import { SILENT } from "./support.ts";

interface Asked {
  readonly adds: boolean;
  readonly topics: readonly string[];
  readonly done: (error: Error | undefined) => void;
}

/** A broker that answers when it is told to. */
function fixture() {
  const asked: Asked[] = [];
  const subscribed = new Set<string>();
  const upstream = new UpstreamTopics(
    {
      subscribe: (topics, done) => void asked.push({ adds: true, topics, done }),
      unsubscribe: (topics, done) => void asked.push({ adds: false, topics, done }),
    },
    SILENT,
  );
  /** It does what was asked for first, and says so unless the answer is lost. */
  const answer = (isLost = false, error?: Error): void => {
    const first = asked.shift();
    if (first === undefined) return;
    for (const topic of first.topics)
      if (first.adds) subscribed.add(topic);
      else subscribed.delete(topic);
    if (!isLost) first.done(error);
  };
  const open = (sessionPresent: boolean): void => {
    asked.length = 0;
    if (!sessionPresent) subscribed.clear();
    upstream.opened(sessionPresent);
    upstream.ready();
  };
  return { upstream, asked, subscribed, answer, open };
}

test("whatever devices and the line do, the broker's session has in the end what devices read, and nothing else", () => {
  const topic = fc.constantFrom("a", "b", "c");
  const step = fc.oneof(
    fc.record({ do: fc.constant("add" as const), topic }),
    fc.record({ do: fc.constant("remove" as const), topic }),
    fc.record({ do: fc.constant("unread" as const), topic }),
    fc.record({ do: fc.constant("answer" as const), isLost: fc.boolean() }),
    fc.record({ do: fc.constant("reopen" as const), sessionPresent: fc.boolean() }),
  );
  fc.assert(
    fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
      const { upstream, asked, subscribed, answer, open } = fixture();
      const wanted = new Set<string>();
      open(false);
      for (const one of steps) {
        if (one.do === "add") {
          wanted.add(one.topic);
          upstream.add(one.topic);
        } else if (one.do === "remove") {
          wanted.delete(one.topic);
          upstream.remove(one.topic);
        } else if (one.do === "unread") upstream.unread(one.topic);
        else if (one.do === "answer") {
          answer(one.isLost);
          if (!one.isLost) continue;
          upstream.lost();
          open(true);
        } else {
          upstream.lost();
          open(one.sessionPresent);
        }
      }
      for (let rounds = 0; asked.length > 0; rounds++) {
        assert.ok(rounds < 50, "it comes to rest");
        answer();
      }
      // What an answer that was lost left behind is found when a message comes on it.
      for (const left of subscribed) if (!wanted.has(left)) upstream.unread(left);
      while (asked.length > 0) answer();
      assert.deepEqual([...subscribed].sort(), [...wanted].sort());
      assert.equal(upstream.size, wanted.size);
    }),
    { numRuns: 2_000 },
  );
});

test("many topics go in packets of a hundred, one after the other", () => {
  const { upstream, asked, answer, open } = fixture();
  for (let n = 0; n < 250; n++) upstream.add(`t${n}`);
  assert.equal(asked.length, 0, "nothing before the connection");
  open(false);
  const sizes: number[] = [];
  while (asked.length > 0) {
    assert.equal(asked.length, 1);
    sizes.push(asked[0].topics.length);
    answer();
  }
  assert.deepEqual(sizes, [100, 100, 50]);
});

test("what the broker refuses is counted and not asked for again in this session, but in the next", () => {
  const { upstream, asked, answer, open } = fixture();
  open(false);
  upstream.add("a");
  answer(false, new Error("Subscribe error: Not authorized"));
  assert.deepEqual([asked.length, upstream.refused], [0, 1]);
  upstream.lost();
  open(false);
  assert.equal(asked.length, 1);
});
