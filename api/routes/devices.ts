/** `GET /v1/tenants/{tenant}/devices` and `…/devices/{id}`. */
import type { FastifyInstance, FastifyReply } from "fastify";
import { toLedgerView } from "../../processors/formats/ledger-view.ts";
import { type AlertsRow, type DeviceStateRecord, type DeviceStateRowShape, STORES } from "../../processors/formats/records.ts";
import { ApiError } from "../errors.ts";
import type { DevicePresence } from "../options.ts";
import { scanPage } from "../page.ts";
import {
  AFTER,
  checkId,
  DEVICE_PARAMS,
  type DeviceParams,
  STALENESS_QUERY,
  type StalenessQuery,
  TENANT_PARAMS,
  type TenantParams,
} from "../parameters.ts";
import type { Services } from "../route.ts";
import { ledgerSummary, type LedgerRow } from "./ledger.ts";
import { answerList, LIST_QUERY, type ListQuery } from "./list.ts";

interface DevicesQuery extends ListQuery {
  readonly contains?: string;
}

export function deviceRoutes(app: FastifyInstance, services: Services): void {
  app.get<{ Params: TenantParams; Querystring: DevicesQuery }>(
    "/v1/tenants/:tenant/devices",
    {
      schema: {
        params: TENANT_PARAMS,
        querystring: {
          type: "object",
          additionalProperties: false,
          properties: {
            ...LIST_QUERY,
            contains: { ...AFTER, description: "Only devices whose id contains this, whatever the case; pages may be short" },
          },
        },
      },
      config: {
        operation: { tag: "devices", summary: "Devices of a tenant with their last values, by id", answers: "DeviceList", problems: [503] },
      },
    },
    (request, reply) => listDevices(services, request, reply),
  );

  app.get<{ Params: DeviceParams; Querystring: StalenessQuery }>(
    "/v1/tenants/:tenant/devices/:id",
    {
      schema: { params: DEVICE_PARAMS, querystring: STALENESS_QUERY },
      config: {
        operation: {
          tag: "devices",
          summary: "Last values, ledger summary and firing alerts of a device",
          answers: "Device",
          problems: [404, 503],
        },
      },
    },
    (request, reply) =>
      services.ownership.answer(request, reply, async (device, reader) => {
        const [state, ledger, alerts] = await Promise.all([
          reader.get(STORES.deviceState, device.key) as Promise<DeviceStateRowShape | undefined>,
          reader.get(STORES.ledger, device.key) as Promise<LedgerRow | undefined>,
          reader.get(STORES.alerts, device.key) as Promise<AlertsRow | undefined>,
        ]);
        if (state === undefined) throw new ApiError("device-unknown", `nothing was ever received of device "${device.deviceId}"`);
        return {
          ...withPresence(services, state.record()),
          ledger: ledger === undefined ? null : ledgerSummary(toLedgerView(ledger)),
          activeAlerts: alerts?.active ?? [],
        };
      }),
  );
}

type DeviceItem = DeviceStateRecord & { readonly presence?: DevicePresence | null };

function withPresence({ options }: Services, record: DeviceStateRecord): DeviceItem {
  const presence = options.presence?.of(record.tenant, record.deviceId);
  return presence === undefined ? record : { ...record, presence };
}

function listDevices(
  services: Services,
  request: Parameters<typeof answerList>[1] & { params: TenantParams; query: DevicesQuery },
  reply: FastifyReply,
): Promise<unknown> {
  const { after, limit, contains } = request.query;
  const prefix = `${checkId(request.params.tenant, "tenant")}|`;
  if (after !== undefined) checkId(after, "after");
  const wanted = contains?.toLowerCase();
  return answerList<DeviceItem>(services, request, reply, {
    field: "devices",
    store: STORES.deviceState,
    local: (rows) =>
      scanPage(rows, {
        prefix,
        after: after === undefined ? undefined : prefix + after,
        limit,
        filtered: wanted !== undefined,
        toItem: (row) =>
          wanted === undefined || row.key.slice(prefix.length).toLowerCase().includes(wanted)
            ? withPresence(services, (row.value as DeviceStateRowShape).record())
            : undefined,
        cursorOf: (key) => key.slice(prefix.length),
      }),
    keyOf: (device) => device.deviceId,
    newer: (a, b) => (a.receivedTs >= b.receivedTs ? a : b),
  });
}
