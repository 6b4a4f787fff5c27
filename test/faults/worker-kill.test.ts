/** SLUICE_SEED repeats a run. The long form is `npm run soak:worker-kill`. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { need } from "../support/need.ts";
import { sharedKafka } from "../support/shared-kafka.ts";
import { assertExact } from "./assert-exact.ts";
import { runWorkerKills } from "./worker-kill-run.ts";

const skip = await need("kafka", "kcat");
const KILLS = 12;
const seed = Number(process.env.SLUICE_SEED ?? Date.now() % 1_000_000);

test(`${KILLS} kill -9 of two workers lose and double nothing (seed ${seed})`, { skip, timeout: 140_000 }, async (t) => {
  const figures = await runWorkerKills(t, { kafka: await sharedKafka(), kills: KILLS, seed });
  t.diagnostic(`${figures.killsAtWork} kills of a worker at work, ${figures.events} events`);
  assert.ok(figures.killsAtWork >= KILLS / 4, `${figures.killsAtWork} of ${KILLS} kills were of a worker at work`);
  assert.equal(figures.rebuilds, 0, "no worker threw its state away");
  assertExact(t, figures.outputs);
});
