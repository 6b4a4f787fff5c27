import { identityOf, parseIdentity } from "../../bridge/device-access.ts";
import { parseDeviceKey } from "../../processors/formats/names.ts";
import { CommandFailure } from "../failure.ts";

export interface ListedDevice {
  readonly tenant: string;
  readonly deviceId: string;
  readonly password?: string;
}

/** A device a line: `tenant|deviceId`, and after a space its password. Empty lines and `#` lines are skipped. Fails with the first bad line's number. */
export function parseDeviceList(text: string): ListedDevice[] {
  const devices: ListedDevice[] = [];
  text.split(/\r?\n/).forEach((line, index) => {
    if (line.trim() === "" || line.startsWith("#")) return;
    const space = line.indexOf(" ");
    const device = parseDeviceKey(space === -1 ? line : line.slice(0, space));
    if (device === undefined || parseIdentity(identityOf(device)) === undefined)
      throw new CommandFailure("bad-device-list", `line ${index + 1} is not "tenant|deviceId" or "tenant|deviceId password"`);
    devices.push(space === -1 ? device : { ...device, password: line.slice(space + 1).trim() });
  });
  return devices;
}
