import type { GatewayAccess } from "../../bridge/gateway-access.ts";
import { DEVICE_PUBLISHES, DEVICE_READS, SERVICE_PUBLISHES, SERVICE_READS } from "../../bridge/device-access.ts";

/**
 * An `acl_file` for Mosquitto: holds for every device, those that come later too, and for the gateways that are given. `%u` is a device's
 * user name or certificate CN.
 */
export function mosquittoAcl(serviceUser: string, gateways: readonly GatewayAccess[]): string {
  return [
    "# A device's user name, or the CN of its certificate (use_identity_as_username true), is {tenant}/d/{deviceId}.",
    ...DEVICE_PUBLISHES.map((door) => `pattern write t/%u/${door}`),
    ...DEVICE_READS.map((door) => `pattern read t/%u/${door}`),
    "",
    `user ${serviceUser}`,
    ...SERVICE_READS.map((filter) => `topic read ${filter}`),
    ...SERVICE_PUBLISHES.map((filter) => `topic write ${filter}`),
    ...gateways.flatMap(({ user, reads, publishes }) => [
      "",
      `user ${user}`,
      ...reads.map((filter) => `topic read ${filter}`),
      ...publishes.map((filter) => `topic write ${filter}`),
    ]),
    "",
  ].join("\n");
}
