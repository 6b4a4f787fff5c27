import { readFileSync } from "node:fs";
import { commandContext, type CommonOptions } from "../command-options.ts";
import { EXIT } from "../exit-codes.ts";
import { CommandFailure } from "../failure.ts";
import { parseDeviceList } from "../mqtt-acl/device-list.ts";
import { dynamicSecurity } from "../mqtt-acl/dynamic-security.ts";
import { mosquittoAcl } from "../mqtt-acl/mosquitto-acl.ts";

export interface MqttAclOptions extends CommonOptions {
  readonly format: "mosquitto-acl" | "dynamic-security";
  readonly devices?: string;
}

/** `sluice mqtt-acl`: access rules for the broker, on stdout. Sluice's own user is `mqtt.username` of the configuration. */
export function run(options: MqttAclOptions): number {
  const { config } = commandContext(options, { quietLevel: "warn" });
  const { username = config.mqtt.clientId, password } = config.mqtt;
  if (options.format === "mosquitto-acl") process.stdout.write(mosquittoAcl(username));
  else {
    if (options.devices === undefined)
      throw new CommandFailure("no-devices", "dynamic-security needs --devices: each device has a role of its own");
    const devices = parseDeviceList(readFileSync(options.devices, "utf8"));
    process.stdout.write(`${JSON.stringify(dynamicSecurity({ username, password }, devices), undefined, 1)}\n`);
  }
  return EXIT.ok;
}
