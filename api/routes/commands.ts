/** `POST …/devices/{id}/commands`: the route is kept free; the southbound path that it needs comes with a later version. */
import type { FastifyInstance } from "fastify";
import { ApiError } from "../errors.ts";
import { DEVICE_PARAMS, type DeviceParams } from "../parameters.ts";

export function commandRoutes(app: FastifyInstance): void {
  app.post<{ Params: DeviceParams }>(
    "/v1/tenants/:tenant/devices/:id/commands",
    {
      schema: { params: DEVICE_PARAMS },
      config: { operation: { tag: "devices", summary: "Send a command: not available in this version", problems: [501] } },
    },
    () => {
      throw new ApiError("commands-unavailable", "this version of Sluice has no way from the API to devices yet");
    },
  );
}
