/** `GET …/devices/{id}/alerts`, and `GET /v1/tenants/{tenant}/alerts` for all devices with an alert that fires. */
import type { FastifyInstance } from "fastify";
import { parseDeviceKey } from "../../processors/formats/names.ts";
import { type AlertRecord, type AlertsRow, STORES } from "../../processors/formats/records.ts";
import { ApiError } from "../errors.ts";
import { scanPage } from "../page.ts";
import {
  checkId,
  DEVICE_PARAMS,
  type DeviceParams,
  STALENESS_QUERY,
  type StalenessQuery,
  TENANT_PARAMS,
  type TenantParams,
} from "../parameters.ts";
import type { Services } from "../route.ts";
import { answerList, LIST_QUERY, type ListQuery } from "./list.ts";

interface DeviceAlerts {
  readonly deviceId: string;
  readonly active: readonly AlertRecord[];
}

export function alertRoutes(app: FastifyInstance, services: Services): void {
  const { ownership } = services;

  app.get<{ Params: DeviceParams; Querystring: StalenessQuery }>(
    "/v1/tenants/:tenant/devices/:id/alerts",
    {
      schema: { params: DEVICE_PARAMS, querystring: STALENESS_QUERY },
      config: {
        operation: {
          tag: "devices",
          summary: "Firing alerts of a device and its recent ones, newest first",
          answers: "Alerts",
          problems: [404, 503],
        },
      },
    },
    (request, reply) =>
      ownership.answer(request, reply, async (device, reader) => {
        const row = (await reader.get(STORES.alerts, device.key)) as AlertsRow | undefined;
        if (row !== undefined) return { active: row.active, recent: row.recent };
        if ((await reader.get(STORES.deviceState, device.key)) === undefined) {
          throw new ApiError("device-unknown", `nothing was ever received of device "${device.deviceId}"`);
        }
        return { active: [], recent: [] };
      }),
  );

  app.get<{ Params: TenantParams; Querystring: ListQuery }>(
    "/v1/tenants/:tenant/alerts",
    {
      schema: { params: TENANT_PARAMS, querystring: { type: "object", additionalProperties: false, properties: LIST_QUERY } },
      config: {
        operation: { tag: "devices", summary: "Devices of a tenant with alerts that fire, by id", answers: "FiringList", problems: [503] },
      },
    },
    (request, reply) => {
      const { after, limit } = request.query;
      const prefix = `${checkId(request.params.tenant, "tenant")}|`;
      if (after !== undefined) checkId(after, "after");
      return answerList<DeviceAlerts>(services, request, reply, {
        field: "devices",
        store: STORES.alerts,
        local: (rows) =>
          scanPage(rows, {
            prefix,
            after: after === undefined ? undefined : prefix + after,
            limit,
            filtered: true,
            toItem: (row) => firing(row.key, row.value as AlertsRow),
            cursorOf: (key) => key.slice(prefix.length),
          }),
        keyOf: (device) => device.deviceId,
        newer: (a) => a,
      });
    },
  );
}

function firing(key: string, row: AlertsRow): DeviceAlerts | undefined {
  const deviceId = parseDeviceKey(key)?.deviceId;
  return deviceId === undefined || row.active.length === 0 ? undefined : { deviceId, active: row.active };
}
