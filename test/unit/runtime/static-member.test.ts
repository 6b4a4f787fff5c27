/** Static members that die, on the embedded log. */
import { EmbeddedLog } from "../../../eventlog/embedded/embedded-log.ts";
import { staticMemberContract } from "../../contract/static-member.contract.ts";
import { tempDir } from "../../support/temp-dir.ts";

staticMemberContract("embedded", (t) => EmbeddedLog.open({ dir: tempDir(t, "static-log") }), { sessionTimeoutMs: 1_500 });
