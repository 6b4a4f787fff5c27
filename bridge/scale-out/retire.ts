/** Empties a session that no ingress has any more, e.g. of a slot that is no more, and ends it. */
import { connectAsync, type IClientOptions } from "mqtt";
import { resolveMqttSettings, type ResolvedMqttSettings } from "../ingress-settings.ts";
import { Ingress, type IngressOptions } from "../ingress.ts";
import { isVersionRefused } from "../mqtt-intake.ts";
import { within } from "../within.ts";

/** No message for so long, and none on its way: the session is empty. A broker sends what it has without a pause. */
const QUIET_MS = 5_000;
const CHECK_MS = 100;

export interface Retired {
  readonly messages: number;
  readonly written: number;
}

/**
 * Takes the session `options.mqtt.clientId`, unsubscribes it from `formerTopics`, forwards what waits in it, and ends it. Resolves with
 * what there was. Rejects as Ingress.start() and the MQTT client do, and when `signal` is aborted; the session is there then, with what is left.
 */
export async function retireSession(options: IngressOptions, signal: AbortSignal, quietMs = QUIET_MS): Promise<Retired> {
  const ingress = new Ingress(options);
  try {
    await Promise.race([ingress.start(), aborted(signal)]);
    await quiet(ingress, signal, quietMs);
  } finally {
    await ingress.stop();
  }
  const { received, written } = ingress.stats();
  await endSession(options);
  return { messages: received.reduce((sum, count) => sum + count, 0), written };
}

async function quiet(ingress: Ingress, signal: AbortSignal, quietMs: number): Promise<void> {
  let last = -1;
  let sinceMs = performance.now();
  for (;;) {
    signal.throwIfAborted();
    const { connected, received, inFlight } = ingress.stats();
    const sum = received.reduce((all, count) => all + count, 0);
    if (!connected || inFlight > 0 || sum !== last) {
      last = sum;
      sinceMs = performance.now();
    } else if (performance.now() - sinceMs >= quietMs) return;
    await new Promise((resolve) => setTimeout(resolve, CHECK_MS));
  }
}

/** A clean start ends the session there was, with MQTT 3.1.1 and 5; a broker that refuses 5 is asked with 3.1.1, as the ingress does. */
async function endSession({ mqtt }: IngressOptions): Promise<void> {
  const settings = resolveMqttSettings(mqtt);
  try {
    await cleanStart(settings, settings.protocolVersion);
  } catch (error) {
    if (settings.protocolVersion === 4 || !(error instanceof Error) || !isVersionRefused(error)) throw error;
    await cleanStart(settings, 4);
  }
}

async function cleanStart(settings: ResolvedMqttSettings, protocolVersion: 4 | 5): Promise<void> {
  const { url, clientId, username, password, tls, refresh, connectTimeoutMs, stopTimeoutMs } = settings;
  const options: IClientOptions = {
    clientId,
    protocolVersion,
    clean: true,
    username,
    password,
    ...tls,
    ...refresh?.current(),
    connectTimeout: connectTimeoutMs,
    reconnectPeriod: 0,
  };
  // Not again by itself: a connection that is closed without an answer then rejects.
  const client = await connectAsync(url, options, false);
  if (!(await within(client.endAsync(), stopTimeoutMs))) client.stream.destroy();
}

function aborted(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    const fail = (): void => reject(signal.reason instanceof Error ? signal.reason : new Error(String(signal.reason)));
    if (signal.aborted) fail();
    else signal.addEventListener("abort", fail, { once: true });
  });
}
