/** Static members that die, on a real Kafka: its coordinator hands a member that is back its old assignment (KIP-345). */
import { pino } from "pino";
import { KafkaLog } from "../../eventlog/kafka/kafka-log.ts";
import { staticMemberContract } from "../contract/static-member.contract.ts";
import { need } from "../support/need.ts";
import { sharedKafka } from "../support/shared-kafka.ts";

if ((await need("kafka")) === false)
  staticMemberContract(
    "kafka",
    async () =>
      new KafkaLog({ brokers: (await sharedKafka()).bootstrap, clientId: "static-member-test", logger: pino({ level: "silent" }) }),
    { sessionTimeoutMs: 6_000 },
  );
