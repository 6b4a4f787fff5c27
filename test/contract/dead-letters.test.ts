import { EmbeddedLog } from "../../eventlog/embedded/embedded-log.ts";
import { openLog } from "../integration/kafka/harness.ts";
import { need } from "../support/need.ts";
import { sharedKafka } from "../support/shared-kafka.ts";
import { tempDir } from "../support/temp-dir.ts";
import { deadLettersContract } from "./dead-letters.contract.ts";

deadLettersContract("embedded", async (t) => {
  const dir = tempDir(t, "letters");
  const log = await EmbeddedLog.open({ dir });
  t.after(() => log.close());
  return { log };
});

if ((await need("kafka")) === false) deadLettersContract("kafka", async (t) => ({ log: openLog(t, (await sharedKafka()).bootstrap) }));
