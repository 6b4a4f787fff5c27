/**
 * The guarantees under crashes at every step: before the statuses are durable, between that and the publication, after it. The log,
 * the broker and the device are models; the book and what is read back from the log are the real ones.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { CommandBook } from "../../../bridge/commands/command-book.ts";
import { COMMAND_BOUNDS } from "../../../bridge/commands/command-settings.ts";
import { LastStatuses } from "../../../bridge/commands/last-statuses.ts";
import type { OpenCommand, PublishOutcome } from "../../../bridge/commands/open-command.ts";
import { commandKey, isFinal, NEXT_STATES, type Command, type CommandStatus } from "../../../processors/formats/commands.ts";
import { deviceKey } from "../../../processors/formats/names.ts";
import { command, NOW } from "./support.ts";

/** A window of one: whatever is lost and keeps its place shows. */
const BOUNDS = { ...COMMAND_BOUNDS, deviceWindow: 1, maxAttempts: 1000 };
const LIFE_MS = 3_600_000;

/** `lost`: as `unknown`, and the message never arrived. */
type Fate = Exclude<PublishOutcome["kind"], "refused" | "written"> | "lost";
type Crash = "none" | "before-commit" | "before-publish" | "after-publish";
type Step =
  | { readonly kind: "issue"; readonly atMostOnce: boolean; readonly qos: 0 | 1 | 2; readonly device: number }
  | { readonly kind: "round"; readonly crash: Crash; readonly fates: readonly Fate[] }
  | { readonly kind: "ack"; readonly pick: number }
  | { readonly kind: "presence"; readonly device: number }
  | { readonly kind: "wait"; readonly ms: number };

const FATE = fc.constantFrom<Fate>("confirmed", "unknown", "lost", "not-written", "no-subscriber");
const STEP: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 3,
    arbitrary: fc.record({
      kind: fc.constant("issue" as const),
      atMostOnce: fc.boolean(),
      qos: fc.constantFrom(0 as const, 1 as const, 2 as const),
      device: fc.nat(2),
    }),
  },
  {
    weight: 4,
    arbitrary: fc.record({
      kind: fc.constant("round" as const),
      crash: fc.constantFrom<Crash>("none", "none", "before-commit", "before-publish", "after-publish"),
      fates: fc.array(FATE, { minLength: 1, maxLength: 4 }),
    }),
  },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant("ack" as const), pick: fc.nat() }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant("presence" as const), device: fc.nat(2) }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant("wait" as const), ms: fc.nat(40_000) }) },
);

class World {
  now = NOW;
  readonly commands: Command[] = [];
  /** Acknowledgements that the log has. */
  readonly acks: Command[] = [];
  /** Durable, in order. */
  readonly statuses: CommandStatus[] = [];
  /** How often each command reached its device. */
  readonly arrived = new Map<string, number>();
  /** Devices that presence says are offline. */
  readonly #offline = new Set<string>();
  #positions = { commands: 0, acks: 0 };
  #journal: CommandStatus[] = [];
  #publications: OpenCommand[] = [];
  #outcomes: [OpenCommand, number, PublishOutcome][] = [];
  #book = this.#rebuilt();

  round(crash: Crash, fates: readonly Fate[]): void {
    const before = { ...this.#positions };
    for (const [open, attempt, outcome] of this.#outcomes.splice(0)) this.#book.published(open, attempt, outcome, this.now);
    while (this.#positions.commands < this.commands.length) {
      const offset = this.#positions.commands++;
      this.#book.take(this.commands[offset], offset, 10, this.now);
    }
    while (this.#positions.acks < this.acks.length) {
      const { tenant, deviceId, id } = this.acks[this.#positions.acks++];
      this.#book.acknowledged(tenant, deviceId, { id }, this.now);
    }
    this.#book.advance(this.now, 5);
    if (crash === "before-commit") {
      this.#positions = before;
      return this.#crash();
    }
    this.statuses.push(...this.#journal.splice(0));
    if (crash === "before-publish") return this.#crash();
    this.#publications.splice(0).forEach((open, i) => this.#publish(open, fates[i % fates.length]));
    if (crash === "after-publish") this.#crash();
  }

  /** What presence says of a device changes. */
  turn(deviceId: string): void {
    const key = `demo|${deviceId}`;
    if (!this.#offline.delete(key)) this.#offline.add(key);
    else this.#book.deviceBack(key);
  }

  allOnline(): void {
    for (const key of this.#offline) this.turn(key.slice("demo|".length));
  }

  /** A connection that is lost may or may not have carried the message; what nobody was subscribed to reached nobody. */
  #publish(open: OpenCommand, fate: Fate): void {
    const kind = fate === "lost" ? "unknown" : fate === "confirmed" && open.command.qos === 0 ? "written" : fate;
    const outcome: PublishOutcome = { kind };
    if (fate === "confirmed" || fate === "unknown") this.arrived.set(open.key, (this.arrived.get(open.key) ?? 0) + 1);
    this.#outcomes.push([open, open.attempts, outcome]);
  }

  #crash(): void {
    this.#book = this.#rebuilt();
  }

  #rebuilt(): CommandBook {
    this.#journal = [];
    this.#publications = [];
    this.#outcomes = [];
    const last = new LastStatuses(BOUNDS.remembered);
    for (const status of this.statuses) last.add(status);
    const output = {
      status: (status: CommandStatus) => void this.#journal.push(status),
      publish: (open: OpenCommand) => {
        const { guarantee, tenant, deviceId } = open.command;
        if (guarantee === "at-least-once") assert.ok(!this.#offline.has(deviceKey(tenant, deviceId)), "sent to a device that is offline");
        this.#publications.push(open);
      },
      isOffline: (key: string) => this.#offline.has(key),
    };
    const book = new CommandBook(BOUNDS, output, () => 0.5);
    for (const key of last.finished()) book.restoreFinished(key);
    for (const status of [...last.open.values()].sort((a, b) => a.offset - b.offset)) {
      book.restore(this.commands[status.offset], status, 10, this.now);
    }
    return book;
  }
}

test("whatever crashes when: at-most-once arrives at most once, at-least-once arrives, every command ends, every step is a legal one", () => {
  fc.assert(
    fc.property(fc.array(STEP, { maxLength: 80 }), (steps) => {
      const world = new World();
      for (const step of steps) {
        if (step.kind === "issue") {
          const guarantee = step.atMostOnce ? "at-most-once" : "at-least-once";
          const qos = step.atMostOnce ? (step.qos === 1 ? 0 : step.qos) : step.qos === 0 ? 1 : step.qos;
          const fields = { guarantee, qos, deviceId: `d${step.device}`, issuedTs: world.now, expiresTs: world.now + LIFE_MS } as const;
          world.commands.push(command(`c${world.commands.length}`, fields));
        } else if (step.kind === "round") world.round(step.crash, step.fates);
        else if (step.kind === "wait") world.now += step.ms;
        else if (step.kind === "presence") world.turn(`d${step.device}`);
        else {
          const there = world.commands.filter((one) => world.arrived.has(commandKey(one)));
          if (there.length > 0) world.acks.push(there[step.pick % there.length]);
        }
      }
      world.allOnline();
      // All is well again: devices acknowledge what arrives, long enough for every pause, then for every expiry.
      for (let i = 0; i < 60; i++) {
        world.round("none", ["confirmed"]);
        world.acks.push(...world.commands.filter((one) => world.arrived.has(commandKey(one))));
        world.now += 20_000;
      }
      const early = new Map(world.statuses.map((status) => [commandKey(status), status]));
      world.now += LIFE_MS;
      world.round("none", ["confirmed"]);
      world.round("none", ["confirmed"]);

      const byCommand = Map.groupBy(world.statuses, commandKey);
      for (const one of world.commands) {
        const key = commandKey(one);
        const arrivals = world.arrived.get(key) ?? 0;
        if (one.guarantee === "at-most-once") assert.ok(arrivals <= 1, `${key} arrived ${arrivals} times`);
        else {
          assert.ok(arrivals >= 1, `${key} never arrived`);
          assert.equal(early.get(key)?.state, "acknowledged");
        }
        const states = (byCommand.get(key) ?? []).map(({ state }) => state);
        assert.equal(states[0], "accepted");
        states.slice(1).forEach((state, i) => assert.ok(NEXT_STATES[states[i]].includes(state), `${states[i]} to ${state}`));
        assert.ok(isFinal(states[states.length - 1]), `${key} ended as ${states[states.length - 1]}`);
      }
    }),
    { numRuns: 500 },
  );
});
