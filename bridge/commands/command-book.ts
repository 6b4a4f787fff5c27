/**
 * The open commands of one partition and what happens to them. No I/O and no clock of its own: it is told of records, outcomes and
 * the time, and answers with statuses (for the log) and commands to publish (for the broker). The caller makes the statuses durable
 * BEFORE it publishes; that order is the whole guarantee:
 *
 *   at-most-once:  `sent` is in the log before the message can be anywhere, and one that is found there is never published again.
 *   at-least-once: what is not acknowledged is published again, until it is or until it expires.
 *
 *   accepted --> sent --> delivered --> acknowledged | failed        (states: processors/formats/commands.ts, NEXT_STATES)
 *       |         '-- <-- --' again, at-least-once only
 *       '--> expired, from anywhere; rejected instead of accepted
 *
 * The window of a device is for order and for its breath: a command that was sent has a place until it is done. At-least-once keeps its
 * place, as it is sent again until it is done. At-most-once may be lost anywhere behind the broker (a gateway's cut line, a device that
 * goes), of which nobody ever hears, and a handful of them must not stop whatever else the device is to do. So it gives its place up when
 * its connection is lost before the broker answered, also by a crash of this service, and `answerWaitMs` after it is out (after the
 * broker's answer, which for QoS 0 is the socket's). It stays open and waits for its acknowledgement until it expires, counts in the
 * device's queue, and is never sent again. Nothing of that needs a record of its own: `sent` and `delivered`, with their times, say it.
 */
import { deviceKey } from "../../processors/formats/names.ts";
import type { Command, CommandAck, CommandReason, CommandStatus } from "../../processors/formats/commands.ts";
import { pauseMs } from "../../eventlog/back-off.ts";
import type { CommandBounds } from "./command-settings.ts";
import { DueHeap } from "../due-heap.ts";
import { OpenCommand, type PublishOutcome } from "./open-command.ts";
import { RecentKeys } from "./recent-keys.ts";
import { statusOf } from "./statuses.ts";

export interface BookOutput {
  /** To the log, in this order, before anything that `publish` named goes out. */
  status(status: CommandStatus): void;
  /** May go out once the statuses are durable; its outcome is awaited. */
  publish(command: OpenCommand): void;
  /** Whether presence says so of a device. Default: of none. */
  isOffline?(deviceKey: string): boolean;
}

/** Of an acknowledgement. `known`: the command is done already. `unknown`: there is none of this device with this id that was ever sent. */
export type AckResult = "taken" | "known" | "unknown";

interface DeviceQueue {
  /** In the order they came. */
  readonly waiting: Set<OpenCommand>;
  /** Those with a place in the window. */
  readonly admitted: Set<OpenCommand>;
  /** These, and those that gave their place up. */
  open: number;
}

export class CommandBook {
  readonly #bounds: CommandBounds;
  readonly #output: BookOutput;
  readonly #random: () => number;
  readonly #open = new Map<string, OpenCommand>();
  readonly #devices = new Map<string, DeviceQueue>();
  readonly #finished: RecentKeys;
  readonly #due = new DueHeap<OpenCommand>();
  /** To be sent as soon as there is a connection with room. */
  readonly #ready = new Set<OpenCommand>();
  #openBytes = 0;

  /** @param random 0 to 1, for the pauses. */
  constructor(bounds: CommandBounds, output: BookOutput, random: () => number) {
    this.#bounds = bounds;
    this.#output = output;
    this.#random = random;
    this.#finished = new RecentKeys(bounds.remembered);
  }

  get openCount(): number {
    return this.#open.size;
  }

  get openBytes(): number {
    return this.#openBytes;
  }

  get readyCount(): number {
    return this.#ready.size;
  }

  /** When advance() has something to do whatever else happens, epoch ms. */
  get nextDueTs(): number {
    return this.#due.peek()?.dueTs ?? Number.POSITIVE_INFINITY;
  }

  /** A command from the log. False when its id is known: the same command again. */
  take(command: Command, offset: number, bytes: number, now: number): boolean {
    const open = new OpenCommand(command, offset, bytes);
    if (this.#open.has(open.key) || this.#finished.has(open.key)) return false;
    const device = this.#deviceOf(command);
    if (device.open >= this.#bounds.deviceQueue) {
      this.reject(command, offset, "queue-full", `the device has ${this.#bounds.deviceQueue} open commands`, now);
      return true;
    }
    this.#add(open, device);
    device.waiting.add(open);
    this.#output.status(statusOf(open, now));
    this.#admit(device);
    return true;
  }

  /** A record that names a command but cannot be one. */
  reject(command: Command, offset: number, reason: CommandReason, message: string, now: number): void {
    const rejected = new OpenCommand(command, offset, 0, "rejected");
    rejected.reason = reason;
    if (this.#open.has(rejected.key) || this.#finished.has(rejected.key)) return;
    this.#finished.add(rejected.key);
    this.#output.status(statusOf(rejected, now, { message }));
    this.#forgetDevice(command);
  }

  /** After a restart, of a command that is done: its id stays known. */
  restoreFinished(key: string): void {
    this.#finished.add(key);
  }

  /**
   * After a restart, an open command with its last status. An at-most-once command that may be out already is not sent again:
   * it waits for an acknowledgement and says that its outcome is unknown.
   */
  restore(command: Command, status: CommandStatus, bytes: number, now: number): void {
    const open = new OpenCommand(command, status.offset, bytes, status.state);
    open.attempts = status.attempts;
    open.reason = status.reason;
    const device = this.#deviceOf(command);
    this.#add(open, device);
    if (open.state === "accepted") {
      device.waiting.add(open);
      this.#admit(device);
      return;
    }
    if (open.isAtMostOnce && open.state === "sent") {
      if (open.reason !== "outcome-unknown") this.#step(open, "sent", now, "outcome-unknown");
      return;
    }
    device.admitted.add(open);
    if (open.isAtMostOnce) this.#waitForAnswer(open, status.ts);
    else if (open.state === "delivered") this.#sendAgainAfter(open, this.#ackPauseMs(open), status.ts);
    else this.#sendAgainAfter(open, 0, now);
  }

  /** A restored command that the log does not have any more. */
  restoreGone(status: CommandStatus, now: number): void {
    this.#finished.add(`${deviceKey(status.tenant, status.deviceId)}|${status.id}`);
    const message = "the command is not in the log any more: its topic keeps too little";
    this.#output.status({ ...status, state: "failed", reason: "record-gone", message, ts: now });
  }

  acknowledged(tenant: string, deviceId: string, ack: CommandAck, now: number): AckResult {
    const key = `${deviceKey(tenant, deviceId)}|${ack.id}`;
    const open = this.#open.get(key);
    if (open === undefined) return this.#finished.has(key) ? "known" : "unknown";
    if (open.state === "accepted") return "unknown";
    const answer = { result: ack.result, message: ack.message };
    if (ack.status === "error") this.#finish(open, "failed", now, "refused-by-device", answer);
    else this.#finish(open, "acknowledged", now, undefined, answer);
    return "taken";
  }

  /** What became of a publication. One that is not awaited any more (acknowledged meanwhile, expired) is no news. */
  published(open: OpenCommand, attempt: number, outcome: PublishOutcome, now: number): void {
    if (open.inAir !== attempt || this.#open.get(open.key) !== open) return;
    open.inAir = 0;
    switch (outcome.kind) {
      case "written":
        this.#waitForAnswer(open, now);
        return;
      case "not-written":
        open.licensed = true;
        this.#ready.add(open);
        return;
      case "refused":
        this.#finish(open, "failed", now, "refused-by-broker", { message: outcome.message });
        return;
      case "confirmed":
        this.#step(open, "delivered", now);
        if (open.isAtMostOnce) this.#waitForAnswer(open, now);
        else this.#sendAgainAfter(open, this.#ackPauseMs(open), now);
        return;
      case "no-subscriber":
        if (open.isAtMostOnce) {
          this.#finish(open, "failed", now, "no-subscriber");
          return;
        }
        this.#step(open, "sent", now, "no-subscriber");
        this.#sendAgainAfter(open, this.#retryPauseMs(open), now);
        return;
      case "unknown":
        if (open.isAtMostOnce) {
          this.#step(open, "sent", now, "outcome-unknown");
          this.#giveUpPlace(open);
        } else this.#sendAgainAfter(open, this.#retryPauseMs(open), now);
        return;
    }
  }

  /** What is due by now: expires, gives its place up, is ready again; then up to `room` ready commands are sent. */
  advance(now: number, room: number): void {
    for (let open = this.#due.peek(); open !== undefined && open.dueTs <= now; open = this.#due.peek()) {
      if (now >= open.command.expiresTs) this.#expire(open, now);
      else {
        this.#due.schedule(open, open.command.expiresTs);
        if (open.isAtMostOnce) this.#giveUpPlace(open);
        else this.#ready.add(open);
      }
    }
    let left = room;
    for (const open of this.#ready) {
      if (left <= 0) return;
      this.#ready.delete(open);
      if (this.#isToWait(open)) continue;
      left--;
      this.#send(open, now);
    }
  }

  /**
   * A device that was offline is there again: what waited for that goes out, and what was sent before and never acknowledged goes out
   * again, as the broker keeps nothing for a device without a session. True when there is any.
   */
  deviceBack(deviceKey: string): boolean {
    let any = false;
    for (const open of this.#devices.get(deviceKey)?.admitted ?? []) {
      if (open.isAtMostOnce || open.inAir > 0) continue;
      this.#due.schedule(open, open.command.expiresTs);
      this.#ready.add(open);
      any = true;
    }
    return any;
  }

  /** For deviceBack(), or its expiry. At most once: the broker is told once, whatever presence has heard. */
  #isToWait({ isAtMostOnce, command }: OpenCommand): boolean {
    return !isAtMostOnce && this.#output.isOffline?.(deviceKey(command.tenant, command.deviceId)) === true;
  }

  #send(open: OpenCommand, now: number): void {
    if (!open.licensed) {
      open.attempts++;
      this.#step(open, "sent", now);
    }
    open.licensed = false;
    open.inAir = open.attempts;
    this.#due.schedule(open, open.command.expiresTs);
    this.#output.publish(open);
  }

  /** At most once: it is out. */
  #waitForAnswer(open: OpenCommand, from: number): void {
    this.#due.schedule(open, Math.min(from + this.#bounds.answerWaitMs, open.command.expiresTs));
  }

  #giveUpPlace(open: OpenCommand): void {
    const device = this.#deviceOf(open.command);
    device.admitted.delete(open);
    this.#admit(device);
  }

  #expire(open: OpenCommand, now: number): void {
    const neverOut = open.attempts === 0 || (open.attempts === 1 && open.licensed);
    if (neverOut) this.#finish(open, "expired", now, "never-sent");
    else if (open.reason === "outcome-unknown") this.#finish(open, "failed", now, "outcome-unknown");
    else this.#finish(open, "expired", now, "no-acknowledgement");
  }

  #sendAgainAfter(open: OpenCommand, pause: number, from: number): void {
    if (open.attempts >= this.#bounds.maxAttempts) return;
    this.#due.schedule(open, Math.min(from + pause, open.command.expiresTs));
  }

  #retryPauseMs(open: OpenCommand): number {
    return pauseMs(open.attempts, this.#bounds.retryMinMs, this.#bounds.retryMaxMs, this.#random);
  }

  #ackPauseMs(open: OpenCommand): number {
    return pauseMs(open.attempts, this.#bounds.ackRetryMinMs, this.#bounds.ackRetryMaxMs, this.#random);
  }

  #step(open: OpenCommand, state: "sent" | "delivered", now: number, reason?: CommandReason): void {
    open.to(state, reason);
    this.#output.status(statusOf(open, now));
  }

  #finish(
    open: OpenCommand,
    state: "acknowledged" | "failed" | "expired",
    now: number,
    reason?: CommandReason,
    answer: { message?: string; result?: unknown } = {},
  ): void {
    open.to(state, reason);
    this.#output.status(statusOf(open, now, answer));
    this.#open.delete(open.key);
    this.#openBytes -= open.bytes;
    this.#finished.add(open.key);
    this.#due.remove(open);
    this.#ready.delete(open);
    const device = this.#deviceOf(open.command);
    device.waiting.delete(open);
    device.admitted.delete(open);
    device.open--;
    this.#admit(device);
    this.#forgetDevice(open.command);
  }

  #add(open: OpenCommand, device: DeviceQueue): void {
    this.#open.set(open.key, open);
    this.#openBytes += open.bytes;
    device.open++;
    this.#devices.set(deviceKey(open.command.tenant, open.command.deviceId), device);
    this.#due.schedule(open, open.command.expiresTs);
  }

  #admit(device: DeviceQueue): void {
    for (const open of device.waiting) {
      if (device.admitted.size >= this.#bounds.deviceWindow) return;
      device.waiting.delete(open);
      device.admitted.add(open);
      this.#ready.add(open);
    }
  }

  #deviceOf({ tenant, deviceId }: Command): DeviceQueue {
    return this.#devices.get(deviceKey(tenant, deviceId)) ?? { waiting: new Set(), admitted: new Set(), open: 0 };
  }

  #forgetDevice({ tenant, deviceId }: Command): void {
    const key = deviceKey(tenant, deviceId);
    const device = this.#devices.get(key);
    if (device?.open === 0) this.#devices.delete(key);
  }
}
