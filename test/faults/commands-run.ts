/** What the fault tests of commands share: services as processes of their own, and what must hold of every command in the end. */
import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";
import type { EventLog } from "../../eventlog/port.ts";
import { commandKey, isFinal, NEXT_STATES, type Command } from "../../processors/formats/commands.ts";
import { spawnGuarded } from "../support/child-process.ts";
import type { Cleanup } from "../support/cleanup.ts";
import type { TestDevice } from "../support/command-device.ts";
import { readStatuses } from "../support/command-rig.ts";
import { waitFor } from "../support/wait-for.ts";

const CHILD = fileURLToPath(new URL("commands-child.ts", import.meta.url));

export interface Child {
  /** `sent` statuses of this life. */
  sent(): number;
  kill(): Promise<unknown>;
  /** SIGSTOP and SIGCONT. */
  freeze(): void;
  thaw(): void;
}

export async function startChild(t: Cleanup, args: readonly string[]): Promise<Child> {
  const child = await spawnGuarded(process.execPath, [CHILD, ...args]);
  t.after(async () => void (await child.kill()));
  let output = "";
  let errors = "";
  child.process.stdout?.setEncoding("utf8").on("data", (text: string) => (output = (output + text).slice(-500)));
  child.process.stderr?.setEncoding("utf8").on("data", (text: string) => (errors += text));
  const sent = (): number => {
    if (!child.running()) throw new Error(`the service ended: ${errors}`);
    return Number(output.match(/sent (\d+)\n(?!.*sent \d+\n)/s)?.[1] ?? 0);
  };
  const signal = (name: NodeJS.Signals) => () => void process.kill(child.pid, name);
  return { sent, kill: () => child.kill("SIGKILL"), freeze: signal("SIGSTOP"), thaw: signal("SIGCONT") };
}

/** Waits until every command has ended, then holds each against what its device counted. Returns a summary. */
export async function assertCarriedOut(
  log: EventLog,
  topic: string,
  commands: readonly Command[],
  deviceOf: (command: Command) => TestDevice,
): Promise<string> {
  const statuses = await waitFor(
    "every command has ended",
    async () => {
      const all = await readStatuses(log, topic);
      return commands.every((command) => isFinal(all.get(commandKey(command))?.at(-1)?.state ?? "accepted")) ? all : undefined;
    },
    { deadlineMs: 60_000, intervalMs: 250 },
  );

  const ends: Record<string, number> = {};
  let repeated = 0;
  for (const command of commands) {
    const history = statuses.get(commandKey(command)) ?? [];
    const states = history.map(({ state }) => state);
    states.slice(1).forEach((state, i) => assert.ok(NEXT_STATES[states[i]].includes(state), `${command.id}: ${states.join(" ")}`));
    const arrived = deviceOf(command).seen.get(command.id) ?? 0;
    const end = history.at(-1);
    const how = [command.guarantee, end?.state, end?.reason].join(" ");
    ends[how] = (ends[how] ?? 0) + 1;
    if (command.guarantee === "at-most-once") {
      assert.ok(arrived <= 1, `${command.id} (QoS ${command.qos}) arrived ${arrived} times: ${states.join(" ")}`);
      if (end?.state === "acknowledged") assert.equal(arrived, 1);
    } else {
      assert.ok(arrived >= 1, `${command.id} never arrived`);
      assert.equal(end?.state, "acknowledged", `${command.id}: ${states.join(" ")}`);
      repeated += arrived - 1;
    }
  }
  return `${commands.length} commands; ${repeated} repetitions of at-least-once commands; ends: ${JSON.stringify(ends)}`;
}
