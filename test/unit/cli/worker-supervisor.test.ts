import assert from "node:assert/strict";
import { spawn, type ChildProcess } from "node:child_process";
import { test, type TestContext } from "node:test";
import { fileURLToPath } from "node:url";
import pino from "pino";
import { MAX_RESTARTS, RESTART_WINDOW_MS, RestartBudget } from "../../../cli/workers/restart-budget.ts";
import { WorkerSupervisor, type SupervisorOptions } from "../../../cli/workers/supervisor.ts";
import { waitFor } from "../../support/wait-for.ts";

const CHILD = fileURLToPath(new URL("supervised.child.ts", import.meta.url));

interface Stand {
  readonly supervisor: WorkerSupervisor;
  /** By worker, in the order of their starts. */
  readonly started: readonly (readonly ChildProcess[])[];
  readonly lines: readonly Record<string, unknown>[];
  /** As often as all of them listened. */
  readonly listened: () => number;
}

/** @param plans what each worker's process does, start by start; the last one for all further ones. */
function supervise(t: TestContext, plans: readonly (readonly string[])[], options: Partial<SupervisorOptions> = {}): Stand {
  const started: ChildProcess[][] = plans.map(() => []);
  const lines: Record<string, unknown>[] = [];
  const supervisor = new WorkerSupervisor({
    shares: plans.map((_, index) => ({ index, env: {} })),
    spawn: ({ index }) => {
      const plan = plans[index][Math.min(started[index].length, plans[index].length - 1)];
      const child = spawn(process.execPath, [CHILD, ...plan.split(" ")], { stdio: ["ignore", "inherit", "inherit", "ipc"] });
      started[index].push(child);
      return child;
    },
    maxSilentPings: 1_000,
    logger: pino({}, { write: (line: string) => void lines.push(JSON.parse(line) as Record<string, unknown>) }),
    ...options,
  });
  t.after(() => supervisor.stop());
  supervisor.start();
  return { supervisor, started, lines, listened: () => lines.filter(({ msg }) => String(msg).startsWith("all workers listen")).length };
}

const alive = ({ exitCode, signalCode }: ChildProcess): boolean => exitCode === null && signalCode === null;

test("a worker that is killed is started again, and the other goes on; a stop ends all, with exit code 0", async (t) => {
  const { supervisor, started, lines, listened } = supervise(t, [["steady"], ["steady"]]);
  await waitFor("both listen", () => listened() === 1, { deadlineMs: 30_000 });
  assert.deepEqual(
    (lines.at(-1)?.workers as { worker: number; url: string }[]).map(({ worker, url }) => [worker, url]),
    started.map(([child], index) => [index, `http://localhost:${String(child.pid)}`]),
  );
  started[0][0].kill("SIGKILL");
  await waitFor("both listen again", () => listened() === 2, { deadlineMs: 30_000 });
  assert.deepEqual(
    started.map((children) => children.length),
    [2, 1],
  );
  assert.ok(alive(started[1][0]));
  await supervisor.stop();
  assert.equal(supervisor.exitCode, 0);
  assert.ok(started.flat().every((child) => !alive(child)));
});

for (const [name, plan, exitCode] of [
  ["exit code 2", "exits 2", 2],
  ["an error that another start would end with too", "fails topology-mismatch", 1],
] as const) {
  test(`${name} is not tried again: all end with ${exitCode}`, async (t) => {
    const { supervisor, started } = supervise(t, [[plan], ["steady"]]);
    await supervisor.finished;
    await supervisor.stop();
    assert.deepEqual([supervisor.exitCode, started[0].length], [exitCode, 1]);
    assert.ok(!alive(started[1][0]));
  });
}

test("any other failure is tried again", async (t) => {
  const { supervisor, listened } = supervise(t, [["fails recovery-timeout", "exits 0", "steady"]]);
  await waitFor("it is up", () => listened() === 1, { deadlineMs: 30_000 });
  await supervisor.stop();
  assert.equal(supervisor.exitCode, 0);
});

test("a stop between a worker's end and its next start starts nothing", async (t) => {
  const { supervisor, started, lines } = supervise(t, [["exits 1"]]);
  await waitFor("it ended", () => lines.some(({ restartInMs }) => restartInMs !== undefined), { deadlineMs: 30_000 });
  await supervisor.stop();
  assert.deepEqual([supervisor.exitCode, started[0].length], [0, 1]);
});

test("a worker that stops answering is killed and started again", async (t) => {
  const { started, listened } = supervise(t, [["steady"]], { maxSilentPings: 2 });
  await waitFor("it listens", () => listened() === 1, { deadlineMs: 30_000 });
  started[0][0].kill("SIGSTOP");
  await waitFor("its successor listens", () => listened() === 2, { deadlineMs: 30_000 });
  assert.equal(started[0][0].signalCode, "SIGKILL");
});

test("a worker that does not stop in time is killed, and the exit code says so", async (t) => {
  const { supervisor, listened } = supervise(t, [["deaf"]], { killAfterMs: 200 });
  await waitFor("it listens", () => listened() === 1, { deadlineMs: 30_000 });
  await supervisor.stop();
  assert.equal(supervisor.exitCode, 1);
});

test("a worker that cannot be started at all counts as one that ended", async (t) => {
  const spawnNothing = (): ChildProcess => spawn("/no/such/program", { stdio: ["ignore", "ignore", "ignore", "ipc"] });
  const { lines } = supervise(t, [["steady"]], { spawn: spawnNothing });
  const again = await waitFor("it is tried again", () => lines.find(({ restartInMs }) => restartInMs !== undefined));
  assert.equal(again.failure, "ENOENT");
});

test("restarts: pauses double up to a bound on how often, and time forgives", () => {
  const budget = new RestartBudget(() => 1);
  const pauses = Array.from({ length: MAX_RESTARTS + 1 }, (_, n) => budget.next(n));
  assert.deepEqual(pauses, [500, 1_000, 2_000, 4_000, 8_000, 16_000, undefined]);
  assert.equal(budget.next(RESTART_WINDOW_MS + MAX_RESTARTS), 500);
});
