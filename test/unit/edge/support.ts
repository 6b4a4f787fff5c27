import { pino } from "pino";
import type { Gap } from "../../../bridge/edge/gap.ts";
import { MessageRecords, type DeviceMessage, type StoredMessage } from "../../../bridge/edge/message.ts";
import type { StoreSettings } from "../../../bridge/edge/settings.ts";
import { Store, type Outcome } from "../../../bridge/edge/store.ts";
import { TELEMETRY_TEMPLATE } from "../../../bridge/device-topic.ts";
import type { Cleanup } from "../../support/cleanup.ts";
import { tempDir } from "../../support/temp-dir.ts";

export const SILENT = pino({ level: "silent" });
export const MIB = 1024 * 1024;

export const SETTINGS: Omit<StoreSettings, "dir"> = {
  maxBytes: MIB,
  maxAgeMs: 3_600_000,
  onFull: "refuse",
  minFreeBytes: 0,
  fsync: false,
};

export interface Opened {
  readonly store: Store;
  readonly dir: string;
  /** The store's clock, epoch ms. */
  now: number;
}

export async function openStore(t: Cleanup, settings: Partial<StoreSettings> = {}): Promise<Opened> {
  const dir = settings.dir ?? tempDir(t, "gateway-store");
  const records = new MessageRecords("g1", [TELEMETRY_TEMPLATE]);
  const opened = { dir, now: Date.UTC(2026, 0, 1) };
  const store = await Store.open({
    gatewayId: "g1",
    settings: { ...SETTINGS, ...settings, dir },
    records,
    logger: SILENT,
    now: () => opened.now,
  });
  t.after(() => store.close());
  return Object.assign(opened, { store });
}

export function message(device: string, n: number, bytes = 20): DeviceMessage {
  const payload = Buffer.alloc(bytes, " ");
  payload.write(String(n));
  return {
    topic: `t/demo/d/${device}/telemetry`,
    payload,
    qos: 1,
    dup: false,
    retain: false,
    contentType: undefined,
    correlation: undefined,
  };
}

export function offer(store: Store, sent: DeviceMessage): Promise<Outcome> {
  return new Promise((resolve) => store.offer(sent, resolve));
}

/** `device n` of everything that is there now, and gaps as `gap reason count`. */
export async function readAll(store: Store): Promise<StoredMessage[]> {
  store.rewind();
  const found: StoredMessage[] = [];
  const { messages } = store.stats();
  while (found.length < messages) found.push(...(await store.next(1_000)));
  return found;
}

export function texts(messages: readonly StoredMessage[]): string[] {
  return messages.map((one) => (one.isGap ? gapText(one) : `${one.topic.split("/")[3]} ${one.value.toString().trim()}`));
}

function gapText({ value }: StoredMessage): string {
  const { reason, messages, devices, others } = JSON.parse(value.toString()) as Gap;
  return `gap ${reason} ${messages} ${JSON.stringify(devices)} ${others}`;
}
