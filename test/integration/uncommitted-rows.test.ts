/** What a dead worker did not commit, on a real Kafka, whose log has it until the transaction is aborted. */
import { pino } from "pino";
import { KafkaLog } from "../../eventlog/kafka/kafka-log.ts";
import { uncommittedRowsContract } from "../contract/uncommitted-rows.contract.ts";
import { need } from "../support/need.ts";
import { sharedKafka } from "../support/shared-kafka.ts";

if ((await need("kafka")) === false)
  uncommittedRowsContract(
    "kafka",
    async () => new KafkaLog({ brokers: (await sharedKafka()).bootstrap, clientId: "uncommitted-test", logger: pino({ level: "silent" }) }),
  );
