/** What a dead worker did not commit, on the embedded log. */
import { EmbeddedLog } from "../../../eventlog/embedded/embedded-log.ts";
import { uncommittedRowsContract } from "../../contract/uncommitted-rows.contract.ts";
import { tempDir } from "../../support/temp-dir.ts";

uncommittedRowsContract("embedded", (t) => EmbeddedLog.open({ dir: tempDir(t, "uncommitted-log") }));
