/** The IoT job's part of the YAML configuration, with defaults. Source: shared design, section 8. Times are ms. */
import { z } from "zod";
import { DEFAULT_TOPICS } from "./formats/names.ts";
import { SHADOW_BOUNDS, SHADOW_TOPICS } from "./formats/shadow.ts";

/** Kafka's own rule for names: neither a topic level nor a wildcard of MQTT, so no device's name at a broker either. */
export function plainName(maxChars: number) {
  return z
    .string()
    .min(1)
    .max(maxChars)
    .regex(/^[a-zA-Z0-9._-]+$/, 'may only hold letters, digits, ".", "_" and "-"');
}
/** As long as Kafka lets them be. */
export const topicName = plainName(249);
const positiveMs = z.int().positive();
/** Names of rules, metrics and attributes: bounded so that rows and alerts stay small. Characters. */
const name = z.string().min(1).max(128);

export const topicsSchema = z
  .strictObject({
    raw: topicName.default(DEFAULT_TOPICS.raw),
    normalized: topicName.default(DEFAULT_TOPICS.normalized),
    aggregates: topicName.default(DEFAULT_TOPICS.aggregates),
    alerts: topicName.default(DEFAULT_TOPICS.alerts),
    dlq: topicName.default(DEFAULT_TOPICS.dlq),
    deviceState: topicName.default(DEFAULT_TOPICS.deviceState),
  })
  .superRefine((topics, context) => {
    const seen = new Map<string, string>();
    for (const [key, topic] of Object.entries(topics)) {
      const other = seen.get(topic);
      if (other !== undefined) context.addIssue({ code: "custom", path: [key], message: `is the same topic as "${other}"` });
      seen.set(topic, key);
    }
  })
  .prefault({});

export const validationSchema = z
  .strictObject({
    /** A ts further ahead of the receive time than this is replaced by it. */
    maxFutureMs: z.int().nonnegative().default(300_000),
    /** Bytes of a raw value; above: dead letter `too-large`. */
    maxValueBytes: z.int().positive().default(1_000_000),
  })
  .prefault({});

export const dedupeSchema = z
  .strictObject({
    /** Boots whose sequence numbers are kept for a device. */
    boots: z.int().min(1).max(64).default(4),
    /** Runs of sequence numbers kept for a boot; above, the oldest gap is given up as lost. */
    intervalsPerBoot: z.int().min(2).max(4096).default(64),
    /** A device's row goes when the partition's receive time is this far past its last record. Default 7 days. */
    idleMs: positiveMs.default(604_800_000),
    /** How long message ids and payload hashes are remembered, in receive time, for events without a seq. Default 1 hour. */
    retentionMs: positiveMs.default(3_600_000),
    /** Without a bootId: how far ts must jump for a nearby lower seq to count as a restart (see processors/README.md). */
    restartJumpMs: positiveMs.default(1_000),
  })
  .prefault({});

const windowSchema = z.strictObject({
  type: z.literal("tumbling").default("tumbling"),
  /** At most a leap year. */
  sizeMs: positiveMs.max(31_622_400_000),
  graceMs: z.int().nonnegative().max(31_622_400_000).default(30_000),
  /** What closes a window: the device's own event time, or the partition's (Kafka Streams' rule). */
  time: z.enum(["device", "partition"]).default("device"),
  /** Device time only: receive time after a window's last record at which it closes anyway. */
  idleMs: positiveMs.default(60_000),
});

export const windowsSchema = z
  .array(windowSchema)
  .max(16)
  .superRefine((windows, context) => {
    const sizes = new Set<number>();
    windows.forEach((window, index) => {
      if (sizes.has(window.sizeMs))
        context.addIssue({ code: "custom", path: [index, "sizeMs"], message: "is the size of another window already" });
      sizes.add(window.sizeMs);
    });
  })
  .prefault([{ sizeMs: 10_000 }]);

const ruleSchema = z
  .strictObject({
    name,
    metric: name,
    above: z.number().optional(),
    below: z.number().optional(),
    /** With `above`: the alert resolves below this. Default: when it is no longer above. */
    clearBelow: z.number().optional(),
    /** With `below`: the alert resolves above this. */
    clearAbove: z.number().optional(),
    /** How long, in event time, every reading must breach before the alert fires. */
    forMs: z.int().nonnegative().default(0),
    severity: z.string().min(1).max(64).default("warning"),
    tenant: z.string().min(1).max(256).optional(),
    /** Device ids; a trailing `*` makes a prefix. */
    devices: z.array(z.string().min(1).max(257)).max(1000).optional(),
  })
  .superRefine((rule, context) => {
    const issue = (path: string, message: string): void => context.addIssue({ code: "custom", path: [path], message });
    if ((rule.above === undefined) === (rule.below === undefined)) issue("above", 'give exactly one of "above" and "below"');
    if (rule.clearBelow !== undefined && (rule.above === undefined || rule.clearBelow > rule.above))
      issue("clearBelow", 'needs "above" and must not exceed it');
    if (rule.clearAbove !== undefined && (rule.below === undefined || rule.clearAbove < rule.below))
      issue("clearAbove", 'needs "below" and must not be under it');
  });

export const rulesSchema = z
  .array(ruleSchema)
  .max(1000)
  .superRefine((rules, context) => {
    const names = new Set<string>();
    rules.forEach((rule, index) => {
      if (names.has(rule.name)) context.addIssue({ code: "custom", path: [index, "name"], message: "is the name of another rule already" });
      names.add(rule.name);
    });
  })
  .default([]);

const fieldSchema = z
  .strictObject({
    /** The field is this metric: converted `from`, then times `scale`, plus `offset`. */
    metric: name.optional(),
    /** The field is this attribute, as it is. */
    attribute: name.optional(),
    ignore: z.literal(true).optional(),
    from: z.enum(["fahrenheit", "kelvin"]).optional(),
    scale: z.number().default(1),
    offset: z.number().default(0),
  })
  .refine((field) => [field.metric, field.attribute, field.ignore].filter((part) => part !== undefined).length === 1, {
    message: 'give exactly one of "metric", "attribute" and "ignore"',
  });

const profileSchema = z.strictObject({
  name,
  tenant: z.string().min(1).max(256).optional(),
  /** Device ids; a trailing `*` makes a prefix. Absent: every device. */
  devices: z.array(z.string().min(1).max(257)).max(10_000).optional(),
  /** Payload field (nested ones joined by ".") to what becomes of it; other fields go by the built-in defaults. */
  fields: z.record(name, fieldSchema).default({}),
});

/** The first profile that matches a device is its profile. */
export const profilesSchema = z.array(profileSchema).max(1000).default([]);

export const schemaRegistrySchema = z
  .strictObject({
    url: z.url({ protocol: /^https?$/ }),
    username: z.string().optional(),
    password: z.string().optional(),
    /** Of one call to the registry. */
    timeoutMs: positiveMs.default(5_000),
    /** Output values: "avro" registers the job's schemas at start; "json" only decodes framed input. */
    output: z.enum(["avro", "json"]).default("avro"),
  })
  .optional();

export const processingSchema = z
  .object({
    /** Wall-clock ms without any record after which a partition's open windows close; 0: never. */
    idleCloseMs: z.int().nonnegative().default(0),
  })
  .prefault({});

/** Device shadows: kept by the workers, changed over HTTP, by `sluice shadow` and by the devices, sent to them beside the ingress. */
export const shadowSchema = z
  .strictObject({
    enabled: z.boolean().default(false),
    updatesTopic: topicName.default(SHADOW_TOPICS.updates),
    /** Compacted: each device's shadow. */
    topic: topicName.default(SHADOW_TOPICS.documents),
    /** Of the desired state, and as much again of the reported one. */
    maxBytes: z.int().min(64).max(16_384).default(SHADOW_BOUNDS.maxBytes),
    maxDepth: z.int().min(1).max(16).default(SHADOW_BOUNDS.maxDepth),
    maxNames: z.int().min(1).max(2_000).default(SHADOW_BOUNDS.maxNames),
  })
  .prefault({});

/** The whole of the job; `cli/config.ts` composes its `.shape` into the full configuration. */
export const jobSettingsSchema = z
  .object({
    topics: topicsSchema,
    processing: processingSchema,
    validation: validationSchema,
    dedupe: dedupeSchema,
    windows: windowsSchema,
    rules: rulesSchema,
    profiles: profilesSchema,
    schemaRegistry: schemaRegistrySchema,
    shadow: shadowSchema,
  })
  .superRefine((settings, context) => {
    settings.windows.forEach((window, index) => {
      if (window.idleMs > settings.dedupe.idleMs)
        context.addIssue({
          code: "custom",
          path: ["windows", index, "idleMs"],
          message: "must not exceed dedupe.idleMs: a device's windows close before its row goes",
        });
    });
  });

export type JobSettings = z.infer<typeof jobSettingsSchema>;
export type WindowSettings = JobSettings["windows"][number];
export type RuleSettings = JobSettings["rules"][number];
export type ProfileSettings = JobSettings["profiles"][number];
export type DedupeSettings = JobSettings["dedupe"];
export type ShadowSettings = JobSettings["shadow"];
export type SchemaRegistrySettings = NonNullable<JobSettings["schemaRegistry"]>;

/** Exact ids, or prefixes that end in `*`; undefined matches all. */
export function matchesDevice(patterns: readonly string[] | undefined, deviceId: string): boolean {
  if (patterns === undefined) return true;
  return patterns.some((pattern) => (pattern.endsWith("*") ? deviceId.startsWith(pattern.slice(0, -1)) : pattern === deviceId));
}
