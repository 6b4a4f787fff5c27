/** Micro-benchmark of the embedded log: records of 110 bytes written in transactions, by send(), and read. Run: node bench/embedded-log.ts */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { EmbeddedLog } from "../eventlog/embedded/embedded-log.ts";
import { RecordSet } from "../eventlog/records/record-set.ts";

const RECORDS = 1_000_000;
const RECORDS_PER_TXN = 20_000;
const PARTITIONS = 4;
const key = Buffer.from("demo|device-00123");
const value = Buffer.from(
  JSON.stringify({ deviceId: "device-00123", seq: 17, ts: 1_767_225_600_000, tempC: 21.37, rpm: 1203 }).padEnd(93, " "),
);

const dir = await mkdtemp(join(tmpdir(), "sluice-bench-"));
const log = await EmbeddedLog.open({ dir });
await log.admin.createTopics(["txn", "plain"].map((name) => ({ name, partitions: PARTITIONS, config: {} })));

async function measure(name: string, run: () => Promise<void>): Promise<void> {
  const before = process.cpuUsage();
  const start = performance.now();
  await run();
  const seconds = (performance.now() - start) / 1000;
  const { user, system } = process.cpuUsage(before);
  process.stdout.write(
    `${name}: ${Math.round(RECORDS / seconds / 1000)}k records/s, ${Math.round(RECORDS / ((user + system) / 1e6) / 1000)}k per CPU second\n`,
  );
}

await measure("write in transactions", async () => {
  const writer = log.txnWriter({ transactionalId: "bench", timeoutMs: 60_000 });
  await writer.open();
  const set = new RecordSet(512 * 1024);
  for (let n = 0; n < RECORDS; n += RECORDS_PER_TXN) {
    set.clear();
    for (let i = 0; i < RECORDS_PER_TXN; i++)
      set.partition("txn", i % PARTITIONS).append(Date.now(), key, 0, key.length, value, 0, value.length);
    writer.begin();
    await writer.write(set);
    await writer.commit();
  }
});

await measure("send one by one", async () => {
  const writer = log.plainWriter({});
  let acked = 0;
  const done = (error: Error | undefined): void => {
    if (error !== undefined) throw error;
    acked++;
  };
  const to = Array.from({ length: PARTITIONS }, (_, partition) => ({ topic: "plain", partition }));
  for (let n = 0; n < RECORDS; n++) {
    if (n % 100 === 0) await writer.ready();
    writer.send(to[n % PARTITIONS], key, value, undefined, 1_767_225_600_000, done);
  }
  await writer.close();
  if (acked !== RECORDS) throw new Error(`${acked} acknowledged`);
});

await measure("read", async () => {
  const reader = log.reader({ isolation: "read_committed" });
  reader.assign(Array.from({ length: PARTITIONS }, (_, partition) => ({ topic: "txn", partition, offset: 0 })));
  let read = 0;
  while (read < RECORDS) for (const batch of await reader.poll(1000)) read += batch.records.count;
  await reader.close();
});

await log.close();
await rm(dir, { recursive: true });
