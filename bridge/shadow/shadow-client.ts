/** Shadows through the log alone, for the command line: the compacted topic tells them, and what became of a request. */
import { setTimeout as delay } from "node:timers/promises";
import type { EventLog, TopicPartition } from "../../eventlog/port.ts";
import { partitionForKey } from "../../eventlog/records/murmur2.ts";
import { deviceKey } from "../../processors/formats/names.ts";
import type { ShadowDocument, ShadowOutcome, ShadowRequest } from "../../processors/formats/shadow.ts";
import { readRange } from "../commands/read-range.ts";
import { KeyedSender } from "../keyed-sender.ts";
import { readShadowRecord } from "./shadow-record.ts";

const POLL_MS = 200;

export interface ShadowAnswer {
  readonly outcome: ShadowOutcome;
  /** As it was right after; undefined: there is none. */
  readonly document: ShadowDocument | undefined;
}

export class ShadowClient {
  readonly #log: EventLog;
  readonly #topics: { readonly updates: string; readonly documents: string };
  readonly #sender: KeyedSender;

  constructor(log: EventLog, topics: { readonly updates: string; readonly documents: string }) {
    this.#log = log;
    this.#topics = topics;
    this.#sender = new KeyedSender(log, topics.updates);
  }

  /** As the log has it now: reads the device's partition. Rejects with LogErrors. */
  async get(tenant: string, deviceId: string): Promise<ShadowDocument | undefined> {
    const key = deviceKey(tenant, deviceId);
    const from = await this.#partitionOf(key);
    const [start] = await this.#log.admin.listOffsets([from], "earliest", "read_committed");
    const [end] = await this.#log.admin.listOffsets([from], "latest", "read_committed");
    let found: ShadowDocument | undefined;
    await readRange(this.#log, start, end.offset, (records, index) => {
      const record = readShadowRecord(records, index);
      if (record?.key === key) found = record.document;
    });
    return found;
  }

  /** Undefined when no worker has applied it within `waitMs`; the log has it then. Rejects with LogErrors. */
  async change(request: ShadowRequest, waitMs: number): Promise<ShadowAnswer | undefined> {
    const key = deviceKey(request.tenant, request.deviceId);
    const from = await this.#partitionOf(key);
    const [start] = await this.#log.admin.listOffsets([from], "latest", "read_committed");
    await this.#sender.send(key, request);
    const deadline = performance.now() + waitMs;
    for (let offset = start.offset; performance.now() < deadline; await delay(POLL_MS)) {
      const [end] = await this.#log.admin.listOffsets([from], "latest", "read_committed");
      let answer: ShadowAnswer | undefined;
      await readRange(this.#log, { ...from, offset }, end.offset, (records, index) => {
        const record = readShadowRecord(records, index);
        if (record?.key === key && record.result?.id === request.id) answer = { outcome: record.result.outcome, document: record.document };
      });
      if (answer !== undefined) return answer;
      offset = end.offset;
    }
    return undefined;
  }

  close(): Promise<void> {
    return this.#sender.close();
  }

  async #partitionOf(key: string): Promise<TopicPartition> {
    const { documents: topic } = this.#topics;
    const bytes = Buffer.from(key);
    return { topic, partition: partitionForKey(bytes, 0, bytes.length, await this.#log.partitionCount(topic)) };
  }
}
