/** MQTT topic filters. Source: MQTT 5.0, section 4.7. */

/** Whether a filter without `$share` takes a topic. */
export function filterMatches(filter: string, topic: string): boolean {
  const wanted = filter.split("/");
  const levels = topic.split("/");
  // A wildcard at the first level does not take the broker's own topics [MQTT-4.7.2-1].
  if (topic.startsWith("$") && (wanted[0] === "#" || wanted[0] === "+")) return false;
  for (const [at, level] of wanted.entries()) {
    if (level === "#") return true;
    if (at >= levels.length || (level !== "+" && level !== levels[at])) return false;
  }
  return wanted.length === levels.length;
}
