/** What a worker fetched goes back to the system once it is processed: nobody may look at it after, and what was kept of it is a copy. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { pino } from "pino";
import { EmbeddedLog } from "../../../eventlog/embedded/embedded-log.ts";
import { RecordSet } from "../../../eventlog/records/record-set.ts";
import { Worker } from "../../../runtime/worker.ts";
import { serdes } from "../../../state/serdes.ts";
import type { Processor, ProcessorContext, StreamRecord } from "../../../topology/processor.ts";
import { StreamsBuilder } from "../../../topology/streams-builder.ts";
import { LendingLog } from "../../support/lending-log.ts";
import { readTopic, waitUntilDrained } from "../../support/telemetry.ts";
import { tempDir } from "../../support/temp-dir.ts";

type Held = { held: { key: string; value: string } };

/** Holds the newest record of each key, with its headers, until the commit; a timer complains about the last record of all. */
class Holding implements Processor<string, string, Held> {
  readonly #held = new Map<string, StreamRecord<string, string>>();
  #context!: ProcessorContext<Held>;

  init(context: ProcessorContext<Held>): void {
    this.#context = context;
    context.schedule(EVERY_MS, "stream-time", () => context.deadLetter("timer", `at ${context.source.offset}`));
  }

  process(record: StreamRecord<string, string>): void {
    this.#held.set(record.key, { ...record, headers: this.#context.source.headers() });
  }

  flush(): void {
    for (const record of this.#held.values()) this.#context.output("held").forward(record);
    this.#held.clear();
  }
}

const EVERY_MS = 1_000;
const KEYS = 7;
const RECORDS = 1_000;
const PER_BATCH = 10;

test("a batch is released when the cursor has moved on; headers, dead letters and offsets of its records are right all the same", async (t) => {
  const embedded = await EmbeddedLog.open({ dir: tempDir(t, "lent-log"), logger: pino({ level: "silent" }) });
  const lending = new LendingLog(embedded);
  await embedded.admin.createTopics(["in", "out", "dlq"].map((name) => ({ name, partitions: 1, config: {} })));
  const writer = embedded.plainWriter({});
  for (let n = 0; n < RECORDS; n += PER_BATCH) {
    const set = new RecordSet(1_000_000);
    for (let i = n; i < n + PER_BATCH; i++) {
      const [key, value] = [Buffer.from(`k${i % KEYS}`), Buffer.from(`v${i}`)];
      set.partition("in", 0).append(i * 100, key, 0, key.length, value, 0, value.length, [{ key: "h", value }]);
    }
    await writer.write(set);
  }
  await writer.close();
  const builder = new StreamsBuilder();
  const { held } = builder
    .stream("in", { key: serdes.string, value: serdes.string })
    .process<Held>({ name: "hold", outputs: ["held"], create: () => new Holding() });
  held.to("out", { key: serdes.string, value: serdes.string });
  const worker = new Worker({
    applicationId: "app",
    topology: builder.build(),
    log: lending.log,
    state: { dir: tempDir(t, "lent-state"), engine: "level", cacheMiB: 4 },
    processing: { guarantee: "exactly-once", commitIntervalMs: 10 },
    sessionTimeoutMs: 5_000,
    deadLetterTopic: "dlq",
    logger: pino({ level: "silent" }),
  });
  t.after(async () => {
    await worker.stop();
    await embedded.close();
  });
  await worker.start();
  await waitUntilDrained(embedded, "app", "in");
  await worker.stop();

  const out = await readTopic(embedded, "out");
  assert.ok(out.length >= KEYS);
  for (const { value, headers } of out) assert.equal(headers.get("h"), value?.toString(), "a header that was held until the commit");
  const letters = await readTopic(embedded, "dlq");
  assert.ok(letters.length > 0);
  for (const { key, value, headers } of letters) {
    const offset = Number(headers.get("dlq.message")?.slice("at ".length));
    assert.deepEqual([key, value?.toString()], [`k${offset % KEYS}`, `v${offset}`], "a timer's complaint has the bytes of the last record");
  }
  assert.ok(lending.lent >= RECORDS / PER_BATCH);
  assert.equal(lending.released, lending.lent - 1, "all but the one that the cursor is at");
});
