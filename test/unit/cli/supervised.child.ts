/** A process in a worker's place: does what its argument says. */
import pino from "pino";
import { runService } from "../../../cli/service.ts";
import { joinSupervisor } from "../../../cli/workers/supervised.ts";

const [, , what, detail] = process.argv;
const supervisor = joinSupervisor();
if (what === "fails") {
  await supervisor.failed(Object.assign(new Error(), { code: detail }));
  process.exit(1);
}
if (what === "exits") process.exit(Number(detail));
supervisor.listening(`http://localhost:${process.pid}`);
if (what === "deaf") setInterval(() => undefined, 1_000);
else {
  const service = () => Promise.resolve({ finished: new Promise(() => setInterval(() => undefined, 1_000).unref()) });
  process.exitCode = await runService(service, { logger: pino({ level: "silent" }), stopAsked: supervisor.stopAsked });
  supervisor.leave();
}
