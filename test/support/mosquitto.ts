import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { join } from "node:path";
import type { Cleanup } from "./cleanup.ts";
import { spawnGuarded, type GuardedChild } from "./child-process.ts";
import { freePort } from "./free-port.ts";
import { tempDir } from "./temp-dir.ts";
import { waitFor } from "./wait-for.ts";

const START_DEADLINE_MS = 10_000;

export interface MosquittoOptions {
  readonly port?: number;
  /** Sessions and queued messages survive a restart (written every second and on changes). Default true. */
  readonly persistence?: boolean;
  /** QoS 1/2 messages in flight to one client. Default 1000. */
  readonly maxInflight?: number;
  /** Lines added to mosquitto.conf. */
  readonly config?: readonly string[];
}

export interface Mosquitto {
  readonly url: string;
  readonly port: number;
  readonly pid: number;
  log(): string;
  /** SIGTERM: writes what persistence holds. */
  stop(): Promise<void>;
  /** SIGKILL: loses what persistence has not written yet. */
  kill(): Promise<void>;
  /** SIGSTOP: it neither answers nor refuses. */
  freeze(): void;
  thaw(): void;
  /** Starts again on the same port and data. */
  restart(): Promise<void>;
}

/**
 * Mosquitto on 127.0.0.1, anonymous. Its queue per client is made long: by default it drops silently behind 1000 messages
 * (facts/mqtt.md), and a test must not lose what it counts.
 */
export async function startMosquitto(t: Cleanup, options: MosquittoOptions = {}): Promise<Mosquitto> {
  const dir = tempDir(t, "mosquitto");
  const port = options.port ?? (await freePort());
  const configFile = join(dir, "mosquitto.conf");
  const logFile = join(dir, "mosquitto.log");
  mkdirSync(join(dir, "data"));
  writeFileSync(configFile, configuration(dir, port, options));
  let child: GuardedChild | undefined;

  const restart = async () => {
    if (child?.running() === true) return;
    const started = await spawnGuarded("mosquitto", ["-c", configFile], { logFile, env: { PATH: `${process.env.PATH ?? ""}:/usr/sbin` } });
    child = started;
    await waitFor(
      `Mosquitto listens on ${port}`,
      () => {
        if (!started.running()) throw new Error(`Mosquitto ended: ${readFileSync(logFile, "utf8").slice(-2000)}`);
        return accepts(port);
      },
      { deadlineMs: START_DEADLINE_MS },
    );
  };
  const signal = (name: NodeJS.Signals) => {
    if (child?.running() === true) process.kill(child.pid, name);
  };
  const stop = async () => {
    signal("SIGCONT");
    await child?.stop();
  };
  t.after(stop);
  await restart();
  return {
    url: `mqtt://127.0.0.1:${port}`,
    port,
    get pid() {
      return child?.pid ?? 0;
    },
    log: () => readFileSync(logFile, "utf8"),
    stop,
    async kill() {
      await child?.kill("SIGKILL");
    },
    freeze: () => {
      signal("SIGSTOP");
    },
    thaw: () => {
      signal("SIGCONT");
    },
    restart,
  };
}

function configuration(dir: string, port: number, options: MosquittoOptions): string {
  const lines = [
    `listener ${port} 127.0.0.1`,
    "allow_anonymous true",
    "max_queued_messages 5000000",
    "max_queued_bytes 0",
    `max_inflight_messages ${options.maxInflight ?? 1000}`,
    "sys_interval 1",
    "log_dest stderr",
    // Started as root it would otherwise become the user mosquitto, who may not write to the temporary folder.
    ...(process.getuid?.() === 0 ? ["user root"] : []),
    ...(options.persistence === false
      ? ["persistence false"]
      : ["persistence true", `persistence_location ${join(dir, "data")}/`, "autosave_interval 1"]),
    ...(options.config ?? []),
  ];
  return `${lines.join("\n")}\n`;
}

function accepts(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, "127.0.0.1");
    socket.once("connect", () => {
      socket.destroy();
      resolve(true);
    });
    socket.once("error", () => {
      resolve(false);
    });
  });
}
