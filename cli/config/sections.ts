/** The configuration's sections that are not the IoT job's (those are in processors/settings.ts). Source: shared design, section 8. */
import { z } from "zod";
import { COMMAND_BOUNDS } from "../../bridge/commands/command-settings.ts";
import { scaleOutProblem } from "../../bridge/scale-out/settings.ts";
import { DEFAULT_FILTERS } from "../../bridge/topic-templates.ts";
import { brokerGatewaysSchema } from "./broker-gateways.ts";
import { COMMAND_TOPICS, MAX_COMMAND_LIFE_MS } from "../../processors/formats/commands.ts";
import { plainName, processingSchema, schemaRegistrySchema, topicName } from "../../processors/settings.ts";

/** Group, internal topics and transactional ids are named after it: room for suffixes. */
const applicationName = plainName(100);

const hostAndPort = z.string().regex(/^(\[[^\]]+\]|[^:[\]]+):\d{1,5}$/, "must be host:port");
const filePath = z.string().min(1);

export const applicationIdSchema = applicationName.default("sluice");
/** Set: static membership and a stable transactional id; must differ between workers. */
export const instanceIdSchema = applicationName.optional();

/** Where the worker stands, e.g. an availability zone. */
export const rackSchema = z.string().min(1).max(255).optional();

const tlsFiles = { caFile: filePath.optional(), certFile: filePath.optional(), keyFile: filePath.optional() };

/** Name and password, or for oauthbearer a token from a file or from a server. */
const saslSchema = z
  .strictObject({
    mechanism: z.enum(["plain", "scram-sha-256", "scram-sha-512", "oauthbearer"]),
    username: z.string().min(1).optional(),
    password: z.string().optional(),
    passwordFile: filePath.optional(),
    /** Holds a bearer token; whoever renews it replaces the file. */
    tokenFile: filePath.optional(),
    /** OAuth 2.0 client credentials (RFC 6749, 4.4): where tokens are asked for. */
    tokenUrl: z.url({ protocol: /^https?$/ }).optional(),
    clientId: z.string().min(1).optional(),
    clientSecret: z.string().optional(),
    clientSecretFile: filePath.optional(),
    scope: z.string().min(1).optional(),
  })
  .superRefine(({ mechanism, username, tokenFile, tokenUrl, clientId }, context) => {
    const wrong = (key: string, message: string): void => context.addIssue({ code: "custom", path: [key], message });
    if (mechanism !== "oauthbearer") {
      if (username === undefined) wrong("username", "is missing");
    } else if ((tokenFile === undefined) === (tokenUrl === undefined)) wrong("tokenFile", "or tokenUrl must be set, and one of them only");
    else if (tokenUrl !== undefined && clientId === undefined) wrong("clientId", "is missing");
  });

export const kafkaSchema = z
  .strictObject({
    /** Absent: localhost:9092, but the embedded log in `demo`. */
    brokers: z.array(hostAndPort).min(1).optional(),
    /** Below the broker's group.min.session.timeout.ms (6 s by default) joining fails. */
    sessionTimeoutMs: z.int().min(1000).max(300_000).default(10_000),
    /** A broker that says nothing for so long is given up: what a half-open connection costs. */
    requestTimeoutMs: z.int().min(1000).max(300_000).default(30_000),
    ssl: z.strictObject({ enabled: z.boolean().default(true), ...tlsFiles }).optional(),
    sasl: saslSchema.optional(),
  })
  .prefault({});

const topicFilter = z.string().min(1).max(65_535);

/** What goes with what: bridge/scale-out/settings.ts. */
const scaleOutSchema = z
  .strictObject({
    mode: z.enum(["shared", "hash", "filters"]),
    slots: z.int().min(1).max(256).optional(),
    filters: z.array(z.array(topicFilter).min(1).max(1_000)).min(1).max(256).optional(),
    replica: z.int().min(0).max(255).optional(),
    replicas: z.int().min(1).max(256).optional(),
  })
  .superRefine((settings, context) => {
    const problem = scaleOutProblem(settings);
    if (problem !== undefined) context.addIssue({ code: "custom", path: [problem.key], message: problem.rule });
  });

export const mqttSchema = z
  .strictObject({
    url: z
      .string()
      .regex(/^(mqtts?|wss?):\/\/./, "must start with mqtt://, mqtts://, ws:// or wss://")
      .default("mqtt://localhost:1883"),
    /** Stable and different per ingress: the broker keeps the session under it. */
    clientId: z.string().min(1).max(256).default("sluice-ingress"),
    /** Left at this: what admission.templates cover (cli/mqtt-settings.ts). */
    topics: z
      .array(z.string().min(1))
      .min(1)
      .default([...DEFAULT_FILTERS]),
    qos: z.union([z.literal(0), z.literal(1), z.literal(2)]).default(1),
    protocolVersion: z.union([z.literal(4), z.literal(5)]).default(5),
    username: z.string().optional(),
    password: z.string().optional(),
    passwordFile: filePath.optional(),
    tls: z.strictObject(tlsFiles).optional(),
    gateways: brokerGatewaysSchema,
    keepaliveS: z.int().min(1).max(65_535).default(30),
    sessionExpiryS: z.int().nonnegative().max(4_294_967_295).default(604_800),
    /** Messages and bytes not yet acknowledged to the broker. */
    windowMessages: z.int().min(1).max(65_535).default(2_000),
    windowBytes: z.int().min(65_536).default(8_388_608),
    /** Present: the receive time of gateways in front of the broker is a record's, within a bound. docs/edge.md */
    trustGatewayTime: z.strictObject({ maxAgeMs: z.int().min(1_000).default(259_200_000) }).optional(),
    /** Absent: this ingress is the only one. docs/scale-out.md */
    scaleOut: scaleOutSchema.optional(),
  })
  .superRefine(({ username, clientId, gateways }, context) => {
    const at = gateways.findIndex(({ user }) => user === (username ?? clientId));
    if (at !== -1) context.addIssue({ code: "custom", path: ["gateways", at, "user"], message: "is Sluice's own name at the broker" });
  })
  .prefault({});

export const stateSchema = z
  .strictObject({
    dir: filePath.default("./data"),
    engine: z.enum(["level", "rocksdb", "memory"]).default("level"),
    /** Decoded rows kept in memory, per worker. */
    cacheMiB: z.int().min(1).max(65_536).default(64),
  })
  .prefault({});

/** What happens to a record that cannot be read, processed or written: left out and counted, a dead letter, or the worker fails. */
const errorAction = z.enum(["continue", "dead-letter", "fail"]).default("dead-letter");

/** More cores than a host has. */
const MAX_WORKERS = 256;

export const fullProcessingSchema = z
  .strictObject({
    ...processingSchema.unwrap().shape,
    guarantee: z.enum(["exactly-once", "at-least-once"]).default("exactly-once"),
    /** Under load; with little to do a commit comes sooner. */
    commitIntervalMs: z.int().min(1).max(60_000).default(100),
    /** Of `sluice worker`: processes that one command starts; auto: one for each core. */
    workers: z
      .union([z.literal("auto"), z.int().min(1).max(MAX_WORKERS)], { error: `must be auto or a number from 1 to ${MAX_WORKERS}` })
      .default(1),
    /** Ceiling of the memory of one command's workers together; absent: 576 and four times state.cacheMiB for each. */
    memoryMiB: z.int().min(256).max(1_048_576).optional(),
    onDecodeError: errorAction,
    onProcessingError: errorAction,
    onProductionError: errorAction,
    /** When Kafka does not have the next record any more. */
    offsetReset: z.enum(["earliest", "latest", "fail"]).default("earliest"),
    /** Copies of each task's state on other workers; they take over without a restore. */
    standbyReplicas: z.int().min(0).max(10).default(0),
    /** Changelog records that the new worker of a task may have to replay before it goes on; with more, it warms up first. */
    acceptableRecoveryLag: z.int().min(0).default(100_000),
  })
  .prefault({});

export const fullSchemaRegistrySchema = schemaRegistrySchema.unwrap().extend({ passwordFile: filePath.optional() }).optional();

/** Characters: what can be guessed by trying is no token. */
export const MIN_TOKEN_LENGTH = 16;

export const httpSchema = z
  .strictObject({
    host: z.string().min(1).default("127.0.0.1"),
    /** 0: any free port. */
    port: z.int().min(0).max(65_535).default(8080),
    /** The URL other workers and people reach this worker under. */
    advertised: z.url({ protocol: /^https?$/ }).optional(),
    token: z.string().min(MIN_TOKEN_LENGTH).optional(),
    tokenFile: filePath.optional(),
    /** Tokens with tenants and permissions (cli/config/tokens-file.ts). */
    tokensFile: filePath.optional(),
  })
  .prefault({});

export const ingressSchema = z
  .strictObject({
    /** Health and metrics of the ingress; absent: none. Its metrics ask for the tokens of `http`, if there are any. */
    http: z.strictObject({ host: z.string().min(1).default("127.0.0.1"), port: z.int().min(0).max(65_535).default(8081) }).optional(),
    /** The webhook that brokers ask who may use which topic, on ingress.http. */
    auth: z
      .strictObject({
        secret: z.string().min(16).optional(),
        secretFile: filePath.optional(),
        /** The broker's names of Sluice itself. */
        serviceUsers: z.array(z.string().min(1)).default([]),
        maxPerSecond: z.int().min(1).max(1_000_000).default(5_000),
      })
      .optional(),
  })
  .prefault({});

/** Commands to devices: taken by the workers' HTTP API and by `sluice command`, carried out beside the ingress. */
export const commandsSchema = z
  .strictObject({
    enabled: z.boolean().default(false),
    topic: topicName.default(COMMAND_TOPICS.commands),
    statusTopic: topicName.default(COMMAND_TOPICS.status),
    ackTopic: topicName.default(COMMAND_TOPICS.acks),
    /** `envelope`: JSON with id, expiry and where to answer. `raw`: the payload alone, the rest in MQTT 5 properties. */
    format: z.enum(["envelope", "raw"]).default("envelope"),
    /** How long a command is good for when its sender does not say. */
    expiresInMs: z.int().min(1_000).max(MAX_COMMAND_LIFE_MS).default(3_600_000),
    deviceWindow: z.int().min(1).max(1_000).default(COMMAND_BOUNDS.deviceWindow),
    /** How long a sent at-most-once command has a place in the window without an answer. */
    answerWaitMs: z.int().min(100).max(MAX_COMMAND_LIFE_MS).default(COMMAND_BOUNDS.answerWaitMs),
    deviceQueue: z.int().min(1).max(100_000).default(COMMAND_BOUNDS.deviceQueue),
    maxOpen: z.int().min(1).default(COMMAND_BOUNDS.maxOpen),
    maxAttempts: z.int().min(1).max(10_000).default(COMMAND_BOUNDS.maxAttempts),
    retryMinMs: z.int().min(10).default(COMMAND_BOUNDS.retryMinMs),
    retryMaxMs: z.int().min(10).default(COMMAND_BOUNDS.retryMaxMs),
    ackRetryMinMs: z.int().min(10).default(COMMAND_BOUNDS.ackRetryMinMs),
    ackRetryMaxMs: z.int().min(10).default(COMMAND_BOUNDS.ackRetryMaxMs),
  })
  .superRefine((commands, context) => {
    for (const pause of ["retry", "ackRetry"] as const) {
      if (commands[`${pause}MaxMs`] < commands[`${pause}MinMs`])
        context.addIssue({ code: "custom", path: [`${pause}MaxMs`], message: `must not be below commands.${pause}MinMs` });
    }
  })
  .prefault({});

export const topicDefaultsSchema = z
  .strictObject({
    /** Absent: 8 for topics that are made, and any number for topics that are there. */
    partitions: z.int().min(1).max(1000).optional(),
    /** Absent: the broker's default. */
    replicationFactor: z.int().min(1).max(32).optional(),
    minInsyncReplicas: z.int().min(1).max(32).optional(),
    /** Of all topics but the compacted ones. Absent: 7 days for topics that are made, and any for topics that are there. */
    retentionMs: z.int().min(-1).optional(),
  })
  .prefault({});

export const logSchema = z
  .strictObject({
    /** Absent: info for services, warn for commands that talk to people. */
    level: z.enum(["trace", "debug", "info", "warn", "error", "silent"]).optional(),
  })
  .prefault({});
