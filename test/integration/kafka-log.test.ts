/** The event-log contract on a real broker. What only Kafka has is in the other kafka-*.test.ts files. */
import { need } from "../support/need.ts";
import { sharedKafka } from "../support/shared-kafka.ts";
import { eventLogContract } from "../contract/eventlog.contract.ts";
import { openLog } from "./kafka/harness.ts";

if ((await need("kafka")) === false) {
  eventLogContract("kafka", async (t) => ({ log: openLog(t, (await sharedKafka()).bootstrap) }), { compact: false });
}
