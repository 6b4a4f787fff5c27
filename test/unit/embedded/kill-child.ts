/**
 * Writes for ever, until it is killed; tells each acknowledgement on stdout: "P n" for plain record n, "T n" for transaction n.
 * Every third transaction is aborted. Usage: kill-child.ts DIR FIRST_PLAIN FIRST_TXN
 */
import { EmbeddedLog } from "../../../eventlog/embedded/embedded-log.ts";
import { RecordSet } from "../../../eventlog/records/record-set.ts";

const RECORDS_PER_PARTITION = 5;

const [dir, firstPlain, firstTxn] = process.argv.slice(2);
const log = await EmbeddedLog.open({ dir });
await log.admin.createTopics([
  { name: "plain", partitions: 1, config: {} },
  { name: "txn", partitions: 2, config: { "retention.ms": "-1" } },
]);

async function writePlain(): Promise<void> {
  const writer = log.plainWriter({ lingerMs: 0, maxBufferedBytes: 2000 });
  for (let n = Number(firstPlain); ; n++) {
    await writer.ready();
    const own = n;
    writer.send({ topic: "plain", partition: 0 }, null, Buffer.from(String(n)), undefined, Date.now(), (error) => {
      if (error !== undefined) throw error;
      process.stdout.write(`P ${own}\n`);
    });
  }
}

async function writeTransactions(): Promise<void> {
  const writer = log.txnWriter({ transactionalId: "t", timeoutMs: 60_000 });
  await writer.open();
  const set = new RecordSet(100_000);
  for (let n = Number(firstTxn); ; n++) {
    const aborted = n % 3 === 0;
    const value = Buffer.from(aborted ? "aborted" : String(n));
    set.clear();
    for (let i = 0; i < RECORDS_PER_PARTITION; i++)
      for (const partition of [0, 1]) set.partition("txn", partition).append(Date.now(), null, 0, 0, value, 0, value.length);
    writer.begin();
    await writer.write(set);
    await writer.sendOffsets([{ topic: "plain", partition: 0, offset: n }], { groupId: "g", generationId: -1, memberId: "" });
    if (aborted) await writer.abort();
    else {
      await writer.commit();
      process.stdout.write(`T ${n}\n`);
    }
  }
}

await Promise.all([writePlain(), writeTransactions()]);
