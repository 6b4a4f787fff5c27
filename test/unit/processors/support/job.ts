/** The whole job in the topology test driver, with JSON in and out. */
import type { TestContext } from "node:test";
import { DEFAULT_TOPICS } from "../../../../processors/formats/names.ts";
import type {
  AggregateRecord,
  AlertRecord,
  DeviceStateRecord,
  LedgerView,
  NormalizedRecord,
} from "../../../../processors/formats/records.ts";
import { toLedgerView } from "../../../../processors/formats/ledger-view.ts";
import { deviceRowStore } from "../../../../processors/device-row.ts";
import { jobSettingsSchema } from "../../../../processors/settings.ts";
import { buildTelemetryTopology } from "../../../../processors/telemetry-topology.ts";
import type { JobSerdes } from "../../../../processors/prepare-serdes.ts";
import { TopologyTestDriver, type TestDriverOptions, type TestOutput } from "../../../../runtime/test-driver.ts";

/** 1 January 2026, a multiple of every window size in use here. */
export const T0 = 1_767_225_600_000;
export const KEY = "demo|d1";

export interface SendOptions {
  readonly key?: string | Uint8Array | null;
  /** Receive time. Default: T0, or that of the last send. */
  readonly at?: number;
  readonly headers?: Readonly<Record<string, string>>;
}

export class Job {
  readonly driver: TopologyTestDriver;
  #at = T0;

  private constructor(driver: TopologyTestDriver) {
    this.driver = driver;
  }

  /** @param settings as in the YAML file */
  static async start(t: TestContext, settings: object = {}, options: TestDriverOptions = {}, serdes?: JobSerdes): Promise<Job> {
    const topology = buildTelemetryTopology(jobSettingsSchema.parse(settings), serdes);
    const driver = await TopologyTestDriver.create(topology, { deadLetterTopic: DEFAULT_TOPICS.dlq, ...options });
    const job = new Job(driver);
    t.after(() => job.stop());
    return job;
  }

  #stopped = false;
  async stop(): Promise<void> {
    if (this.#stopped) return;
    this.#stopped = true;
    await this.driver.close();
  }

  /** Objects are sent as JSON, the rest as it is. */
  send(payload: object | string | null, options: SendOptions = {}): void {
    this.#at = options.at ?? this.#at;
    const value = payload === null || typeof payload === "string" || payload instanceof Uint8Array ? payload : JSON.stringify(payload);
    const headers = Object.entries(options.headers ?? {}).map(([key, text]) => ({ key, value: Buffer.from(text) }));
    void this.driver.pipe(DEFAULT_TOPICS.raw, { key: options.key === undefined ? KEY : options.key, value, timestamp: this.#at, headers });
  }

  normalized(): NormalizedRecord[] {
    return this.#read<NormalizedRecord>(DEFAULT_TOPICS.normalized);
  }

  aggregates(): AggregateRecord[] {
    return this.#read<AggregateRecord>(DEFAULT_TOPICS.aggregates);
  }

  alerts(): AlertRecord[] {
    return this.#read<AlertRecord>(DEFAULT_TOPICS.alerts);
  }

  /** What a commit emits. */
  deviceStates(): DeviceStateRecord[] {
    this.driver.commit();
    return this.#read<DeviceStateRecord>(DEFAULT_TOPICS.deviceState);
  }

  deadLetters(): { reason: string; message: string; value: Buffer | null; key: Buffer | null }[] {
    return this.driver.output(DEFAULT_TOPICS.dlq).map(({ headers, value, key }) => {
      const text = (name: string): string => String(headers.find((header) => header.key === name)?.value ?? "");
      return { reason: text("dlq.reason"), message: text("dlq.message"), value, key };
    });
  }

  ledger(key: string = KEY): LedgerView {
    const row = this.driver.store(deviceRowStore).get(key)?.ledger;
    if (row === undefined) throw new Error(`no ledger row for ${key}`);
    return toLedgerView(row);
  }

  hasLedger(key: string): boolean {
    return this.driver.store(deviceRowStore).get(key)?.ledger !== undefined;
  }

  #read<T>(topic: string): T[] {
    return this.driver.output(topic).map((record: TestOutput) => JSON.parse(String(record.value)) as T);
  }
}
