/** The sections of what the ingress lets in: `admission`, `deviceRegistry`, `presence`. docs/admission.md explains them. */
import { z } from "zod";
import { ADMISSION_DEFAULTS } from "../../bridge/admission/settings.ts";
import { templateProblem } from "../../bridge/topic-templates.ts";
import { topicName } from "../../processors/settings.ts";

const templateSchema = z
  .union([z.string().min(1).max(1024), z.strictObject({ template: z.string().min(1).max(1024), tenant: z.string() })])
  .superRefine((setting, context) => {
    const problem = templateProblem(setting);
    if (problem !== undefined) context.addIssue({ code: "custom", message: problem });
  });

/** Messages a second. */
const perSecond = z.number().positive().max(10_000_000);
/** Messages at once after a pause. */
const burst = z.int().min(1).max(10_000_000);

const rateSchema = z.strictObject({
  perSecond,
  burst,
  policy: z.enum(["delay", "shed", "drop"]).default("shed"),
});

const limits = {
  tenantRate: rateSchema.optional(),
  deviceRate: rateSchema.optional(),
  answerRate: rateSchema.optional(),
  maxPayload: z
    .strictObject({ bytes: z.int().positive(), policy: z.enum(["dead-letter", "shed", "drop"]).default("dead-letter") })
    .optional(),
};

export const admissionSchema = z
  .strictObject({
    templates: z
      .array(templateSchema)
      .min(1)
      .max(32)
      .default([...ADMISSION_DEFAULTS.templates]),
    ...limits,
    /** Tenants with limits, or a raw topic, of their own. */
    tenants: z
      .array(z.strictObject({ tenant: z.string().min(1).max(256), rawTopic: topicName.optional(), ...limits }))
      .max(10_000)
      .superRefine((tenants, context) => {
        const seen = new Set<string>();
        tenants.forEach(({ tenant }, index) => {
          if (seen.has(tenant)) context.addIssue({ code: "custom", path: [index, "tenant"], message: "is named twice" });
          seen.add(tenant);
        });
      })
      .default([]),
    /** Of dead letters of topics that belong to no device. */
    badTopicRate: z
      .strictObject({
        perSecond: perSecond.default(ADMISSION_DEFAULTS.badTopicRate.perSecond),
        burst: burst.default(ADMISSION_DEFAULTS.badTopicRate.burst),
      })
      .prefault({}),
    maxDelayMs: z.int().min(1).max(60_000).default(ADMISSION_DEFAULTS.maxDelayMs),
    overflow: z.enum(["shed", "drop"]).default(ADMISSION_DEFAULTS.overflow),
    shedTopic: topicName.default(ADMISSION_DEFAULTS.shedTopic),
  })
  .prefault({});

export const deviceRegistrySchema = z
  .strictObject({
    mode: z.enum(["open", "auto-register", "closed"]),
    topic: topicName.default("iot.device.registry"),
    /** What becomes of a message of a device that is not in the registry (`closed`), or that it denies. */
    unknown: z.enum(["shed", "drop"]).default("shed"),
    denied: z.enum(["shed", "drop"]).default("drop"),
    maxDevices: z.int().min(1).max(20_000_000).default(1_000_000),
  })
  .optional();

export const presenceSchema = z
  .strictObject({
    topic: topicName.default("iot.device.presence"),
    /** Online and silent for so long: stale. */
    staleAfterMs: z.int().min(1000).default(300_000),
    /** How long a Last Will waits for the device to show itself; after the broker or the ingress was away. */
    offlineHoldMs: z.int().min(0).max(3_600_000).default(5_000),
    reconnectHoldMs: z.int().min(0).max(3_600_000).default(60_000),
    maxDevices: z.int().min(1).max(20_000_000).default(1_000_000),
  })
  .optional();
