/** Contract: what `sluice dlq` does to the log is the same on every log. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { TestContext } from "node:test";
import type { LetterFilter } from "../../cli/dlq/filter.ts";
import type { Letter } from "../../cli/dlq/letter.ts";
import { executePurge, planPurge } from "../../cli/dlq/purge.ts";
import { marksTopic, replayLetters, replayTransactionalId, type ReplaySettings } from "../../cli/dlq/replay.ts";
import { scanLetters } from "../../cli/dlq/scan.ts";
import { deadLetterHeaders, truncateDeadLetter } from "../../eventlog/dead-letter.ts";
import type { EventLog, RecordHeader } from "../../eventlog/port.ts";
import { partitionForKey } from "../../eventlog/records/murmur2.ts";
import { makeTopic, readToEnd, recordSet, unique, write, type Item, type ReadRecord } from "./eventlog-helpers.ts";
import type { MakeLog } from "./eventlog.contract.ts";

const PARTITIONS = 2;
const RECEIVED = 1_767_225_600_000;
const SET_ASIDE = Date.UTC(2026, 5, 1);
const QOS: RecordHeader = { key: "mqtt.qos", value: Buffer.from("1") };

interface Given {
  readonly n: number;
  readonly source: string;
  readonly reason?: string;
  readonly stage?: string;
  readonly key?: string | null;
  readonly value?: string | Buffer;
  readonly cut?: { length: number; sha256: string };
  readonly message?: string;
}

function letter({
  n,
  source,
  reason = "not-json",
  stage = "decode",
  key = `acme|d${n}`,
  value = `{${n}`,
  cut,
  message = "no",
}: Given): Item {
  const headers = deadLetterHeaders({ reason, message, stage, source, ts: SET_ASIDE + n, original: [QOS], cut });
  return { key, value, headers, timestamp: RECEIVED + n, partition: n % PARTITIONS };
}

class Plant {
  readonly log: EventLog;
  readonly raw: string;
  readonly dlq: string;
  readonly applicationId = unique("app");

  static async create(t: TestContext, makeLog: MakeLog): Promise<Plant> {
    const { log } = await makeLog(t);
    return new Plant(log, await makeTopic(log, PARTITIONS), await makeTopic(log, PARTITIONS));
  }

  constructor(log: EventLog, raw: string, dlq: string) {
    this.log = log;
    this.raw = raw;
    this.dlq = dlq;
  }

  /** One letter a source offset of the raw topic, from `first` on. */
  async fill(count: number, first = 0): Promise<void> {
    const letters = Array.from({ length: count }, (_, i) => letter({ n: first + i, source: `${this.raw}/0/${first + i}` }));
    await write(this.log, recordSet(this.dlq, letters));
  }

  replay(settings: Partial<ReplaySettings> = {}): ReturnType<typeof replayLetters> {
    const { log, raw, dlq, applicationId } = this;
    return replayLetters(log, {
      applicationId,
      dlqTopic: dlq,
      rawTopic: raw,
      sourceTopics: [],
      filter: {},
      limit: Infinity,
      dryRun: false,
      ...settings,
    });
  }

  rawRecords(): Promise<ReadRecord[]> {
    return this.#read(this.raw);
  }

  async #read(topic: string): Promise<ReadRecord[]> {
    const at = Array.from({ length: PARTITIONS }, (_, partition) => ({ topic, partition }));
    return readToEnd(this.log, await this.log.admin.listOffsets(at, "earliest", "read_committed"));
  }

  async scan(filter: LetterFilter): Promise<Letter[]> {
    const found: Letter[] = [];
    for await (const { letters } of scanLetters(this.log, this.dlq, filter)) found.push(...letters);
    return found;
  }
}

export function deadLettersContract(name: string, makeLog: MakeLog): void {
  test(`${name}: replay puts key, value, time and headers back as they were, on the key's partition`, async (t) => {
    const plant = await Plant.create(t, makeLog);
    const value = Buffer.from([0, 255, 254, 123]);
    await write(plant.log, recordSet(plant.dlq, [letter({ n: 1, source: `${plant.raw}/0/7`, value })]));
    const result = await plant.replay();
    assert.deepEqual([result.matched, result.replayed, result.complete, result.byReason], [1, 1, true, { "not-json": 1 }]);
    const [record, ...others] = await plant.rawRecords();
    assert.equal(others.length, 0);
    const key = Buffer.from("acme|d1");
    assert.deepEqual([record.key, record.value, record.timestamp, record.headers], [key, value, RECEIVED + 1, [QOS]]);
    assert.equal(record.partition, partitionForKey(key, 0, key.length, PARTITIONS));
  });

  test(`${name}: a letter of the ingress goes to the raw topic of its tenant, where that has its own`, async (t) => {
    const plant = await Plant.create(t, makeLog);
    await write(
      plant.log,
      recordSet(
        plant.dlq,
        ["acme|d1", "beta|d1"].map((key, n) => letter({ n, key, stage: "ingress", source: "t/x/d/d1/telemetry" })),
      ),
    );
    const elsewhere = `${plant.raw}-none`;
    const result = await plant.replay({ rawTopic: elsewhere, tenantRawTopics: new Map([["acme", plant.raw]]) });
    assert.deepEqual([result.replayed, result.refused], [1, { "unknown-topic": 1 }]);
    assert.deepEqual(
      (await plant.rawRecords()).map(({ key }) => String(key)),
      ["acme|d1"],
    );
  });

  test(`${name}: replayed again, whatever the filter, nothing goes back twice; new letters do`, async (t) => {
    const plant = await Plant.create(t, makeLog);
    await plant.fill(1_200);
    assert.equal((await plant.replay({ filter: { device: "d3" } })).replayed, 1);
    const all = await plant.replay();
    assert.deepEqual([all.replayed, all.already], [1_199, 1]);
    const again = await plant.replay();
    assert.deepEqual([again.matched, again.replayed, again.already], [1_200, 0, 1_200]);
    await plant.fill(10, 1_200);
    assert.equal((await plant.replay({ filter: { tenant: "acme" } })).replayed, 10);
    const keys = (await plant.rawRecords()).map(({ key }) => String(key));
    assert.deepEqual([keys.length, new Set(keys).size], [1_210, 1_210]);
  });

  test(`${name}: progress counts what is committed; a dry run's what would be put back`, async (t) => {
    const plant = await Plant.create(t, makeLog);
    await plant.fill(1_200);
    const told: number[] = [];
    const progress = ({ replayed }: { replayed: number }): void => void told.push(replayed);
    await plant.replay({ dryRun: true, progress });
    assert.equal(told.splice(0).at(-1), 1_200);
    await plant.replay({ progress });
    assert.deepEqual([...new Set(told.filter((count) => count > 0))], [500, 1_000], "a transaction takes 500 letters");
  });

  test(`${name}: a replay that died inside a transaction leaves nothing, and one that is overtaken stops`, async (t) => {
    const plant = await Plant.create(t, makeLog);
    await plant.fill(20);
    await plant.replay({ limit: 5 });
    const dead = plant.log.txnWriter({ transactionalId: replayTransactionalId(plant.applicationId), timeoutMs: 60_000 });
    t.after(() => dead.close());
    await dead.open();
    dead.begin();
    await dead.write(recordSet(plant.raw, [{ key: "acme|d9", value: "half" }]));
    const result = await plant.replay();
    assert.deepEqual([result.replayed, result.already], [15, 5]);
    await assert.rejects(dead.commit(), { action: "fenced" });
    const values = (await plant.rawRecords()).map(({ value }) => String(value)).sort();
    assert.deepEqual(values, Array.from({ length: 20 }, (_, n) => `{${n}`).sort());
  });

  test(`${name}: several letters about one record put it back once; a new topic of the same name inherits no marks`, async (t) => {
    const plant = await Plant.create(t, makeLog);
    const source = `${plant.raw}/0/5`;
    const twice = ["schema", "not-finite"].map((reason) => letter({ n: 0, source, reason, value: "same" }));
    await write(plant.log, recordSet(plant.dlq, twice));
    const first = await plant.replay();
    assert.deepEqual([first.matched, first.replayed, first.already], [2, 1, 1]);
    await write(plant.log, recordSet(plant.dlq, [letter({ n: 0, source, value: "of the new topic" })]));
    assert.equal((await plant.replay()).replayed, 1);
    assert.equal((await plant.replay()).replayed, 0, "letters of the old topic stand beside it and keep their marks");
    // letters of the ingress have no place of an original: each its own
    const refused = [2, 4].map((n) => letter({ n, source: "t/acme/d/x/telemetry", stage: "ingress", value: "same", key: "acme|x" }));
    await write(plant.log, recordSet(plant.dlq, refused));
    assert.equal((await plant.replay()).replayed, 2);
    assert.equal((await plant.replay()).replayed, 0);
    assert.equal((await plant.rawRecords()).length, 4);
  });

  test(`${name}: what cannot go back is refused by reason, and does not hold up the rest`, async (t) => {
    const plant = await Plant.create(t, makeLog);
    const { raw, log } = plant;
    const short = await makeTopic(log, 1, { "retention.ms": "3600000" });
    const small = await makeTopic(log, 1, { "max.message.bytes": "1000" });
    const { value, cut } = truncateDeadLetter(Buffer.alloc(70_000, 1), 65_536);
    const letters = [
      letter({ n: 0, source: `${raw}/0/0`, value: Buffer.from(value), cut }),
      letter({ n: 2, source: `${raw}/0/1`, reason: "record-too-large", stage: "normalized" }),
      letter({ n: 4, source: "t//d//telemetry", stage: "ingress", reason: "bad-topic", key: null }),
      letter({ n: 6, source: `${unique("foreign")}/0/1` }),
      letter({ n: 8, source: `${short}/0/1` }),
      letter({ n: 10, source: `${small}/0/1`, value: "x".repeat(2_000) }),
      letter({ n: 12, source: "gone/0/1" }),
      letter({ n: 14, source: `${raw}/0/2`, message: "(headers left out) no" }),
      letter({ n: 16, source: `${raw}/0/3` }),
    ];
    await write(log, recordSet(plant.dlq, letters));
    const result = await plant.replay({ sourceTopics: [short, small, "gone"] });
    assert.deepEqual(result.refused, {
      cut: 2,
      "not-a-source": 1,
      "no-key": 1,
      "foreign-topic": 1,
      expired: 1,
      "too-large": 1,
      "unknown-topic": 1,
    });
    assert.deepEqual(
      (await plant.rawRecords()).map(({ value: back }) => String(back)),
      ["{16"],
    );
  });

  test(`${name}: a dry run changes nothing, a limit counts records, a stop leaves the rest for the next run`, async (t) => {
    const plant = await Plant.create(t, makeLog);
    await plant.fill(30);
    const dry = await plant.replay({ dryRun: true });
    assert.deepEqual([dry.replayed, (await plant.rawRecords()).length], [30, 0]);
    assert.deepEqual(await plant.log.admin.describeTopics([marksTopic(plant.applicationId)]), []);
    const some = await plant.replay({ limit: 10 });
    assert.deepEqual([some.replayed, some.complete], [10, false]);
    const stopped = await plant.replay({ signal: AbortSignal.abort() });
    assert.deepEqual([stopped.replayed, stopped.complete], [0, false]);
    assert.equal((await plant.replay({ dryRun: true })).replayed, 20);
    assert.deepEqual([(await plant.replay()).replayed, (await plant.rawRecords()).length], [20, 30]);
  });

  test(`${name}: letters are found by reason, stage, source topic, tenant, device, time and place`, async (t) => {
    const plant = await Plant.create(t, makeLog);
    const { raw } = plant;
    const letters = [
      letter({ n: 0, source: `${raw}/0/0` }),
      letter({ n: 1, source: `${raw}/1/0`, reason: "schema", stage: "validate" }),
      letter({ n: 2, source: "other/0/1", key: "globex|d2" }),
      letter({ n: 3, source: "t/1/2", stage: "ingress", reason: "bad-topic", key: null }),
    ];
    await write(plant.log, recordSet(plant.dlq, letters));
    const found = async (filter: LetterFilter): Promise<number[]> =>
      (await plant.scan(filter)).map(({ ts }) => ts - SET_ASIDE).sort((a, b) => a - b);
    assert.deepEqual(await found({}), [0, 1, 2, 3]);
    assert.deepEqual(await found({ reasons: ["schema", "bad-topic"] }), [1, 3]);
    assert.deepEqual(await found({ stage: "validate" }), [1]);
    assert.deepEqual(await found({ sourceTopic: raw }), [0, 1]);
    assert.deepEqual(await found({ sourceTopic: "t" }), [], "an MQTT topic is no place in the log");
    assert.deepEqual(await found({ tenant: "globex" }), [2]);
    assert.deepEqual(await found({ tenant: "acme", device: "d1" }), [1]);
    assert.deepEqual(await found({ since: SET_ASIDE + 1, until: SET_ASIDE + 3 }), [1, 2]);
    assert.deepEqual(await found({ partition: 1 }), [1, 3]);
    assert.deepEqual(await found({ partition: 0, firstOffset: 1 }), [2]);
    assert.deepEqual(await found({ firstOffset: 0, lastOffset: 0 }), [0, 1]);
  });

  test(`${name}: purge deletes what stands before a time or an offset, and no younger letter`, async (t) => {
    const plant = await Plant.create(t, makeLog);
    await plant.fill(10);
    const left = async (): Promise<number[]> => (await plant.scan({})).map(({ ts }) => ts - SET_ASIDE).sort((a, b) => a - b);
    const plan = await planPurge(plant.log, plant.dlq, { kind: "time", ms: RECEIVED + 5 });
    assert.deepEqual(
      plan.map(({ from, to }) => [from, to]),
      [
        [0, 3],
        [0, 2],
      ],
    );
    assert.equal((await left()).length, 10, "a plan changes nothing");
    await executePurge(plant.log, plan);
    assert.deepEqual(await left(), [5, 6, 7, 8, 9]);
    await executePurge(plant.log, await planPurge(plant.log, plant.dlq, { kind: "offset", offset: 4 }, 0));
    assert.deepEqual(await left(), [5, 7, 8, 9]);
    await executePurge(plant.log, await planPurge(plant.log, plant.dlq, { kind: "latest" }));
    assert.deepEqual(await left(), []);
    assert.deepEqual(await planPurge(plant.log, plant.dlq, { kind: "latest" }), []);
  });
}
