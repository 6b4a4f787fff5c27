/** The `gateway` section. docs/edge.md explains it. */
import { z } from "zod";
import { plainName } from "../../processors/settings.ts";

const MIB = 1024 * 1024;
const filePath = z.string().min(1);
const port = z.int().min(0).max(65_535);

const listenSchema = z
  .strictObject({
    host: z.string().min(1).default("127.0.0.1"),
    /** 0: any free port. */
    port: port.default(1883),
    tls: z.strictObject({ certFile: filePath, keyFile: filePath, caFile: filePath.optional() }).optional(),
    /** Devices are asked for a certificate, and its CN is their name: `{tenant}/d/{deviceId}`. */
    clientCertificates: z.boolean().default(false),
    /** Names and passwords, as mosquitto_passwd writes them; a name is `{tenant}/d/{deviceId}`. */
    passwordsFile: filePath.optional(),
    /** Whoever brings neither may publish anything. */
    anonymous: z.boolean().default(false),
    maxConnections: z.int().min(1).max(100_000).default(1_000),
    maxPacketBytes: z.int().min(1024).max(268_435_455).default(MIB),
    /** Unacknowledged messages of a connection. */
    window: z.int().min(1).max(65_535).default(100),
  })
  .superRefine(({ tls, clientCertificates }, context) => {
    if (clientCertificates && tls?.caFile === undefined)
      context.addIssue({ code: "custom", path: ["clientCertificates"], message: "needs listen.tls with a caFile" });
  })
  .prefault({});

const storeSchema = z
  .strictObject({
    dir: filePath.default("./data/gateway"),
    maxBytes: z
      .int()
      .min(MIB)
      .default(1024 * MIB),
    /** Three days: below the week for which Kafka keeps telemetry by its receive time. */
    maxAgeMs: z.int().min(1_000).default(259_200_000),
    onFull: z.enum(["refuse", "dropOldest", "dropNewest"]).default("refuse"),
    minFreeBytes: z
      .int()
      .min(0)
      .default(64 * MIB),
    fsync: z.boolean().default(true),
  })
  .prefault({});

const uplinkSchema = z
  .strictObject({
    /** Whose settings are in the section of that name. */
    to: z.enum(["kafka", "mqtt"]).default("kafka"),
    batchBytes: z
      .int()
      .min(1024)
      .max(16 * MIB)
      .default(MIB / 2),
    batchMessages: z.int().min(1).max(100_000).default(2_000),
    maxBytesPerSecond: z.int().min(100).optional(),
    minBackOffMs: z.int().min(10).default(500),
    maxBackOffMs: z.int().min(10).max(3_600_000).default(30_000),
  })
  .prefault({});

const downlinkSchema = z
  .strictObject({
    windowMessages: z.int().min(1).max(1_000).default(200),
    deviceWindow: z.int().min(1).max(1_000).default(16),
    deviceQueue: z.int().min(0).max(10_000).default(64),
    ackTimeoutMs: z.int().min(100).max(600_000).default(10_000),
  })
  .optional();

export const gatewaySchema = z
  .strictObject({
    /** Different for each gateway: it is in every record, and the client id at an upstream broker. */
    id: plainName(100).default("gateway"),
    listen: listenSchema,
    store: storeSchema,
    uplink: uplinkSchema,
    /** Present: devices may read their own topics, and what they read comes from the broker of an MQTT uplink. */
    downlink: downlinkSchema,
    /** Health and metrics; absent: none. */
    http: z.strictObject({ host: z.string().min(1).default("127.0.0.1"), port: port.default(8082) }).optional(),
  })
  .superRefine(({ uplink, downlink }, context) => {
    if (downlink !== undefined && uplink.to !== "mqtt")
      context.addIssue({ code: "custom", path: ["downlink"], message: "needs gateway.uplink.to: mqtt" });
  })
  .prefault({});
