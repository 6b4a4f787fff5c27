/** Numbers, times and metric names as people read them. */

const UNITS = {
  c: "°C",
  f: "°F",
  rpm: "rpm",
  pct: "%",
  percent: "%",
  v: "V",
  a: "A",
  w: "W",
  kw: "kW",
  kwh: "kWh",
  hz: "Hz",
  pa: "Pa",
  hpa: "hPa",
  kpa: "kPa",
  bar: "bar",
  ms: "ms",
  mm: "mm",
  m: "m",
  kg: "kg",
  l: "l",
  ppm: "ppm",
  db: "dB",
  dbm: "dBm",
  lux: "lx",
};

const whole = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const compact = new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 1 });
const clock = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", second: "2-digit" });

/** @returns {{label: string, unit: string}} `temperature_c` is Temperature in °C. */
export function metricName(name) {
  const parts = name.split("_");
  const unit = parts.length > 1 ? UNITS[parts.at(-1).toLowerCase()] : undefined;
  const words = (unit === undefined ? parts : parts.slice(0, -1)).join(" ");
  return { label: words.slice(0, 1).toUpperCase() + words.slice(1), unit: unit ?? "" };
}

/** Four significant digits or so; whole above 1000. */
export function value(number) {
  if (!Number.isFinite(number)) return "–";
  const size = Math.abs(number);
  if (size >= 1e6) return compact.format(number);
  if (size >= 1000) return whole.format(number);
  return number.toFixed(size >= 100 ? 1 : size >= 1 || size === 0 ? 2 : 3);
}

export function count(number) {
  return number >= 1e7 ? compact.format(number) : whole.format(number);
}

export function rate(perSecond) {
  if (perSecond >= 10_000) return compact.format(perSecond);
  return perSecond > 0 && perSecond < 10 ? perSecond.toFixed(1) : whole.format(perSecond);
}

export function time(ms) {
  return clock.format(ms);
}

/** How long ago, in one unit. */
export function ago(ms, now = Date.now()) {
  const seconds = Math.max(0, Math.round((now - ms) / 1000));
  if (seconds < 2) return "now";
  if (seconds < 60) return `${seconds} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min`;
  return seconds < 86_400 ? `${Math.floor(seconds / 3600)} h` : `${Math.floor(seconds / 86_400)} d`;
}

export function duration(ms) {
  return ms % 60_000 === 0 ? `${ms / 60_000} min` : `${ms / 1000} s`;
}
