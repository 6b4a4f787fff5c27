/** Commands end to end: the service and the ingress on a log, devices on a broker, and a look at what the status topic says. */
import { pino } from "pino";
import { Registry } from "prom-client";
import { CommandService } from "../../bridge/commands/command-service.ts";
import { COMMAND_BOUNDS, type CommandBounds } from "../../bridge/commands/command-settings.ts";
import { ACK_FILTER, type MessageFormat } from "../../bridge/commands/command-message.ts";
import { Ingress } from "../../bridge/ingress.ts";
import { KafkaLog } from "../../eventlog/kafka/kafka-log.ts";
import type { EventLog } from "../../eventlog/port.ts";
import { partitionForKey } from "../../eventlog/records/murmur2.ts";
import { commandKey, type Command, type CommandStatus } from "../../processors/formats/commands.ts";
import { deviceKey } from "../../processors/formats/names.ts";
import type { Cleanup } from "./cleanup.ts";

export const LANES = 3;

export interface CommandTopics {
  readonly raw: string;
  readonly dlq: string;
  readonly commands: string;
  readonly status: string;
  readonly acks: string;
}

export function commandTopics(prefix: string): CommandTopics {
  const name = (topic: string): string => `${prefix}-${topic}`;
  return { raw: name("raw"), dlq: name("dlq"), commands: name("commands"), status: name("status"), acks: name("acks") };
}

const NO_CONFIG: Record<string, string> = {};

export async function createCommandTopics(log: EventLog, topics: CommandTopics): Promise<void> {
  await log.admin.createTopics(
    Object.values(topics).map((name: string) => ({
      name,
      partitions: LANES,
      config: name === topics.status ? { "cleanup.policy": "compact,delete" } : NO_CONFIG,
    })),
  );
}

/** Closed after the test. */
export function openKafkaLog(t: Cleanup, brokers: readonly string[]): KafkaLog {
  const log = new KafkaLog({ brokers, clientId: "commands-test", logger: pino({ level: "silent" }) });
  t.after(() => log.close());
  return log;
}

/** Short pauses, so that a test does not wait for retries. */
export const QUICK: CommandBounds = {
  ...COMMAND_BOUNDS,
  maxAttempts: 1000,
  retryMinMs: 100,
  retryMaxMs: 400,
  ackRetryMinMs: 400,
  ackRetryMaxMs: 800,
};

export interface ServiceOptions {
  readonly serviceId?: string;
  readonly bounds?: Partial<CommandBounds>;
  readonly format?: MessageFormat;
  readonly protocolVersion?: 4 | 5;
}

/** Not started; stopped after the test. */
export function makeCommandService(
  t: Cleanup,
  log: EventLog,
  topics: CommandTopics,
  url: string,
  options: ServiceOptions = {},
): CommandService {
  const { serviceId = "s1", bounds, format = "envelope", protocolVersion = 5 } = options;
  const service = new CommandService({
    mqtt: { url, clientId: `${serviceId}-commands`, topics: ["unused"], qos: 1, protocolVersion, reconnectMinMs: 20, reconnectMaxMs: 200 },
    log,
    topics,
    groupId: `${topics.commands}-group`,
    serviceId,
    sessionTimeoutMs: 6_000,
    format,
    bounds: { ...QUICK, ...bounds },
    logger: pino({ level: process.env.SLUICE_TEST_LOG ?? "silent" }),
    registry: new Registry(),
  });
  t.after(() => service.stop());
  return service;
}

/** The ingress that brings the devices' answers. Started; stopped after the test. */
export async function startAckIngress(
  t: Cleanup,
  log: EventLog,
  topics: CommandTopics,
  url: string,
  protocolVersion: 4 | 5 = 5,
): Promise<Ingress> {
  const ingress = new Ingress({
    mqtt: {
      url,
      clientId: `${topics.raw}-ingress`,
      topics: [ACK_FILTER],
      qos: 1,
      protocolVersion,
      reconnectMinMs: 20,
      reconnectMaxMs: 200,
    },
    log,
    topics,
    validation: { maxValueBytes: 100_000 },
    ingressId: "ingress",
    logger: pino({ level: "silent" }),
  });
  t.after(() => ingress.stop());
  await ingress.start();
  return ingress;
}

let issued = 0;

export function newCommand(changes: Partial<Command> = {}): Command {
  const guarantee = changes.guarantee ?? "at-least-once";
  const now = Date.now();
  return {
    v: 1,
    id: `c${++issued}`,
    tenant: "demo",
    deviceId: "device-1",
    name: "blink",
    payload: { times: 3 },
    guarantee,
    qos: guarantee === "at-most-once" ? 0 : 1,
    issuedTs: now,
    expiresTs: now + 600_000,
    ...changes,
  };
}

export async function issue(log: EventLog, topic: string, commands: readonly Command[]): Promise<void> {
  await issueValues(
    log,
    topic,
    commands.map((command) => ({ key: deviceKey(command.tenant, command.deviceId), value: JSON.stringify(command) })),
  );
}

export async function issueValues(log: EventLog, topic: string, records: readonly { key: string; value: string }[]): Promise<void> {
  const writer = log.plainWriter({});
  const sent = records.map(
    ({ key, value }) =>
      new Promise<void>((resolve, reject) => {
        const bytes = Buffer.from(key);
        const partition = partitionForKey(bytes, 0, bytes.length, LANES);
        writer.send({ topic, partition }, bytes, Buffer.from(value), undefined, Date.now(), (error) => (error ? reject(error) : resolve()));
      }),
  );
  await writer.flush();
  await Promise.all(sent);
  await writer.close();
}

/** Every status of a topic so far, by command, in order. */
export async function readStatuses(log: EventLog, topic: string): Promise<Map<string, CommandStatus[]>> {
  const found = new Map<string, CommandStatus[]>();
  const partitions = Array.from({ length: LANES }, (_, partition) => ({ topic, partition }));
  const starts = await log.admin.listOffsets(partitions, "earliest", "read_committed");
  const ends = await log.admin.listOffsets(partitions, "latest", "read_committed");
  const left = new Map(
    ends.filter(({ offset, partition }) => offset > starts[partition].offset).map(({ partition, offset }) => [partition, offset]),
  );
  const reader = log.reader({ isolation: "read_committed" });
  reader.assign(starts);
  while (left.size > 0) {
    for (const { partition, records, nextOffset } of await reader.poll(1000)) {
      for (let i = 0; i < records.count; i++) {
        const status = JSON.parse(records.value(i)?.toString() ?? "") as CommandStatus;
        found.set(commandKey(status), [...(found.get(commandKey(status)) ?? []), status]);
      }
      if (nextOffset >= (left.get(partition) ?? 0)) left.delete(partition);
    }
  }
  await reader.close();
  return found;
}
