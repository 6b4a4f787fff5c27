import { randomUUID } from "node:crypto";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { BrokerProxy } from "./broker-proxy.ts";
import type { Cleanup } from "./cleanup.ts";
import { spawnGuarded, type GuardedChild } from "./child-process.ts";
import { freePorts } from "./free-port.ts";
import { installKafka, kafkaLibs } from "./kafka-jars.ts";
import { serverProperties, type BrokerPlace } from "./kafka-properties.ts";
import { kafkaAnswers } from "./kafka-ready.ts";
import { runCommand } from "./run-command.ts";
import { tempDir } from "./temp-dir.ts";
import { waitFor } from "./wait-for.ts";

/** A broker answers after about 7 s on two quiet cores; a busy machine takes longer. */
const START_DEADLINE_MS = 90_000;
/** SIGTERM of a lone broker takes 1-3 s. */
const STOP_GRACE_MS = 20_000;

/** bin/kafka-server-start.sh and bin/kafka-run-class.sh of Kafka 4.3. */
const SHIPPED_JVM = [
  "-Xmx1G",
  "-Xms1G",
  "-server",
  "-XX:+UseG1GC",
  "-XX:MaxGCPauseMillis=20",
  "-XX:InitiatingHeapOccupancyPercent=35",
  "-XX:+ExplicitGCInvokesConcurrent",
  "-XX:MaxInlineLevel=15",
  "-Djava.awt.headless=true",
];

export interface KafkaOptions {
  readonly brokers?: 1 | 3;
  /** Broker properties on top of those of kafka-properties.ts. */
  readonly config?: Readonly<Record<string, string>>;
  /** Users made with the storage, as kafka-storage --add-scram takes them. */
  readonly scram?: readonly string[];
  /** -Xmx. Default 512. */
  readonly heapMiB?: number;
  /** The JVM as kafka-server-start.sh has it (1 GiB, G1, pauses of 20 ms aimed at), in place of one for little memory; heapMiB does not count. */
  readonly shippedJvm?: boolean;
  /** Each broker also has a listener behind a proxy (Kafka.proxies). */
  readonly proxied?: boolean;
  /** The cluster does not keep this process alive. */
  readonly background?: boolean;
}

export interface Kafka {
  readonly bootstrap: string[];
  /** As `kafka.brokers` and KAFKA_BROKERS take it. */
  readonly bootstrapServers: string;
  /** One before each broker, when asked for; a client that begins with their addresses meets no broker directly. */
  readonly proxies: readonly BrokerProxy[];
  /** Process ids by node (0-based), to freeze (SIGSTOP), thaw (SIGCONT) or kill. Empty when KAFKA_BROKERS names a broker not started here. */
  readonly pids: readonly number[];
  /** Folder of Kafka's jars, for its own tools: `java -cp <libsDir>/* ...`. */
  readonly libsDir: string;
  /** The broker's own log. */
  log(node?: number): string;
  /** SIGTERM to one node or all. */
  stop(node?: number): Promise<void>;
  /** SIGKILL. Only sensible with three brokers: a lone one may lose a transaction's markers. */
  kill(node: number): Promise<void>;
  /** Starts what is stopped, on the same ports and data, and waits until it answers. */
  restart(): Promise<void>;
}

/** A Kafka cluster of the test's own. With KAFKA_BROKERS set and no wishes in `options`, that one instead. */
export async function startKafka(t: Cleanup, options: KafkaOptions = {}): Promise<Kafka> {
  const given = process.env.KAFKA_BROKERS;
  if (given !== undefined && Object.keys(options).every((wish) => wish === "heapMiB" || wish === "background")) return external(given);
  await installKafka();
  const cluster = await LocalKafka.create(t, options);
  t.after(() => cluster.stop());
  await cluster.restart();
  return cluster;
}

function external(brokers: string): Kafka {
  const refuse = (): Promise<never> => Promise.reject(new Error("KAFKA_BROKERS names a broker that this test did not start"));
  return {
    bootstrap: brokers.split(","),
    bootstrapServers: brokers,
    proxies: [],
    pids: [],
    libsDir: kafkaLibs(),
    log: () => "",
    stop: refuse,
    kill: refuse,
    restart: refuse,
  };
}

class LocalKafka implements Kafka {
  readonly bootstrap: string[];
  readonly bootstrapServers: string;
  readonly libsDir = kafkaLibs();
  readonly proxies: readonly BrokerProxy[];
  readonly #dir: string;
  readonly #places: readonly BrokerPlace[];
  readonly #options: KafkaOptions;
  readonly #children: (GuardedChild | undefined)[] = [];

  static async create(t: Cleanup, options: KafkaOptions): Promise<LocalKafka> {
    const brokers = options.brokers ?? 1;
    const dir = tempDir(t, "kafka");
    const ports = await freePorts(brokers * 3);
    const proxies = options.proxied === true ? await Promise.all(Array.from({ length: brokers }, () => BrokerProxy.start(t))) : [];
    const places = Array.from({ length: brokers }, (_, index) => {
      const proxied = proxies.length === 0 ? undefined : { port: ports[index * 3 + 2], advertisedPort: proxies[index].port };
      if (proxied !== undefined) proxies[index].forwardTo(proxied.port);
      const [port, controllerPort] = ports.slice(index * 3);
      return { nodeId: index + 1, port, controllerPort, dataDir: join(dir, `data-${index}`), proxied };
    });
    const clusterId = Buffer.from(randomUUID().replaceAll("-", ""), "hex").toString("base64url");
    for (const [index, place] of places.entries()) {
      mkdirSync(place.dataDir);
      writeFileSync(join(dir, `server-${index}.properties`), serverProperties(place, places, options.config));
    }
    const cluster = new LocalKafka(dir, places, proxies, options);
    await Promise.all(places.map((_, index) => cluster.#format(index, clusterId)));
    return cluster;
  }

  private constructor(dir: string, places: readonly BrokerPlace[], proxies: readonly BrokerProxy[], options: KafkaOptions) {
    this.#dir = dir;
    this.#places = places;
    this.proxies = proxies;
    this.#options = options;
    this.bootstrap = places.map((place) => `127.0.0.1:${place.port}`);
    this.bootstrapServers = this.bootstrap.join(",");
  }

  get pids(): readonly number[] {
    return this.#children.map((child) => (child?.running() === true ? child.pid : 0));
  }

  log(node = 0): string {
    return readFileSync(join(this.#dir, `broker-${node}.log`), "utf8");
  }

  async stop(node?: number): Promise<void> {
    const children = node === undefined ? this.#children : [this.#children[node]];
    // A frozen broker would not see SIGTERM.
    for (const child of children) if (child?.running() === true) process.kill(child.pid, "SIGCONT");
    await Promise.all(children.filter((child) => child !== undefined).map((child) => child.stop(STOP_GRACE_MS)));
  }

  async kill(node: number): Promise<void> {
    await this.#children[node]?.kill("SIGKILL");
  }

  async restart(): Promise<void> {
    for (const index of this.#places.keys()) {
      if (this.#children[index]?.running() === true) continue;
      this.#children[index] = await this.#start(index);
    }
    await waitFor(
      `Kafka at ${this.bootstrapServers} answers`,
      async () => {
        const dead = this.#children.findIndex((child) => child?.running() !== true);
        if (dead >= 0) throw new Error(`broker ${dead} ended: ${this.log(dead).slice(-2000)}`);
        return kafkaAnswers(this.bootstrap);
      },
      { deadlineMs: START_DEADLINE_MS, intervalMs: 100 },
    );
  }

  #start(index: number): Promise<GuardedChild> {
    const { heapMiB = 512, shippedJvm } = this.#options;
    const jvm = shippedJvm === true ? SHIPPED_JVM : [`-Xmx${heapMiB}m`, "-Xms128m", "-XX:+UseSerialGC", "-Djava.awt.headless=true"];
    return spawnGuarded("java", [...jvm, ...this.#java(), "kafka.Kafka", this.#properties(index)], {
      logFile: join(this.#dir, `broker-${index}.log`),
      background: this.#options.background,
    });
  }

  async #format(index: number, clusterId: string): Promise<void> {
    const args = [
      ...this.#java(),
      "-Xmx128m",
      "-XX:TieredStopAtLevel=1",
      "kafka.tools.StorageTool",
      "format",
      ...(this.#options.scram ?? []).flatMap((user) => ["--add-scram", user]),
      `--cluster-id=${clusterId}`, // one word: an id may begin with "-"
      "-c",
      this.#properties(index),
    ];
    const result = await runCommand("java", args, { timeoutMs: START_DEADLINE_MS });
    if (result.code !== 0) throw new Error(`formatting Kafka's storage failed: ${String(result.stdout)}${result.stderr}`);
  }

  #properties(index: number): string {
    return join(this.#dir, `server-${index}.properties`);
  }

  #java(): string[] {
    return ["-Dorg.slf4j.simpleLogger.defaultLogLevel=warn", "-Dorg.slf4j.simpleLogger.showDateTime=true", "-cp", `${this.libsDir}/*`];
  }
}
