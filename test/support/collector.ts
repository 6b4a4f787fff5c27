import { connectAsync, type IPublishPacket } from "mqtt";
import type { Cleanup } from "./cleanup.ts";

export interface Collected {
  readonly topic: string;
  readonly payload: Buffer;
  readonly packet: IPublishPacket;
}

/** Everything that arrives at a broker on some topics, in order. */
export async function collect(t: Cleanup, url: string, filters: string[]): Promise<Collected[]> {
  const collected: Collected[] = [];
  const client = await connectAsync(url, { protocolVersion: 5, reconnectPeriod: 50, timerVariant: "native" });
  t.after(() => client.endAsync(true));
  client.on("message", (topic, payload, packet) => collected.push({ topic, payload, packet }));
  await client.subscribeAsync(filters, { qos: 1 });
  return collected;
}
