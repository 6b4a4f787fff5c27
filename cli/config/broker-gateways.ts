/** `mqtt.gateways`: the gateways that connect at the broker, for `sluice mqtt-acl` and the webhook. docs/admission.md explains them. */
import { z } from "zod";
import { gatewayProblem } from "../../bridge/gateway-access.ts";
import { plainName } from "../../processors/settings.ts";

/** A user called like a device would be one. */
const gatewayName = plainName(100);

const gatewaySchema = z
  .strictObject({
    /** Its user name at the broker, or the CN of its certificate. */
    user: gatewayName,
    /** Its gateway.id; absent: `user`. */
    id: gatewayName.optional(),
    /** `tenant|deviceId` each. */
    devices: z.array(z.string()).max(100_000).default([]),
    /** All of their devices. */
    tenants: z.array(z.string()).max(10_000).default([]),
    /** For dynamic security; absent: by certificate only. */
    passwordFile: z.string().min(1).optional(),
  })
  .superRefine((gateway, context) => {
    const problem = gatewayProblem(gateway);
    if (problem !== undefined) context.addIssue({ code: "custom", message: problem });
  });

export const brokerGatewaysSchema = z
  .array(gatewaySchema)
  .max(10_000)
  .superRefine((gateways, context) => {
    for (const name of ["user", "id"] as const) {
      const seen = new Set<string>();
      gateways.forEach((gateway, index) => {
        const value = gateway[name] ?? gateway.user;
        if (seen.has(value)) context.addIssue({ code: "custom", path: [index, name], message: "is another gateway's" });
        seen.add(value);
      });
    }
  })
  .default([]);
