import { readFileSync } from "node:fs";
import { setTimeout as delay } from "node:timers/promises";
import { connect, type MqttClient } from "mqtt";
import type { IConnackPacket } from "mqtt-packet";
import type { MqttSettings } from "../../bridge/ingress-settings.ts";
import type { Check, Finding } from "./finding.ts";

type Found = Omit<Finding, "check">;

/** `$SYS` values are retained: they come at once, or the broker gives none. ms. */
const SYS_WAIT_MS = 1_000;
const CONNECT_TIMEOUT_MS = 8_000;
/** Below these Mosquitto is too small for a fleet: its own default of 1,000 lost half of 2,000 messages while a bridge was away. */
const MIN_QUEUED_MESSAGES = 100_000;
const MIN_INFLIGHT_MESSAGES = 100;
const DROPPED = "$SYS/broker/publish/messages/dropped";
const VERSION = "$SYS/broker/version";

/** @param brokerConf Mosquitto's configuration file, where this machine can read it */
export function mqttChecks(settings: MqttSettings, brokerConf: string | undefined): Check[] {
  const checks: Check[] = [{ name: "mqtt.broker", run: () => broker(settings) }];
  checks.push({
    name: "mqtt.queue-limits",
    run: async () => (brokerConf === undefined ? [UNSEEN_LIMITS] : confFindings(readFileSync(brokerConf, "utf8"))),
  });
  return checks;
}

const UNSEEN_LIMITS: Found = {
  severity: "unseen",
  seen: "max_queued_messages: no broker tells it over MQTT, and Mosquitto drops silently what goes over it",
  mend: "run doctor where mosquitto.conf is, with --mosquitto-conf <file>; deploy/mosquitto.conf shows good values",
};

/** What a mosquitto.conf says; the last of a key counts, as in Mosquitto. */
export function confFindings(text: string): Found[] {
  const settings = new Map(
    text.split("\n").flatMap((line): [string, number][] => {
      const match = /^\s*(max_queued_messages|max_queued_bytes|max_inflight_messages)\s+(\d+)\s*$/.exec(line);
      return match === null ? [] : [[match[1], Number(match[2])]];
    }),
  );
  const queued = settings.get("max_queued_messages") ?? 1_000;
  const inflight = settings.get("max_inflight_messages") ?? 20;
  const bytes = settings.get("max_queued_bytes") ?? 0;
  const found: Found[] = [];
  // 0 is no limit; 2.0.16 takes it for none at all
  if (queued > 0 && queued < MIN_QUEUED_MESSAGES)
    found.push({
      severity: "error",
      seen: `max_queued_messages is ${queued}: what comes while the ingress is away is dropped behind that`,
      mend: "set it to millions, with max_queued_bytes as the limit",
    });
  if (inflight > 0 && inflight < MIN_INFLIGHT_MESSAGES)
    found.push({
      severity: "warning",
      seen: `max_inflight_messages is ${inflight}: the ingress is sent no more at a time`,
      mend: "set it to 1000 or more",
    });
  if (bytes === 0 && (queued === 0 || queued >= MIN_QUEUED_MESSAGES))
    found.push({
      severity: "warning",
      seen: "max_queued_bytes is not set: a queue may take all the broker's memory",
      mend: "set it to what its memory allows",
    });
  return found.length > 0
    ? found
    : [{ severity: "ok", seen: `max_queued_messages ${queued}, max_queued_bytes ${bytes}, max_inflight_messages ${inflight}` }];
}

async function broker(settings: MqttSettings): Promise<Found[]> {
  const { url, username, password, refresh, protocolVersion } = settings;
  const address = URL.parse(url)?.host ?? "";
  // an id of its own: the ingress's would take its session over
  const client = connect(url, {
    clientId: `${settings.clientId}-doctor-${process.pid}`,
    protocolVersion,
    username,
    password,
    ...refresh?.current(),
    clean: true,
    reconnectPeriod: 0,
    connectTimeout: CONNECT_TIMEOUT_MS,
  });
  try {
    const connack = await connected(client);
    const values = await readSys(client);
    return brokerFindings(address, connack, values);
  } finally {
    await client.endAsync(true);
  }
}

function connected(client: MqttClient): Promise<IConnackPacket> {
  return new Promise((resolve, reject) => {
    client.once("connect", resolve);
    client.once("error", reject);
    client.once("close", () => reject(new Error("the broker closed the connection")));
  });
}

async function readSys(client: MqttClient): Promise<Map<string, string>> {
  const values = new Map<string, string>();
  client.on("message", (topic, payload) => values.set(topic, payload.toString()));
  const granted = await client.subscribeAsync([DROPPED, VERSION]).catch(() => []); // not allowed: then nothing is seen
  const deadline = performance.now() + SYS_WAIT_MS;
  while (granted.length > 0 && values.size < 2 && performance.now() < deadline) await delay(20);
  return values;
}

export function brokerFindings(address: string, connack: Pick<IConnackPacket, "properties">, values: ReadonlyMap<string, string>): Found[] {
  const found: Found[] = [{ severity: "ok", seen: `${address} answers${values.has(VERSION) ? ` (${values.get(VERSION) ?? ""})` : ""}` }];
  const dropped = values.get(DROPPED);
  if (dropped === undefined)
    found.push({
      severity: "unseen",
      seen: "messages dropped by the broker: it shows no $SYS/broker, or not to this user",
      mend: "allow reading $SYS/broker/# (topic read), and watch it",
    });
  else if (Number(dropped) > 0)
    found.push({
      severity: "warning",
      seen: `the broker has dropped ${dropped} messages since its start`,
      mend: "raise max_queued_messages and max_queued_bytes (some may have been for others than the ingress)",
    });
  const inflight = connack.properties?.receiveMaximum;
  if (inflight !== undefined && inflight < MIN_INFLIGHT_MESSAGES)
    found.push({
      severity: "warning",
      seen: `the broker's receive maximum is ${inflight}, in Mosquitto its max_inflight_messages`,
      mend: "set max_inflight_messages to 1000 or more",
    });
  return found;
}
