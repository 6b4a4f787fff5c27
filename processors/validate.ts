/** Who sent the event, which one it is, and when: fields of fixed meaning are checked here; what was measured is normalize's. */
import type { Output, Processor, ProcessorContext, ProcessorSpec, StreamRecord } from "../topology/processor.ts";
import { DeviceTable, type Device } from "./device.ts";
import { FLAG, TelemetryEvent } from "./event.ts";
import { SLOT, type Slot } from "./field-name.ts";
import { RAW_HEADERS } from "./formats/names.ts";
import { KIND, Payload } from "./payload.ts";
import { problem, reject, type Problem } from "./reject.ts";
import type { ProfileSettings } from "./settings.ts";
import { parseTimestamp } from "./timestamp.ts";

/** Characters of a bootId and of a message id: they are kept in state. */
const MAX_BOOT_ID = 128;
const MAX_MESSAGE_ID = 256;

/** Header in which a bridge may pass on a message id of the device's own. */
const MESSAGE_ID_HEADER = "message-id";

export type ValidateOutputs = { valid: { key: string; value: TelemetryEvent } };

export interface ValidateOptions {
  readonly maxFutureMs: number;
  readonly profiles: readonly ProfileSettings[];
}

export function validate(options: ValidateOptions): ProcessorSpec<string | null, TelemetryEvent, ValidateOutputs> {
  return { name: "validate", outputs: ["valid"], create: () => new Validate(options) };
}

class Validate implements Processor<string | null, TelemetryEvent, ValidateOutputs> {
  readonly #maxFutureMs: number;
  readonly #devices: DeviceTable;
  #context!: ProcessorContext<ValidateOutputs>;
  #valid!: Output<string, TelemetryEvent>;
  /** Forwarded for each event. */
  readonly #record = { key: "", value: new TelemetryEvent(new Payload()), timestamp: 0.5 };

  constructor(options: ValidateOptions) {
    this.#maxFutureMs = options.maxFutureMs;
    this.#devices = new DeviceTable(options.profiles);
  }

  init(context: ProcessorContext<ValidateOutputs>): void {
    this.#context = context;
    this.#valid = context.output("valid");
  }

  process(record: StreamRecord<string | null, TelemetryEvent>): void {
    const event = record.value;
    const found = this.#check(record.key, event);
    if (found !== undefined) return reject(this.#context, event, found.reason, found.message);
    // The log has no times before 1970; the event's own ts keeps them.
    // The table's own string, the same object each time: map look-ups downstream then compare references.
    const key = event.device === undefined ? (record.key as string) : event.device.key;
    const forwarded = this.#record;
    forwarded.key = key;
    forwarded.value = event;
    forwarded.timestamp = event.ts < 0 ? 0 : event.ts;
    this.#valid.forward(forwarded);
  }

  prefetch(sourceKeys: readonly unknown[], count: number): void {
    this.#devices.touch(sourceKeys, count);
  }

  #check(key: string | null, event: TelemetryEvent): Problem | undefined {
    const device = key === null ? undefined : this.#devices.get(key);
    if (device === undefined) return problem("bad-topic", key === null ? "the record has no key" : "the record key is not tenant|deviceId");
    event.device = device;
    return (
      this.#checkTopic(device) ??
      checkOwner(device, event.payload) ??
      checkIdentity(device, event) ??
      this.#checkTime(event) ??
      this.#findMessageId(event)
    );
  }

  #checkTopic(device: Device): Problem | undefined {
    const topic = this.#context.source.headerText(RAW_HEADERS.topic);
    if (topic === undefined || topic === device.mqttTopic) return undefined;
    const parts = topic.split("/");
    if (parts.length < 5 || parts[0] !== "t" || parts[2] !== "d")
      return problem("bad-topic", "the MQTT topic is not t/{tenant}/d/{deviceId}/...");
    if (parts[1] !== device.tenant) return problem("tenant-mismatch", "the record key and the MQTT topic name different tenants");
    if (parts[3] !== device.deviceId) return problem("device-mismatch", "the record key and the MQTT topic name different devices");
    return undefined;
  }

  #checkTime(event: TelemetryEvent): Problem | undefined {
    const { source } = this.#context;
    const receivedTs = source.timestamp;
    event.receivedTs = receivedTs;
    if (source.headerText(RAW_HEADERS.retain) === "1") event.flags |= FLAG.retained;
    const { payload } = event;
    const at = payload.at(SLOT.ts);
    if (at < 0) {
      event.ts = receivedTs;
      event.flags |= FLAG.noTs;
      return undefined;
    }
    const ts = parseTimestamp(payload.kinds[at] === KIND.number ? payload.numbers[at] : payload.value(at));
    if (Number.isNaN(ts)) return problem("bad-timestamp", "ts is neither epoch ms or seconds nor ISO-8601");
    event.deviceTs = ts;
    if (ts > receivedTs + this.#maxFutureMs) {
      event.ts = receivedTs;
      event.flags |= FLAG.clockAhead;
    } else event.ts = ts;
    return undefined;
  }

  /** Only events without a seq need one. */
  #findMessageId(event: TelemetryEvent): Problem | undefined {
    if (event.seq >= 0) return undefined;
    const { payload } = event;
    const at = payload.at(SLOT.messageId);
    if (at >= 0) {
      const messageId = payload.value(at);
      if (!isId(messageId, MAX_MESSAGE_ID))
        return problem("schema", `messageId is a number or a string of 1 to ${MAX_MESSAGE_ID} characters`);
      event.messageId = String(messageId);
      return undefined;
    }
    const uuid = asUuid(payload, SLOT.id) ?? asUuid(payload, SLOT.uuid);
    if (uuid !== undefined) {
      // It may be the device's own after all, the same in every message: with the ts it is a message's in either case.
      event.messageId = Number.isNaN(event.deviceTs) ? uuid : `${uuid}@${event.deviceTs}`;
      return undefined;
    }
    const header = this.#context.source.headerText(MESSAGE_ID_HEADER);
    if (header !== undefined && header.length > 0 && header.length <= MAX_MESSAGE_ID)
      event.messageId = event.batch === undefined ? header : `${header}[${event.index}]`;
    return undefined;
  }
}

function checkOwner(device: Device, payload: Payload): Problem | undefined {
  const deviceId = payload.at(SLOT.deviceId);
  if (deviceId >= 0 && !payload.equals(deviceId, device.deviceId)) {
    if (!payload.isText(deviceId)) return problem("schema", "deviceId is a string");
    return problem("device-mismatch", "payload and topic name different devices");
  }
  const tenant = payload.at(SLOT.tenant);
  if (tenant >= 0 && !payload.equals(tenant, device.tenant)) {
    if (!payload.isText(tenant)) return problem("schema", "tenant is a string");
    return problem("tenant-mismatch", "payload and topic name different tenants");
  }
  return undefined;
}

function checkIdentity(device: Device, event: TelemetryEvent): Problem | undefined {
  const { payload } = event;
  const boot = payload.at(SLOT.bootId);
  if (boot >= 0) {
    if (device.bootId === undefined || !payload.equals(boot, device.bootId)) {
      const bootId = payload.value(boot);
      if (!isId(bootId, MAX_BOOT_ID)) return problem("schema", `bootId is a number or a string of 1 to ${MAX_BOOT_ID} characters`);
      device.bootId = String(bootId);
    }
    event.bootId = device.bootId;
  }
  const seq = payload.at(SLOT.seq);
  if (seq >= 0) {
    const value = payload.numbers[seq];
    if (payload.kinds[seq] !== KIND.number || !Number.isSafeInteger(value) || value < 0)
      return problem("schema", "seq is an integer from 0 to 2^53-1");
    event.seq = value + 0;
  }
  return undefined;
}

function isId(value: unknown, maxLength: number): value is string | number {
  if (typeof value === "number") return Number.isFinite(value);
  return typeof value === "string" && value.length > 0 && value.length <= maxLength && value.isWellFormed();
}

/** `id` and `uuid` often name the sensor instead: only what looks like a UUID counts as a message's. */
function asUuid(payload: Payload, slot: Slot): string | undefined {
  const at = payload.at(slot);
  if (at < 0 || !payload.isText(at)) return undefined;
  const text = payload.text(at);
  return UUID.test(text) ? text.toLowerCase() : undefined;
}
const UUID = /^[0-9a-f]{8}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{12}$/i;
