/** `sluice dlq` as people run it, on a real Kafka: letters of a real worker, mended and put back, with a kill -9 in the middle. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { pino } from "pino";
import { KafkaLog } from "../../eventlog/kafka/kafka-log.ts";
import { need } from "../support/need.ts";
import { sharedKafka } from "../support/shared-kafka.ts";
import { runCli, spawnCli } from "../support/spawn-cli.ts";
import { createJobTopics, jobTopics, parseAll, readTopic, waitUntilDrained, writeRaw } from "../support/telemetry.ts";
import type { RawEvent } from "../support/telemetry.ts";
import { tempDir } from "../support/temp-dir.ts";
import { uniqueName } from "../support/unique-name.ts";

const skip = await need("kafka");
const EVENTS = 6_000;
const START = Date.UTC(2026, 0, 1);

test(
  "records that a limit set too low made dead letters are put back after it is mended: a kill -9 half-way and a second run double none",
  { skip, timeout: 120_000 },
  async (t) => {
    const kafka = await sharedKafka();
    const log = new KafkaLog({ brokers: kafka.bootstrap, clientId: "dead-letters", logger: pino({ level: "silent" }) });
    t.after(() => log.close());
    const topics = jobTopics();
    await createJobTopics(log, topics, 2);
    const applicationId = uniqueName("letters");
    const wrong = {
      applicationId,
      kafka: { brokers: kafka.bootstrap },
      topics,
      // every payload is longer than this, and shorter than what is kept of one that is
      validation: { maxValueBytes: 10 },
      state: { dir: tempDir(t, "letters") },
      http: { port: 0 },
    };
    const mended = { ...wrong, validation: { maxValueBytes: 1_000 } };
    const sluice = async (...args: string[]): Promise<string> => {
      const { code, stdout, stderr } = await runCli(t, ["dlq", ...args, "--json"], { config: mended });
      assert.equal(code, 0, stderr);
      return stdout;
    };

    await writeRaw(log, topics.raw, readings());
    const first = await spawnCli(t, ["worker"], { config: wrong });
    await waitUntilDrained(log, applicationId, topics.raw);
    assert.equal((await first.stop()).code, 0);
    assert.equal((await readTopic(log, topics.normalized)).length, 0);

    const listed = (await sluice("list", "--device", "d1", "--limit", "2")).trim().split("\n");
    assert.equal(listed.length, 2);
    const { partition, offset, reason } = JSON.parse(listed[0]) as { partition: number; offset: number; reason: string };
    assert.equal(reason, "too-large");
    const shown = JSON.parse(await sluice("show", `${partition}/${offset}`)) as { value: string };
    assert.equal((JSON.parse(Buffer.from(shown.value, "base64").toString()) as { deviceId: string }).deviceId, "d1");

    const worker = await spawnCli(t, ["worker"], { config: mended });
    const replay = await spawnCli(t, ["dlq", "replay", "--reason", "too-large"], { config: mended });
    await replay.waitForOutput(/ [1-9]\d* records put back/);
    await replay.kill("SIGKILL");
    const second = JSON.parse(await sluice("replay", "--tenant", "demo")) as { replayed: number; already: number };
    assert.equal(second.replayed + second.already, EVENTS);
    assert.ok(second.already > 0, "the first had put some back");
    const third = JSON.parse(await sluice("replay")) as { replayed: number };
    assert.equal(third.replayed, 0);
    assert.equal((await readTopic(log, topics.raw)).length, 2 * EVENTS, "each once more");

    await waitUntilDrained(log, applicationId, topics.raw);
    assert.equal((await worker.stop()).code, 0);
    const seen = parseAll<{ deviceId: string; seq: number }>(await readTopic(log, topics.normalized));
    assert.deepEqual([seen.length, new Set(seen.map((event) => `${event.deviceId}/${event.seq}`)).size], [EVENTS, EVENTS]);

    assert.equal((JSON.parse(await sluice("purge", "--before", "latest")) as { done: boolean }).done, false);
    assert.equal((await readTopic(log, topics.dlq)).length, EVENTS);
    await sluice("purge", "--before", "latest", "--yes");
    assert.equal((await readTopic(log, topics.dlq)).length, 0);
    const gone = await runCli(t, ["dlq", "show", `${partition}/${offset}`], { config: mended });
    assert.equal(gone.code, 1, "no letter there any more");
  },
);

test("what is no place, time or position is wrong usage", async (t) => {
  const wrong = [["show", "7"], ["list", "--since", "5"], ["replay", "--offsets", "b"], ["purge"], ["purge", "--before", "earliest"], []];
  for (const args of wrong) assert.equal((await runCli(t, ["dlq", ...args])).code, 2, args.join(" "));
});

function* readings(): Generator<RawEvent> {
  for (let n = 0; n < EVENTS; n++) {
    const deviceId = `d${n % 4}`;
    const ts = START + n * 500;
    const value = Buffer.from(JSON.stringify({ deviceId, bootId: "b", seq: Math.floor(n / 4), ts, tempC: 20 }));
    yield { tenant: "demo", deviceId, value, receivedTs: ts };
  }
}
