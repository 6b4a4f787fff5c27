/** Groups partition entries by topic, as nearly every request wants them. */
export interface TopicGroup<T> {
  readonly topic: string;
  readonly partitions: T[];
}

/** Topics in the order of their first entry, entries in the order given. */
export function byTopic<T extends { readonly topic: string }>(items: readonly T[]): TopicGroup<T>[] {
  const groups = new Map<string, TopicGroup<T>>();
  for (const item of items) {
    let group = groups.get(item.topic);
    if (group === undefined) groups.set(item.topic, (group = { topic: item.topic, partitions: [] }));
    group.partitions.push(item);
  }
  return [...groups.values()];
}
