/**
 * What a gateway takes while its uplink is down, and how fast it catches up: messages a second and a CPU second of its process, time to
 * the acknowledgement, peak memory. Devices in this process (MQTT 5, QoS 1), the gateway one of its own, a real Mosquitto upstream.
 *
 *   npm run bench:gateway -- --messages 200000 --devices 50 --window 50      (needs mosquitto; a minute)
 */
import { parseArgs } from "node:util";
import { connectAsync, type MqttClient } from "mqtt";
import { CleanupList } from "../test/support/cleanup.ts";
import { freePorts } from "../test/support/free-port.ts";
import { startMosquitto } from "../test/support/mosquitto.ts";
import { spawnCli } from "../test/support/spawn-cli.ts";
import { tempDir } from "../test/support/temp-dir.ts";
import { waitFor } from "../test/support/wait-for.ts";
import { conditions } from "./conditions.ts";
import { percentiles } from "./percentiles.ts";
import { cpuSeconds, peakRssMiB } from "./process-usage.ts";
import { report } from "./report.ts";

const CATCH_UP_DEADLINE_MS = 300_000;

interface Result {
  readonly fsync: boolean;
  readonly phase: string;
  readonly perSecond: number;
  readonly perCpuSecond: number;
  readonly ackP50Ms?: number;
  readonly ackP99Ms?: number;
  readonly peakRssMiB: number;
}

/** Each device keeps `window` messages under way. Returns the times to the acknowledgement. ms. */
async function publish(devices: readonly MqttClient[], messages: number, window: number): Promise<number[]> {
  const times: number[] = [];
  let sent = 0;
  const next = async (device: MqttClient, id: number): Promise<void> => {
    while (sent < messages) {
      const seq = sent++;
      const payload = JSON.stringify({ deviceId: `d${id}`, bootId: "b1", seq, ts: 1767225600000 + seq, tempC: 21.37, rpm: 1203 });
      const began = performance.now();
      await device.publishAsync(`t/demo/d/d${id}/telemetry`, payload, { qos: 1 });
      times.push(performance.now() - began);
    }
  };
  await Promise.all(devices.flatMap((device, id) => Array.from({ length: window }, () => next(device, id))));
  return times;
}

async function run(fsync: boolean, messages: number, count: number, window: number): Promise<Result[]> {
  const cleanup = new CleanupList();
  try {
    const [port, httpPort, upstreamPort] = await freePorts(3);
    const config = {
      mqtt: { url: `mqtt://127.0.0.1:${upstreamPort}` },
      gateway: {
        listen: { port, anonymous: true },
        store: { dir: tempDir(cleanup, "bench-gateway"), fsync },
        uplink: { to: "mqtt", maxBackOffMs: 500 },
        http: { port: httpPort },
      },
    };
    const gateway = await spawnCli(cleanup, ["gateway"], { config });
    const { pid } = gateway;
    await gateway.waitForOutput(/gateway takes telemetry/);
    const devices = await Promise.all(
      Array.from({ length: count }, () => connectAsync(`mqtt://127.0.0.1:${port}`, { protocolVersion: 5, timerVariant: "native" })),
    );
    const results: Result[] = [];
    const measured = async (phase: string, work: () => Promise<number[]>): Promise<void> => {
      const [began, cpu] = [performance.now(), cpuSeconds(pid)];
      const times = await work();
      results.push({
        fsync,
        phase,
        perSecond: Math.round((messages * 1000) / (performance.now() - began)),
        perCpuSecond: Math.round(messages / (cpuSeconds(pid) - cpu)),
        ...percentiles(times, { ackP50Ms: 0.5, ackP99Ms: 0.99 }),
        peakRssMiB: peakRssMiB(pid),
      });
    };
    await measured("uplink down: taken", () => publish(devices, messages, window));
    await Promise.all(devices.map((device) => device.endAsync()));
    await measured("uplink back: forwarded", async () => {
      await startMosquitto(cleanup, { port: upstreamPort });
      const left = async (): Promise<string> => (await fetch(`http://127.0.0.1:${httpPort}/metrics`)).text();
      await waitFor("everything is forwarded", async () => /^sluice_gateway_store_messages 0$/m.test(await left()), {
        deadlineMs: CATCH_UP_DEADLINE_MS,
        intervalMs: 100,
      });
      return [];
    });
    return results;
  } finally {
    await cleanup.run();
  }
}

const { values } = parseArgs({
  options: {
    messages: { type: "string", default: "200000" },
    devices: { type: "string", default: "50" },
    window: { type: "string", default: "50" },
  },
});
const [messages, devices, window] = [Number(values.messages), Number(values.devices), Number(values.window)];
const results = [...(await run(true, messages, devices, window)), ...(await run(false, messages, devices, window))];
report.table(results);
report.log(JSON.stringify({ bench: "gateway", ...conditions({ messages, devices, window }), results }));
