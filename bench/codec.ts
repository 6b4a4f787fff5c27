/** Micro-benchmark of the record-batch codec: records of 110 bytes, per CPU second. Run: node bench/codec.ts */
import { crc32c } from "../eventlog/records/crc32c.ts";
import { encodeBatch } from "../eventlog/records/encode-batch.ts";
import { parseBatches } from "../eventlog/records/parse-batches.ts";
import { RecordSet } from "../eventlog/records/record-set.ts";

const RECORDS_PER_ROUND = 50_000;
const ROUNDS = 30;
const MAX_BATCH_BYTES = 512 * 1024;
const key = Buffer.from("demo|device-00123");
const value = Buffer.from(
  JSON.stringify({ deviceId: "device-00123", seq: 17, ts: 1_767_225_600_000, tempC: 21.37, rpm: 1203 }).padEnd(93, " "),
);

const set = new RecordSet(MAX_BATCH_BYTES);
let batches: Buffer[] = [];

function build(): void {
  set.clear();
  const builder = set.partition("bench", 0);
  for (let i = 0; i < RECORDS_PER_ROUND; i++) builder.append(1_767_225_600_000 + i, key, 0, key.length, value, 0, value.length);
  batches = builder.batches.map((pending) => encodeBatch(pending, { baseOffset: 0 }));
}

let sum = 0;
function parse(): void {
  for (const bytes of batches) {
    for (const batch of parseBatches(bytes)) {
      const view = batch.records();
      for (let i = 0; i < view.count; i++) sum += view.valueEnds[i] - view.valueStarts[i];
    }
  }
}

function checksum(): void {
  for (const bytes of batches) sum += crc32c(bytes);
}

function measure(name: string, run: () => void): void {
  for (let i = 0; i < 5; i++) run();
  const before = process.cpuUsage();
  for (let i = 0; i < ROUNDS; i++) run();
  const { user, system } = process.cpuUsage(before);
  const seconds = (user + system) / 1e6;
  const bytes = batches.reduce((total, batch) => total + batch.length, 0);
  process.stdout.write(
    `${name}: ${Math.round((RECORDS_PER_ROUND * ROUNDS) / seconds / 1000)}k records/s, ${Math.round((bytes * ROUNDS) / seconds / 1e6)} MB/s (CPU)\n`,
  );
}

measure("build + encode", build);
measure("parse", parse);
measure("crc32c alone", checksum);
if (sum === 0) throw new Error("nothing was read");
