/** A task's clocks, kept with the committed input offset (Kafka Streams keeps its partition time there too). */
const FORMAT = /^sluice1:(-?\d+):(-?\d+)$/;

export interface Clocks {
  readonly streamTime: number;
  readonly receiveTime: number;
}

export function encodeClocks(clocks: Clocks): string {
  return `sluice1:${Math.trunc(clocks.streamTime)}:${Math.trunc(clocks.receiveTime)}`;
}

/** Offsets committed by another program carry other metadata: the clocks then begin anew. */
export function decodeClocks(metadata: string | undefined): Clocks {
  const match = FORMAT.exec(metadata ?? "");
  return match === null ? { streamTime: -1, receiveTime: -1 } : { streamTime: Number(match[1]), receiveTime: Number(match[2]) };
}
