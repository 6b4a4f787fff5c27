import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { EmbeddedLog } from "../../eventlog/embedded/embedded-log.ts";
import { eventLogContract } from "./eventlog.contract.ts";

eventLogContract(
  "embedded",
  async (t) => {
    const dir = await mkdtemp(join(tmpdir(), "sluice-log-"));
    const log = await EmbeddedLog.open({ dir });
    t.after(async () => {
      await log.close();
      await rm(dir, { recursive: true, force: true });
    });
    return { log, compact: () => log.runMaintenance() };
  },
  { compact: true },
);
