/** `GET …/devices/{id}/ledger`: what dedupe knows of a device's sequence numbers. */
import type { FastifyInstance } from "fastify";
import { toLedgerView } from "../../processors/formats/ledger-view.ts";
import { type LedgerView, STORES } from "../../processors/formats/records.ts";
import { ApiError } from "../errors.ts";
import { DEVICE_PARAMS, type DeviceParams, STALENESS_QUERY, type StalenessQuery } from "../parameters.ts";
import type { Services } from "../route.ts";

export type LedgerRow = Parameters<typeof toLedgerView>[0];

export function ledgerRoutes(app: FastifyInstance, { ownership }: Services): void {
  app.get<{ Params: DeviceParams; Querystring: StalenessQuery }>(
    "/v1/tenants/:tenant/devices/:id/ledger",
    {
      schema: { params: DEVICE_PARAMS, querystring: STALENESS_QUERY },
      config: {
        operation: {
          tag: "devices",
          summary: "Received, duplicates, gaps, reboots; runs of sequence numbers seen",
          answers: "Ledger",
          problems: [404, 503],
        },
      },
    },
    (request, reply) =>
      ownership.answer(request, reply, async (device, reader) => {
        const row = (await reader.get(STORES.ledger, device.key)) as LedgerRow | undefined;
        if (row === undefined) throw new ApiError("device-unknown", `nothing was ever received of device "${device.deviceId}"`);
        return toLedgerView(row);
      }),
  );
}

/** The ledger without the runs of each boot, which may be many. */
export function ledgerSummary({ boots, ...counts }: LedgerView): Omit<LedgerView, "boots"> & { readonly boots: number } {
  return { ...counts, boots: boots.length };
}
