/** One telemetry message of a simulated device. */
export interface SimulatedEvent {
  readonly tenant: string;
  readonly deviceId: string;
  /** `t/{tenant}/d/{deviceId}/telemetry` */
  readonly topic: string;
  readonly payload: TelemetryPayload;
  /** `payload` as JSON. */
  readonly bytes: Buffer;
  /** When it should be sent, epoch ms. */
  readonly sendAtMs: number;
}

/** Source: shared design, section 8, default payload. */
export interface TelemetryPayload {
  readonly deviceId: string;
  readonly bootId?: string;
  readonly seq?: number;
  readonly ts: number;
  readonly [metric: string]: string | number | undefined;
}
