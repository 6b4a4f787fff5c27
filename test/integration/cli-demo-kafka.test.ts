import assert from "node:assert/strict";
import { test } from "node:test";
import { need } from "../support/need.ts";
import { startRegistry } from "../support/registry.ts";
import { sharedKafka } from "../support/shared-kafka.ts";
import { spawnCli } from "../support/spawn-cli.ts";
import { tempDir } from "../support/temp-dir.ts";
import { uniqueName } from "../support/unique-name.ts";

const skip = await need("kafka", "registry");

/** The first event of this type on the stream. */
async function firstEvent(url: string, type: string): Promise<unknown> {
  const answer = await fetch(url, { signal: AbortSignal.timeout(60_000) });
  let text = "";
  for await (const chunk of answer.body ?? []) {
    text += Buffer.from(chunk as Uint8Array).toString("utf8");
    const found = new RegExp(`event: ${type}\\ndata: (.*)\\n\\n`).exec(text);
    if (found !== null) return JSON.parse(found[1]);
  }
  throw new Error(`the stream ended without ${type}: ${text.slice(0, 1000)}`);
}

test(
  "with brokers configured the demo runs on Kafka; with a registry its output is Avro and the event stream still JSON",
  { skip, timeout: 180_000 },
  async (t) => {
    const kafka = await sharedKafka();
    const registry = await startRegistry(t);
    const name = uniqueName("demo");
    const cli = await spawnCli(t, ["demo", "--json"], {
      config: {
        applicationId: name,
        kafka: { brokers: kafka.bootstrap },
        topics: Object.fromEntries(
          ["raw", "normalized", "aggregates", "alerts", "dlq", "deviceState"].map((topic) => [topic, `${name}-${topic}`]),
        ),
        schemaRegistry: { url: registry.url },
        mqtt: { url: "mqtt://127.0.0.1:0" },
        http: { port: 0 },
        state: { dir: tempDir(t, "state") },
      },
    });
    const [line] = await cli.waitForOutput(/^\{.*"event":"running".*\}$/m, 60_000);
    const { dashboard, log } = JSON.parse(line) as { dashboard: string; log: string };
    assert.match(log, /^Kafka at /);
    const event = await firstEvent(`${dashboard}/v1/stream`, "normalized").catch((error: unknown) => {
      throw new Error(`no event on the stream; the demo said: ${cli.stderr().slice(-4000)}`, { cause: error });
    });
    const normalized = event as { tenant: string; metrics: Record<string, number> };
    assert.equal(normalized.tenant, "demo");
    assert.ok(Object.keys(normalized.metrics).length > 0);
    const subjects = (await (await fetch(`${registry.url}/subjects`)).json()) as string[];
    assert.ok(subjects.includes(`${name}-normalized-value`));
    assert.deepEqual(await cli.stop(), { code: 0, signal: null });
  },
);
