import { readFileSync } from "node:fs";
import { GatewayAccess } from "../../bridge/gateway-access.ts";
import { commandContext, type CommonOptions } from "../command-options.ts";
import { secretText } from "../config/secrets.ts";
import { EXIT } from "../exit-codes.ts";
import { CommandFailure } from "../failure.ts";
import { parseDeviceList } from "../mqtt-acl/device-list.ts";
import { dynamicSecurity } from "../mqtt-acl/dynamic-security.ts";
import { mosquittoAcl } from "../mqtt-acl/mosquitto-acl.ts";

export interface MqttAclOptions extends CommonOptions {
  readonly format: "mosquitto-acl" | "dynamic-security";
  readonly devices?: string;
}

/** `sluice mqtt-acl`: access rules for the broker, on stdout. Sluice's own user is `mqtt.username` of the configuration, gateways are `mqtt.gateways`. */
export function run(options: MqttAclOptions): number {
  const { config } = commandContext(options, { quietLevel: "warn" });
  const { username = config.mqtt.clientId, password } = config.mqtt;
  const gateways = config.mqtt.gateways.map(({ passwordFile, ...settings }) => ({ access: new GatewayAccess(settings), passwordFile }));
  if (options.format === "mosquitto-acl") {
    const rules = mosquittoAcl(
      username,
      gateways.map(({ access }) => access),
    );
    process.stdout.write(rules);
  } else {
    if (options.devices === undefined)
      throw new CommandFailure("no-devices", "dynamic-security needs --devices: each device has a role of its own");
    const devices = parseDeviceList(readFileSync(options.devices, "utf8"));
    const listed = gateways.map(({ access, passwordFile }) => ({ access, password: passwordFile && passwordIn(passwordFile) }));
    process.stdout.write(`${JSON.stringify(dynamicSecurity({ username, password }, devices, listed), undefined, 1)}\n`);
  }
  return EXIT.ok;
}

function passwordIn(file: string): string {
  const password = secretText(readFileSync(file));
  if (password === "") throw new CommandFailure("no-password", `${file} is empty`);
  return password;
}
