import { commandContext, type CommonOptions } from "../command-options.ts";
import { EXIT } from "../exit-codes.ts";
import { openKafka } from "../open-kafka.ts";
import { problemText, verifyTopics } from "../topics/verify.ts";
import { wantedTopics } from "../topics/wanted-topics.ts";

/** `sluice topics create`: makes the missing ones, then checks all. `sluice topics verify`: only checks. Exit code 1 when one is wrong. */
export async function run(action: "create" | "verify", options: CommonOptions): Promise<number> {
  const { config, logger, output } = commandContext(options, { quietLevel: "warn" });
  const log = openKafka(config, logger);
  try {
    const wanted = wantedTopics(config);
    const created = action === "create" ? await log.admin.createTopics(wanted) : [];
    const problems = await verifyTopics(log.admin, wanted);
    const lines = [
      ...created.map((name) => `created ${name}`),
      ...problems.map(problemText),
      problems.length === 0 ? `${wanted.length} topics are as configured` : `${problems.length} wrong settings`,
    ];
    output.result(lines.join("\n"), { ok: problems.length === 0, created, problems });
    return problems.length === 0 ? EXIT.ok : EXIT.failure;
  } finally {
    await log.close();
  }
}
