/** `GET …/devices/{id}/control`: what goes on towards a device, for people to look at: its newest commands and its shadow. */
import type { FastifyInstance } from "fastify";
import { deviceKey } from "../../processors/formats/names.ts";
import { STORES } from "../../processors/formats/records.ts";
import type { ShadowRowShape } from "../../processors/formats/shadow.ts";
import { ApiError } from "../errors.ts";
import { checkId, DEVICE_PARAMS, STALENESS_QUERY, type DeviceParams, type StalenessQuery } from "../parameters.ts";
import type { Services } from "../route.ts";

/** A screen has no more. */
const MAX_COMMANDS = 20;
const RETRY_AFTER_MS = 1_000;

export function controlRoutes(app: FastifyInstance, { options, ownership }: Services): void {
  app.get<{ Params: DeviceParams; Querystring: StalenessQuery }>(
    "/v1/tenants/:tenant/devices/:id/control",
    {
      schema: { params: DEVICE_PARAMS, querystring: STALENESS_QUERY },
      config: {
        operation: {
          tag: "devices",
          summary: "The newest commands of a device, and its shadow; null where there is none, or it is off",
          answers: "Control",
          problems: [503],
        },
      },
    },
    async (request, reply) => {
      const [tenant, deviceId] = [checkId(request.params.tenant, "tenant"), checkId(request.params.id, "device id")];
      const commands = async (): Promise<object | null> => {
        try {
          return (await options.commands?.newest(tenant, deviceId, MAX_COMMANDS)) ?? null;
        } catch (cause) {
          throw new ApiError("log-unavailable", "the statuses of commands cannot be read now", { cause, retryAfterMs: RETRY_AFTER_MS });
        }
      };
      if (options.shadow === undefined) return { tenant, deviceId, commands: await commands(), shadow: null };
      const place = { partitionKey: deviceKey(tenant, deviceId), store: STORES.shadows, maxStalenessMs: request.query.maxStalenessMs };
      return ownership.answerFor(request, reply, place, async (reader) => {
        const row = (await reader.get(STORES.shadows, place.partitionKey)) as ShadowRowShape | undefined;
        return { tenant, deviceId, commands: await commands(), shadow: row?.document(tenant, deviceId) ?? null };
      });
    },
  );
}
