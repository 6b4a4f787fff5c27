/** A report that the ingress did not let in, as a rejection. */
import type { RefusalCode } from "../forwarder-parts.ts";
import type { InFlight } from "../in-flight.ts";
import { MAX_CORRELATION_BYTES } from "../raw-headers.ts";
import type { Route } from "../route-cache.ts";
import type { Rejection } from "./rejection.ts";

const TEXTS: Readonly<Record<RefusalCode, string>> = {
  "tenant-rate": "its tenant sends too much",
  "device-rate": "it sends too much",
  "tenant-answer-rate": "the devices of its tenant answer and report too often",
  "answer-rate": "it answers and reports too often",
  "window-full": "too much waits for its turn",
  "payload-size": "larger than its tenant may send",
  "too-large": "larger than any message may be",
  "unknown-device": "the device is not registered",
  "denied-device": "the device is denied",
};

export function rejectionOf({ correlation, receivedTs: ts }: InFlight, { tenant, deviceKey }: Route, code: RefusalCode): Rejection {
  const isKept = correlation !== undefined && correlation.length <= MAX_CORRELATION_BYTES;
  // Copied: it is part of what came from the socket.
  return {
    tenant,
    deviceId: deviceKey.slice(tenant.length + 1),
    code,
    message: TEXTS[code],
    ts,
    correlation: isKept ? Buffer.from(correlation) : undefined,
  };
}
