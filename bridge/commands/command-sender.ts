/** Writes commands to the log: for the HTTP API and the command line. */
import type { EventLog, PlainWriter } from "../../eventlog/port.ts";
import { partitionForKey } from "../../eventlog/records/murmur2.ts";
import type { Command } from "../../processors/formats/commands.ts";
import { deviceKey } from "../../processors/formats/names.ts";

/** Above this, senders wait. Bytes. */
const MAX_BUFFERED_BYTES = 4 * 1024 * 1024;
/** A person waits for the answer; commands are few, so company is not worth waiting for. */
const LINGER_MS = 1;

export class CommandSender {
  readonly #log: EventLog;
  readonly #topic: string;
  readonly #writer: PlainWriter;

  constructor(log: EventLog, topic: string) {
    this.#log = log;
    this.#topic = topic;
    this.#writer = log.plainWriter({ lingerMs: LINGER_MS, maxBufferedBytes: MAX_BUFFERED_BYTES });
  }

  /**
   * Resolves when the log has it. `command` must be one (`commandProblem`). Rejects with LogErrors; the same command may then be sent
   * again, its id makes it one.
   */
  async send(command: Command): Promise<void> {
    const partitions = await this.#log.partitionCount(this.#topic);
    await this.#writer.ready();
    const key = Buffer.from(deviceKey(command.tenant, command.deviceId));
    const to = { topic: this.#topic, partition: partitionForKey(key, 0, key.length, partitions) };
    const value = Buffer.from(JSON.stringify(command));
    await new Promise<void>((resolve, reject) => {
      this.#writer.send(to, key, value, undefined, Date.now(), (error) => {
        if (error === undefined) resolve();
        else reject(error);
      });
    });
  }

  close(): Promise<void> {
    return this.#writer.close();
  }
}
