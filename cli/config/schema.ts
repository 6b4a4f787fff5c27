import { z } from "zod";
import { jobSettingsSchema } from "../../processors/settings.ts";
import { gatewaySchema } from "./gateway-section.ts";
import { admissionSchema, deviceRegistrySchema, presenceSchema } from "./ingress-sections.ts";
import {
  applicationIdSchema,
  commandsSchema,
  fullProcessingSchema,
  fullSchemaRegistrySchema,
  httpSchema,
  ingressSchema,
  instanceIdSchema,
  kafkaSchema,
  logSchema,
  mqttSchema,
  rackSchema,
  stateSchema,
  topicDefaultsSchema,
} from "./sections.ts";

/** The whole configuration file: what there is, its bounds and its defaults. docs/configuration.md explains each key. */
export const configSchema = z.strictObject({
  applicationId: applicationIdSchema,
  instanceId: instanceIdSchema,
  rack: rackSchema,
  kafka: kafkaSchema,
  mqtt: mqttSchema,
  ingress: ingressSchema,
  gateway: gatewaySchema,
  commands: commandsSchema,
  admission: admissionSchema,
  deviceRegistry: deviceRegistrySchema,
  presence: presenceSchema,
  ...jobSettingsSchema.shape,
  topicDefaults: topicDefaultsSchema,
  processing: fullProcessingSchema,
  schemaRegistry: fullSchemaRegistrySchema,
  state: stateSchema,
  http: httpSchema,
  log: logSchema,
});

export type Config = z.infer<typeof configSchema>;

/** A secret's path, and the key beside it that names a file with it. A secret never stands in the configuration file itself. */
export const SECRETS = [
  "kafka.sasl.password",
  "kafka.sasl.clientSecret",
  "mqtt.password",
  "schemaRegistry.password",
  "http.token",
  "ingress.auth.secret",
] as const;
