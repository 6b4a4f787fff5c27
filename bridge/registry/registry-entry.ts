/** A row of the registry of devices: key `tenant|deviceId`, value JSON. Written by people's tools, and by ingresses that register. */
export interface RegistryEntry {
  readonly v: 1;
  readonly status: "allowed" | "denied";
  /** `auto`: an ingress registered it at its first message. */
  readonly source?: string;
  /** Epoch ms. */
  readonly ts?: number;
}

/** Undefined for what is no entry. Other fields (profile, attributes) are for others and ignored here. */
export function parseRegistryEntry(value: Buffer): Pick<RegistryEntry, "status" | "source"> | undefined {
  let parsed: unknown;
  try {
    parsed = JSON.parse(value.toString());
  } catch {
    return undefined;
  }
  if (typeof parsed !== "object" || parsed === null || !("status" in parsed)) return undefined;
  const { status } = parsed;
  if (status !== "allowed" && status !== "denied") return undefined;
  return { status, source: "source" in parsed && typeof parsed.source === "string" ? parsed.source : undefined };
}
