/** What a gateway can be told. Key names as in the configuration file's `gateway` section; defaults are there. */

/**
 * What becomes of a message when the store holds `maxBytes`:
 * - `refuse`: it is not acknowledged (MQTT 5: reason code 0x97, quota exceeded), so that the device keeps it.
 * - `dropOldest`: it is stored, and the oldest that are stored go, counted and told.
 * - `dropNewest`: it is acknowledged and dropped, counted and told.
 */
export type OnFull = "refuse" | "dropOldest" | "dropNewest";

export interface StoreSettings {
  /** A folder of its own; one process at a time. */
  readonly dir: string;
  /** Of all that is stored and not forwarded. */
  readonly maxBytes: number;
  /** What is older, by the gateway's receive time, is dropped, counted and told. */
  readonly maxAgeMs: number;
  readonly onFull: OnFull;
  /** Below this much free space on the disk nothing is taken, whatever `onFull` says: deleting takes room too. */
  readonly minFreeBytes: number;
  /** An acknowledgement waits for the disk, so that what is acknowledged survives power loss too. */
  readonly fsync: boolean;
}

export interface UplinkSettings {
  /** Sent at once, and so the most that is sent again after a kill -9. */
  readonly batchBytes: number;
  readonly batchMessages: number;
  /** Of payloads and topics, so that a catch-up leaves room on a thin line. Absent: no limit. */
  readonly maxBytesPerSecond?: number;
  /** Between two attempts; doubles from the one to the other. */
  readonly minBackOffMs: number;
  readonly maxBackOffMs: number;
}

export interface DevicePortSettings {
  readonly host: string;
  /** 0: any free port. */
  readonly port: number;
  readonly maxConnections: number;
  /** A larger packet ends its connection. */
  readonly maxPacketBytes: number;
  /** Unacknowledged messages of one connection (MQTT 5: Receive Maximum). */
  readonly window: number;
}

/** What comes down to devices, over an MQTT uplink. */
export interface DownlinkSettings {
  /** Messages that upstream sent and no acknowledgement went back for (MQTT 5: Receive Maximum). */
  readonly windowMessages: number;
  /** Of one device: sent and not acknowledged (fewer when it says so), and waiting behind them. */
  readonly deviceWindow: number;
  readonly deviceQueue: number;
  /** For a device's acknowledgement; then upstream gets one without it, as others wait for it in the order of the messages. */
  readonly ackTimeoutMs: number;
}
