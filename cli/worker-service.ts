import type { FastifyInstance } from "fastify";
import type { Logger } from "pino";
import { collectDefaultMetrics, Registry } from "prom-client";
import { buildApi, startApi } from "../api/server.ts";
import type { EventLog } from "../eventlog/port.ts";
import { Worker } from "../runtime/worker.ts";
import { watchCertificates } from "./certificate-watch.ts";
import { openCommandGate } from "./command-gate.ts";
import type { Config } from "./config/schema.ts";
import { limitHeapGrowth } from "./heap-growth.ts";
import { httpTokens } from "./http-tokens.ts";
import { prepareJob } from "./job.ts";
import { kafkaTls } from "./open-kafka.ts";
import { openPresenceGate } from "./presence-gate.ts";
import { avroRecordText } from "./record-text.ts";
import type { Closers } from "./service.ts";
import { openShadowGate } from "./shadow-gate.ts";
import { version } from "./version.ts";

export interface WorkerService {
  readonly worker: Worker;
  /** Where the HTTP API listens. */
  readonly url: string;
}

/** A worker of the IoT job with its HTTP API. The API is up first: its address is what the worker tells the group. */
export async function startWorkerService(config: Config, log: EventLog, logger: Logger, closers: Closers): Promise<WorkerService> {
  limitHeapGrowth(config);
  const tokens = httpTokens(config, logger);
  const registry = new Registry();
  collectDefaultMetrics({ register: registry });
  watchCertificates({ "kafka-client": kafkaTls(config) }, registry, logger, closers);
  const { topology, serdes } = await prepareJob(config);
  let advertisedUrl = config.http.advertised;
  const worker = new Worker({
    applicationId: config.applicationId,
    instanceId: config.instanceId,
    rack: config.rack,
    topology,
    log,
    state: config.state,
    processing: config.processing,
    handlers: config.processing,
    sessionTimeoutMs: config.kafka.sessionTimeoutMs,
    deadLetterTopic: config.topics.dlq,
    maxDeadLetterBytes: config.validation.maxValueBytes,
    get advertisedUrl() {
      return advertisedUrl;
    },
    logger,
    registry,
  });
  closers.push("worker", () => worker.stop());
  const commands = await openCommandGate(config, log, logger, closers);
  const shadow = openShadowGate(config, log, closers);
  const presence = openPresenceGate(config, log, logger, closers);
  const app: FastifyInstance = buildApi({
    commands,
    shadow,
    presence,
    queries: worker.queries,
    feed: worker.feed,
    registry,
    topics: config.topics,
    ...tokens,
    advertised: config.http.advertised,
    ready: () => worker.state === "RUNNING",
    logger,
    version: version(),
    recordText: config.schemaRegistry?.output === "avro" ? avroRecordText(config.topics, serdes.output) : undefined,
  });
  closers.push("http", () => app.close());
  const url = await startApi(app, config.http);
  advertisedUrl ??= url;
  logger.info({ url }, "HTTP API listens");
  await worker.start();
  return { worker, url };
}
