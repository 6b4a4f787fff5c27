/**
 * Prints rows of every store of the job as JSON, one a line. Run at the version whose rows are to be kept:
 * `node test/golden/make-rows.ts > test/golden/rows-v4.jsonl`.
 */
import { DEFAULT_TOPICS } from "../../processors/formats/names.ts";
import { TopologyTestDriver } from "../../runtime/test-driver.ts";
import { decodeValue } from "../../state/row-format.ts";
import { goldenTopology, view, type GoldenRow } from "./row-views.ts";

const T0 = 1_767_225_600_000;
const topology = goldenTopology();
const driver = await TopologyTestDriver.create(topology, { deadLetterTopic: DEFAULT_TOPICS.dlq });

function send(key: string, second: number, payload: object): void {
  const timestamp = T0 + second * 1_000;
  void driver.pipe(DEFAULT_TOPICS.raw, { key, value: JSON.stringify({ ts: timestamp, ...payload }), timestamp });
}

// Gaps, a duplicate, out of order, a reboot, text and booleans, umlauts, numbers that binary fractions cannot hold.
for (const [bootId, seq] of [
  ["b1", 1],
  ["b1", 2],
  ["b1", 2],
  ["b1", 9],
  ["b1", 7],
  ["b2", 1],
  ["b2", 2],
  ["b2", 11],
] as const)
  send("demo|gerät-1", seq, { bootId, seq, tempC: 85.1 + seq, rpm: 1_203, mode: "auto", door: true });
// A window closed after its grace, and none has taken its slot yet.
for (const [seq, second] of [1, 11, 16].entries()) send("demo|spare", second, { bootId: "b", seq, tempC: second });
driver.commit(); // with two windows of the first device open
// No bootId: implicit boots. No seq: a hash in the id store.
send("demo|implicit", 1, { seq: 1_000_000, tempC: -0.1 });
send("demo|implicit", 200, { seq: 1, tempC: 1e300 });
send("demo|hashed", 201, { tempC: 20 });
// Hot, then cool: an alert that fired and one that is pending.
send("demo|hot", 210, { bootId: "x", seq: 1, tempC: 95 });
send("demo|hot", 211, { bootId: "x", seq: 2, tempC: 85 });
send("demo|hot", 212, { bootId: "x", seq: 3, tempC: 99 });
driver.commit();

for (const spec of topology.subtopologies.flatMap((subtopology) => subtopology.stores)) {
  for (const { key, value } of driver.output(`test-${spec.name}-changelog`)) {
    if (key === null || value === null) continue;
    const shows = view(spec.name, decodeValue(spec.value, spec.name, value, 0, value.length));
    const row: GoldenRow = { store: spec.name, key: key.toString("hex"), value: value.toString("hex"), shows };
    process.stdout.write(`${JSON.stringify(row)}\n`);
  }
}
await driver.close();
