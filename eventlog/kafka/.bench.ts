import { pino } from "pino";
import { KafkaLog } from "./kafka-log.ts";
import { RecordSet } from "../records/record-set.ts";
const log = new KafkaLog({ brokers: ["127.0.0.1:39092"], clientId: "try", logger: pino({ level: "info" }) });
const topic = "b" + Date.now();
await log.admin.createTopics([{ name: topic, partitions: 8, config: {} }]);
const w = log.txnWriter({ transactionalId: "b" + topic, timeoutMs: 60000 });
await w.open();
const v = Buffer.alloc(150, 120), k = Buffer.from("tenant|device-1");
const set = new RecordSet(900_000);
const cpu0 = process.cpuUsage(); const t0 = performance.now();
let n = 0; const ms: number[] = []; let fill = 0;
for (let i = 0; i < 12; i++) {
  const a = performance.now();
  for (let r = 0; r < 80_000; r++) set.partition(topic, r & 7).append(1_700_000_000_000, k, 0, k.length, v, 0, v.length);
  const b = performance.now(); fill += b - a;
  w.begin(); await Promise.all([w.write(set), w.sendOffsets([{ topic, partition: 0, offset: i }], { groupId: "g" + topic, generationId: -1, memberId: "" })]); 
  const c = performance.now();
  await w.commit();
  ms.push(Math.round(c - b), Math.round(performance.now() - c));
  n += 80_000; set.clear();
}
const c = process.cpuUsage(cpu0);
console.log("txn big: rec/s", Math.round(n / (performance.now() - t0) * 1000), "rec/cpu s", Math.round(n / (c.user + c.system) * 1e6), "fill", Math.round(fill), ms.join(" "));
const times: number[] = [];
for (let i = 0; i < 300; i++) {
  const a = performance.now(); w.begin();
  for (let p = 0; p < 4; p++) set.partition(topic, p).append(Date.now(), k, 0, k.length, v, 0, v.length);
  await Promise.all([w.write(set), w.sendOffsets([{ topic, partition: 0, offset: i }], { groupId: "g" + topic, generationId: -1, memberId: "" })]);
  await w.commit(); set.clear(); times.push(performance.now() - a);
}
times.sort((a, b) => a - b);
console.log("small txn p50", times[150].toFixed(1), "p99", times[297].toFixed(1));
await w.close(); await log.close();
