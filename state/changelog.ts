/** Names and settings of changelog topics. A changelog record: the row's key bytes; format byte and value, or null for deleted. */

/** How long tombstones stay readable. Longer than a worker is away with its state directory: see MAX_CHECKPOINT_AGE_MS. */
export const CHANGELOG_TOMBSTONE_RETENTION_MS = 7 * 24 * 3_600_000;

/**
 * An older checkpoint is not built upon: a restore from its position could miss a tombstone that compaction removed
 * already, and bring a deleted row back. A day less than the retention, for the restore itself and for clocks.
 */
export const MAX_CHECKPOINT_AGE_MS = CHANGELOG_TOMBSTONE_RETENTION_MS - 24 * 3_600_000;

/** Compaction skips the active segment: without a roll every hour a slow changelog would never be compacted. */
const SEGMENT_MS = 3_600_000;

/** The most that a restore reads uncompacted beside the dirty half. */
const SEGMENT_BYTES = 64 << 20;

/** As Kafka Streams names it. */
export function changelogTopic(applicationId: string, storeName: string): string {
  return `${applicationId}-${storeName}-changelog`;
}

/** Kafka's topic configuration names. All explicit: brokers' defaults differ. */
export const CHANGELOG_TOPIC_CONFIG: Readonly<Record<string, string>> = {
  "cleanup.policy": "compact",
  "min.cleanable.dirty.ratio": "0.5",
  "segment.ms": String(SEGMENT_MS),
  "segment.bytes": String(SEGMENT_BYTES),
  "delete.retention.ms": String(CHANGELOG_TOMBSTONE_RETENTION_MS),
};
