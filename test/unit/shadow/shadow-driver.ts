/** The job's shadows in the topology test driver. */
import type { TestContext } from "node:test";
import { RAW_HEADERS } from "../../../processors/formats/names.ts";
import { SHADOW_TOPICS, type ShadowDocument, type ShadowRequest } from "../../../processors/formats/shadow.ts";
import { jobSettingsSchema } from "../../../processors/settings.ts";
import { shadowStore, type ShadowRow } from "../../../processors/shadow/shadow-row.ts";
import { buildTelemetryTopology } from "../../../processors/telemetry-topology.ts";
import { TopologyTestDriver, type TestDriverOptions } from "../../../runtime/test-driver.ts";

export const KEY = "demo|d1";

export interface Said {
  readonly document: ShadowDocument | undefined;
  readonly headers: Readonly<Record<string, string>>;
}

export class ShadowDriver {
  readonly driver: TopologyTestDriver;
  #id = 0;
  #stopped = false;
  now = 1_000;

  private constructor(driver: TopologyTestDriver) {
    this.driver = driver;
  }

  static async start(t: TestContext, settings: object = {}, options: TestDriverOptions = {}): Promise<ShadowDriver> {
    const topology = buildTelemetryTopology(jobSettingsSchema.parse({ shadow: { enabled: true, ...settings } }));
    const driver = await TopologyTestDriver.create(topology, { deadLetterTopic: "dlq", ...options });
    const shadow = new ShadowDriver(driver);
    t.after(() => shadow.stop());
    return shadow;
  }

  async stop(): Promise<void> {
    if (this.#stopped) return;
    this.#stopped = true;
    await this.driver.close();
  }

  /** What people want of the device. */
  want(request: Partial<ShadowRequest>, key = KEY): Said[] {
    const value = { v: 1, id: `r${++this.#id}`, tenant: "demo", deviceId: "d1", op: "patch", ...request };
    return this.pipe(JSON.stringify(value), undefined, key);
  }

  /** What the device publishes. */
  device(door: "reported" | "get", payload: object | string, topic = `t/demo/d/d1/shadow/${door}`, retain = "0"): Said[] {
    const text = typeof payload === "string" ? payload : JSON.stringify(payload);
    return this.pipe(text, { [RAW_HEADERS.topic]: topic, [RAW_HEADERS.retain]: retain });
  }

  pipe(value: string | Buffer | null, headers: Readonly<Record<string, string>> = {}, key: string | null = KEY): Said[] {
    const all = Object.entries(headers).map(([name, text]) => ({ key: name, value: Buffer.from(text) }));
    void this.driver.pipe(SHADOW_TOPICS.updates, { key, value, timestamp: this.now, headers: all });
    return this.driver.output(SHADOW_TOPICS.documents).map((record) => ({
      document: record.value === null ? undefined : (JSON.parse(record.value.toString()) as ShadowDocument),
      headers: Object.fromEntries(record.headers.map((header) => [header.key, String(header.value)])),
    }));
  }

  row(key = KEY): ShadowRow | undefined {
    return this.driver.store(shadowStore).get(key);
  }

  deadLetters(): string[] {
    return this.driver.output("dlq").map(({ headers }) => String(headers.find(({ key }) => key === "dlq.reason")?.value));
  }
}
