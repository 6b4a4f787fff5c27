/** What a simulated fleet is like. Shares are of 1. */
export interface FleetOptions {
  readonly seed: number;
  readonly tenant: string;
  readonly devices: number;
  /** Messages in all, duplicates included; absent: without end. */
  readonly count?: number;
  /** Messages a second over the whole fleet: sets the distance of times, and the pace when sent at speed 1. */
  readonly rate: number;
  /** Time of the first message, epoch ms. */
  readonly startTs: number;
  /** Share of messages that are a message sent again, byte for byte. */
  readonly duplicates: number;
  /** Greatest distance of a duplicate from its original, in messages of the fleet; a fifth of them come from the far half. */
  readonly duplicateDistance: number;
  /** Share of messages that are overtaken by one to three later ones of their device. */
  readonly reorder: number;
  /** Share of messages before which the device lost one to three. */
  readonly gaps: number;
  /** Share of messages that are the first after a reboot: new bootId, seq from 0. */
  readonly reboots: number;
  /** Boot ids are this and a number from 1. Another per run, where runs must not be taken for duplicates of each other. */
  readonly bootPrefix: string;
  /** Per device. Dedupe keeps a few boots per device; within them every ledger count is exact. */
  readonly maxReboots: number;
  /** Every tenth device's clock is wrong by up to this, ahead or behind, in ms. */
  readonly clockSkewMs: number;
  /** Payload fields; `tempC` and `rpm` look like a machine's, any other is a slow wave between 0 and 100. */
  readonly metrics: readonly string[];
}

export const FLEET_DEFAULTS: FleetOptions = {
  seed: 1,
  tenant: "demo",
  devices: 10,
  rate: 10,
  startTs: 0,
  duplicates: 0,
  duplicateDistance: 50_000,
  reorder: 0,
  gaps: 0,
  reboots: 0,
  bootPrefix: "b",
  maxReboots: 2,
  clockSkewMs: 0,
  metrics: ["tempC", "rpm"],
};
