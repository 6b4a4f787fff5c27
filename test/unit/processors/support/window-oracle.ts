/** The rules of design section 7, as plainly as they can be written: every window is looked at for every event. */

export interface WindowEvent {
  readonly device: string;
  readonly ts: number;
  /** Receive time; does not go back. */
  readonly at: number;
  readonly value: number;
}

export interface WindowDefinition {
  readonly sizeMs: number;
  readonly graceMs: number;
  readonly idleMs: number;
  readonly time: "device" | "partition";
}

export interface ExpectedWindow {
  readonly device: string;
  readonly start: number;
  readonly values: readonly { readonly ts: number; readonly value: number }[];
}

export function expectedWindows(
  events: readonly WindowEvent[],
  definition: WindowDefinition,
): { emitted: ExpectedWindow[]; late: boolean[] } {
  const { sizeMs, graceMs, idleMs, time } = definition;
  const windows: { device: string; start: number; lastAt: number; closed: boolean; values: { ts: number; value: number }[] }[] = [];
  const emitted: ExpectedWindow[] = [];
  const late: boolean[] = [];
  const deviceTime = new Map<string, number>();
  // A partition's time begins at -1 (ProcessorContext.streamTime): it has no past before 1970.
  let streamTime = -1;
  for (const event of events) {
    streamTime = Math.max(streamTime, event.ts);
    deviceTime.set(event.device, Math.max(deviceTime.get(event.device) ?? -Infinity, event.ts));
    const clockOf = (device: string): number => (time === "partition" ? streamTime : (deviceTime.get(device) as number));
    for (const window of windows) {
      const isFinal = window.start + sizeMs + graceMs <= clockOf(window.device);
      const isIdle = time === "device" && event.at - window.lastAt >= idleMs;
      // By device time a window closes when its own device shows up, or idle.
      if (window.closed || !(isIdle || (isFinal && (time === "partition" || window.device === event.device)))) continue;
      window.closed = true;
      emitted.push({ device: window.device, start: window.start, values: window.values });
    }
    let start = event.ts - (event.ts % sizeMs);
    if (start > event.ts) start -= sizeMs;
    let window = windows.find((candidate) => candidate.device === event.device && candidate.start === start);
    const isLate = start + sizeMs + graceMs <= clockOf(event.device) || window?.closed === true;
    late.push(isLate);
    if (isLate) continue;
    if (window === undefined) windows.push((window = { device: event.device, start, lastAt: event.at, closed: false, values: [] }));
    window.lastAt = event.at;
    window.values.push({ ts: event.ts, value: event.value });
  }
  return { emitted, late };
}

/** In two passes over the values. */
export function statisticsOf(values: readonly { readonly ts: number; readonly value: number }[]): Record<string, number> {
  const numbers = values.map(({ value }) => value);
  const sum = numbers.reduce((total, value) => total + value);
  const mean = sum / numbers.length;
  const byTime = values.map((entry, arrival) => ({ ...entry, arrival })).sort((a, b) => a.ts - b.ts || a.arrival - b.arrival);
  return {
    count: numbers.length,
    sum,
    min: Math.min(...numbers),
    max: Math.max(...numbers),
    mean: mean + 0, // JSON has no -0, which a mean of the smallest numbers may be
    variance: numbers.reduce((total, value) => total + (value - mean) ** 2, 0) / numbers.length,
    first: byTime[0].value,
    last: byTime[byTime.length - 1].value,
  };
}
