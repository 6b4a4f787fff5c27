/** Who is allowed and who denied, in memory: what the registry's table says, in bounds. */
import type { RegistryEntry } from "./registry-entry.ts";

export type DeviceStatus = "allowed" | "denied" | "unknown";

export class KnownDevices {
  readonly #maxDevices: number;
  readonly #allowed = new Set<string>();
  readonly #denied = new Set<string>();
  /** Rows for which there was no room. */
  overflow = 0;

  /** @param maxDevices both kinds together; about 100 bytes each */
  constructor(maxDevices: number) {
    this.#maxDevices = maxDevices;
  }

  get allowed(): number {
    return this.#allowed.size;
  }

  get denied(): number {
    return this.#denied.size;
  }

  get isFull(): boolean {
    return this.#allowed.size + this.#denied.size >= this.#maxDevices;
  }

  statusOf(key: string): DeviceStatus {
    if (this.#denied.has(key)) return "denied";
    return this.#allowed.has(key) ? "allowed" : "unknown";
  }

  /** Without room: an allowed device stays unknown, and a denied one takes an allowed one's place. */
  set(key: string, status: RegistryEntry["status"] | undefined): void {
    this.#allowed.delete(key);
    this.#denied.delete(key);
    if (status === undefined) return;
    if (this.isFull) {
      this.overflow++;
      if (status === "allowed") return;
      const [displaced] = this.#allowed;
      if (displaced === undefined) return;
      this.#allowed.delete(displaced);
    }
    (status === "allowed" ? this.#allowed : this.#denied).add(key);
  }
}
