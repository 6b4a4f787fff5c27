import assert from "node:assert/strict";
import { test } from "node:test";
import {
  CHANGELOG_TOMBSTONE_RETENTION_MS,
  CHANGELOG_TOPIC_CONFIG,
  changelogTopic,
  MAX_CHECKPOINT_AGE_MS,
} from "../../../state/changelog.ts";

test("a changelog topic is named as Kafka Streams names it, and compacted", () => {
  assert.equal(changelogTopic("sluice", "ledger"), "sluice-ledger-changelog");
  assert.equal(CHANGELOG_TOPIC_CONFIG["cleanup.policy"], "compact");
});

test("tombstones outlive every checkpoint that is built upon", () => {
  assert.ok(Number(CHANGELOG_TOPIC_CONFIG["delete.retention.ms"]) === CHANGELOG_TOMBSTONE_RETENTION_MS);
  assert.ok(MAX_CHECKPOINT_AGE_MS < CHANGELOG_TOMBSTONE_RETENTION_MS);
});
