import type { DeviceMessage } from "../../../bridge/edge/message.ts";
import type { Done, Outcome } from "../../../bridge/edge/store.ts";

/** A store whose answers the test gives. */
export class FakeStore {
  readonly offered: { message: DeviceMessage; done: Done }[] = [];
  hasRoom = true;
  /** Undefined: the test calls `done`. */
  answer: Outcome | undefined;
  #listeners: (() => void)[] = [];

  offer(message: DeviceMessage, done: Done): void {
    this.offered.push({ message: { ...message, payload: Buffer.from(message.payload) }, done });
    const { answer } = this;
    if (answer !== undefined) setImmediate(() => done(answer));
  }

  whenRoom(listener: () => void): void {
    this.#listeners.push(listener);
  }

  makeRoom(): void {
    this.hasRoom = true;
    for (const listener of this.#listeners.splice(0)) listener();
  }

  get texts(): string[] {
    return this.offered.map(({ message }) => `${message.topic} ${Buffer.from(message.payload).toString()}`);
  }
}
