import { join } from "node:path";
import type { Logger } from "pino";
import { Registry } from "prom-client";
import { startEmbeddedBroker } from "../../bridge/embedded-broker.ts";
import { Ingress } from "../../bridge/ingress.ts";
import { EmbeddedLog } from "../../eventlog/embedded/embedded-log.ts";
import type { EventLog } from "../../eventlog/port.ts";
import { commandContext, type CommonOptions } from "../command-options.ts";
import { startCommandService } from "../command-service.ts";
import { ingressFor } from "../ingress-topics.ts";
import type { Config } from "../config/schema.ts";
import { DEMO_DEFAULTS } from "../demo/demo-defaults.ts";
import { fleetEvents, machineEvents } from "../demo/demo-devices.ts";
import { pickPort } from "../demo/pick-port.ts";
import { mqttSettings } from "../mqtt-settings.ts";
import { openKafka } from "../open-kafka.ts";
import type { Output } from "../output.ts";
import { runService, type Closers } from "../service.ts";
import { startShadowService } from "../shadow-service.ts";
import { openMqttSink } from "../simulate/mqtt-sink.ts";
import { publishEvents } from "../simulate/publisher.ts";
import type { SimulatedEvent } from "../simulate/simulated-event.ts";
import { requireTopics } from "../topics/require-topics.ts";
import { wantedTopics } from "../topics/wanted-topics.ts";
import { startWorkerService } from "../worker-service.ts";

const LOOPBACK = "127.0.0.1";
const DEFAULT_MQTT_PORT = 1883;

/** `sluice demo`: broker, log, devices, ingress, worker and dashboard in this process, until it is told to stop. */
export async function run(options: CommonOptions): Promise<number> {
  const { config, logger, output } = commandContext(options, { quietLevel: "warn", defaults: DEMO_DEFAULTS });
  return runService(
    async (closers) => {
      const log = await openLog(config, logger, closers);
      await log.admin.createTopics(wantedTopics(config));
      await requireTopics(log.admin, config);
      const http = { ...config.http, port: await pickPort(config.http.host, config.http.port) };
      const { worker, url } = await startWorkerService({ ...config, http }, log, logger, closers);
      const mqttUrl = await startMqtt(config, log, logger, closers);
      const sending = await startDevices(mqttUrl, closers);
      announce(output, config, { dashboard: url, mqtt: mqttUrl });
      return { finished: Promise.race([worker.finished, ...sending]) };
    },
    { logger },
  );
}

async function openLog(config: Config, logger: Logger, closers: Closers): Promise<EventLog> {
  const log =
    config.kafka.brokers === undefined ? await EmbeddedLog.open({ dir: embeddedLogDir(config), logger }) : openKafka(config, logger);
  closers.push("log", () => log.close());
  return log;
}

/** Beside the workers' state: `sluice demo` keeps everything in one folder. */
function embeddedLogDir(config: Config): string {
  return join(config.state.dir, "log");
}

async function startMqtt(config: Config, log: EventLog, logger: Logger, closers: Closers): Promise<string> {
  const broker = await startEmbeddedBroker({ host: LOOPBACK, port: await pickPort(LOOPBACK, mqttPort(config)) });
  closers.push("broker", () => broker.close());
  // The embedded broker knows MQTT 3.1.1 only.
  const mqtt = { ...mqttSettings(config, logger), url: broker.url, protocolVersion: 4 as const };
  const { validation, presence } = config;
  const ingress = new Ingress({ ...ingressFor(config, mqtt), log, validation, presence, ingressId: mqtt.clientId, logger });
  closers.push("ingress", () => ingress.stop());
  await ingress.start();
  await startCommandService(config, mqtt, log, new Registry(), logger, closers, undefined);
  await startShadowService(config, mqtt, log, new Registry(), logger, closers, undefined);
  return broker.url;
}

/** The demo's broker is its own; of `mqtt.url` it takes the port. */
function mqttPort(config: Config): number {
  return Number(new URL(config.mqtt.url).port || DEFAULT_MQTT_PORT);
}

/** Starts the fleet and the machine; each promise ends when its devices are told to stop. */
async function startDevices(url: string, closers: Closers): Promise<Promise<unknown>[]> {
  const now = Date.now();
  const run = now.toString(36);
  const ending = new AbortController();
  const sink = await openMqttSink({ url, qos: 1 });
  const send = (events: Iterable<SimulatedEvent>) => publishEvents(events, sink, { paced: true, signal: ending.signal });
  const sending = [send(fleetEvents(now, run)), send(machineEvents(now, run))];
  closers.push("devices", async () => {
    ending.abort();
    await Promise.allSettled(sending);
    await sink.close();
  });
  return sending;
}

function announce(output: Output, config: Config, { dashboard, mqtt }: { dashboard: string; mqtt: string }): void {
  const log = config.kafka.brokers === undefined ? `embedded, in ${embeddedLogDir(config)}` : `Kafka at ${config.kafka.brokers.join(", ")}`;
  const api = `${dashboard}/v1/tenants/demo/devices`;
  const wantedPorts = { HTTP: [config.http.port, dashboard], MQTT: [mqttPort(config), mqtt] } as const;
  const moved = Object.entries(wantedPorts)
    .filter(([, [wanted, url]]) => wanted !== 0 && new URL(url).port !== String(wanted))
    .map(([name, [wanted]]) => `  (${name} port ${wanted} is taken by something else)`);
  const text = [
    "Sluice demo is running. Ctrl+C stops it.",
    `  dashboard  ${dashboard}`,
    `  HTTP API   ${api}  (all of it: ${dashboard}/openapi.json)`,
    `  MQTT       ${mqtt}  (publish to t/demo/d/<device>/telemetry)`,
    `  log        ${log}`,
    ...moved,
  ];
  output.result(text.join("\n"), { event: "running", dashboard, api, mqtt, log });
}
