/** Two `sluice worker` processes of one group on a real Kafka: either one answers about every device. */
import assert from "node:assert/strict";
import { test, type TestContext } from "node:test";
import { pino } from "pino";
import { KafkaLog } from "../../eventlog/kafka/kafka-log.ts";
import type { DeviceStateRecord, LedgerView } from "../../processors/formats/records.ts";
import type { WorkerInfo } from "../../runtime/queries.ts";
import { need } from "../support/need.ts";
import { sharedKafka } from "../support/shared-kafka.ts";
import { spawnCli, type CliProcess } from "../support/spawn-cli.ts";
import { createJobTopics, jobTopics, waitUntilDrained, writeRaw, type RawEvent } from "../support/telemetry.ts";
import { tempDir } from "../support/temp-dir.ts";
import { uniqueName } from "../support/unique-name.ts";
import { waitFor } from "../support/wait-for.ts";

const skip = await need("kafka");
const PARTITIONS = 4;
const TASKS = ["0_0", "0_1", "0_2", "0_3"];
const DEVICES = Array.from({ length: 40 }, (_, n) => `d${String(n).padStart(2, "0")}`);
const READINGS = 5;
/** The last ten devices are hotter. */
const HOT_ABOVE = 30;
/** A token that callers show, and that a worker must show to the other. */
const TOKEN = "sixteen-characters-at-least";

interface Served {
  readonly cli: CliProcess;
  readonly url: string;
}

interface DeviceList {
  readonly devices: readonly DeviceStateRecord[];
  readonly next: string | null;
  readonly complete: boolean;
}

test(
  "a device of the other worker is forwarded to it, lists are merged, and a worker that is gone is not hidden: its rows come from copies for those who take them",
  { skip },
  async (t) => {
    const { one, two } = await startTwo(t);
    const owned = { one: await localIds(one), two: await localIds(two) };
    assert.ok(owned.one.length > 0 && owned.two.length > 0, "each has some of the devices");
    assert.deepEqual([...owned.one, ...owned.two].sort(), DEVICES);

    for (const [asked, own, others] of [
      [one, owned.one, owned.two],
      [two, owned.two, owned.one],
    ] as const) {
      for (const id of [own[0], ...others]) {
        const device = await json<DeviceStateRecord>(asked, `/v1/tenants/demo/devices/${id}`);
        assert.deepEqual([device.deviceId, device.seq, device.metrics.temperature_c.value], [id, READINGS - 1, valueOf(id)]);
      }
      const ledger = await json<LedgerView>(asked, `/v1/tenants/demo/devices/${others[0]}/ledger`);
      assert.deepEqual([ledger.deviceId, ledger.received], [others[0], READINGS]);
      assert.equal((await get(asked, `/v1/tenants/demo/devices/${others[0]}`, "wrong-token-of-some-length")).status, 401);
      assert.equal((await get(asked, "/v1/tenants/demo/devices/unheard-of")).status, 404);

      const list = await json<DeviceList>(asked, "/v1/tenants/demo/devices?limit=1000");
      assert.deepEqual([idsOf(list), list.next, list.complete], [DEVICES, null, true]);
      const alerts = await json<{ devices: { deviceId: string }[] }>(asked, "/v1/tenants/demo/alerts");
      assert.deepEqual(
        alerts.devices.map((device) => device.deviceId),
        DEVICES.filter((id) => valueOf(id) > HOT_ABOVE),
      );
      assert.deepEqual(await pagedIds(asked, 7), DEVICES, "seven at a time");
      const { workers } = await json<{ workers: WorkerInfo[] }>(asked, "/v1/tasks");
      assert.deepEqual(workers.flatMap(({ tasks }) => tasks.map((task) => task.taskId)).sort(), TASKS);
    }

    await waitFor("the first has whole copies of the other's tasks", async () => {
      const { workers } = await json<{ workers: WorkerInfo[] }>(one, "/v1/tasks?scope=local");
      const [{ standbys }] = workers;
      return standbys.length > 0 && standbys.every(({ lag, stalenessMs }) => lag === 0 && stalenessMs !== null);
    });
    await two.cli.kill("SIGKILL");
    const aged = await get(one, "/v1/tenants/demo/devices?limit=1000&maxStalenessMs=60000");
    assert.deepEqual([aged.status, Number(aged.headers.get("x-sluice-staleness-ms")) > 0], [200, true]);
    const copied = (await aged.json()) as DeviceList;
    assert.deepEqual([idsOf(copied), copied.next, copied.complete], [DEVICES, null, true]);
    const refused = await get(one, "/v1/tenants/demo/devices?limit=1000");
    assert.deepEqual([refused.status, refused.headers.has("retry-after")], [503, true]);
    const part = await json<DeviceList>(one, "/v1/tenants/demo/devices?limit=1000&partial=true");
    assert.deepEqual([idsOf(part), part.complete], [owned.one, false]);
    assert.equal((await get(one, `/v1/tenants/demo/devices/${owned.two[0]}`)).status, 503);
    const whole = async (): Promise<boolean> => (await get(one, "/v1/tenants/demo/devices?limit=1000")).status === 200;
    await waitFor("the worker that is left takes the other's tasks over", whole, { deadlineMs: 60_000, intervalMs: 200 });
    assert.deepEqual(await pagedIds(one, 1_000), DEVICES);
    assert.equal((await one.cli.stop()).code, 0);
  },
);

async function startTwo(t: TestContext): Promise<{ one: Served; two: Served }> {
  const kafka = await sharedKafka();
  const log = new KafkaLog({ brokers: kafka.bootstrap, clientId: "two-workers-test", logger: pino({ level: "silent" }) });
  t.after(() => log.close());
  const topics = jobTopics();
  await createJobTopics(log, topics, PARTITIONS);
  await writeRaw(log, topics.raw, readings());
  const applicationId = uniqueName("two");
  const start = async (instanceId: string): Promise<Served> => {
    const config = {
      applicationId,
      instanceId,
      kafka: { brokers: kafka.bootstrap, sessionTimeoutMs: 6_000 },
      topics,
      processing: { standbyReplicas: 1 },
      rules: [{ name: "hot", metric: "temperature_c", above: HOT_ABOVE }],
      state: { dir: tempDir(t, instanceId) },
      http: { port: 0 },
      log: { level: "info" },
    };
    const cli = await spawnCli(t, ["worker"], { config, env: { SLUICE_HTTP_TOKEN: TOKEN } });
    const [, url] = await cli.waitForOutput(/"url":"(http:[^"]+)"/);
    return { cli, url };
  };
  const [one, two] = await Promise.all([start("w1"), start("w2")]);
  await waitUntilDrained(log, applicationId, topics.raw);
  const shared = async (): Promise<boolean> =>
    (await Promise.all([one, two].map((worker) => json<{ workers: WorkerInfo[] }>(worker, "/v1/tasks?scope=local")))).every(
      ({ workers: [{ state, tasks, members }] }) =>
        state === "RUNNING" &&
        tasks.length === 2 &&
        tasks.every((task) => task.status === "running") &&
        members.every((member) => member.tasks.length === 2),
    );
  await waitFor("two running tasks at each worker", shared, { deadlineMs: 60_000 });
  return { one, two };
}

function* readings(): Generator<RawEvent> {
  const start = Date.now() - 60_000;
  for (let seq = 0; seq < READINGS; seq++) {
    for (const deviceId of DEVICES) {
      const ts = start + seq * 1_000;
      const value = Buffer.from(JSON.stringify({ deviceId, bootId: "b", seq, ts, tempC: valueOf(deviceId) }));
      yield { tenant: "demo", deviceId, value, receivedTs: ts };
    }
  }
}

/** Its own for each device, so that an answer of the wrong one shows. */
function valueOf(deviceId: string): number {
  return Number(deviceId.slice(1)) + 0.5;
}

function get({ url }: Served, path: string, token = TOKEN): Promise<Response> {
  return fetch(url + path, { headers: { authorization: `Bearer ${token}` }, signal: AbortSignal.timeout(10_000) });
}

async function json<T>(worker: Served, path: string): Promise<T> {
  const answer = await get(worker, path);
  const body = await answer.text();
  assert.equal(answer.status, 200, `${path}: ${body}`);
  return JSON.parse(body) as T;
}

function idsOf({ devices }: DeviceList): string[] {
  return devices.map((device) => device.deviceId);
}

async function localIds(worker: Served): Promise<string[]> {
  return idsOf(await json<DeviceList>(worker, "/v1/tenants/demo/devices?limit=1000&scope=local"));
}

async function pagedIds(worker: Served, limit: number): Promise<string[]> {
  const ids: string[] = [];
  for (let next: string | null = ""; next !== null;) {
    const page: DeviceList = await json(worker, `/v1/tenants/demo/devices?limit=${limit}${next === "" ? "" : `&after=${next}`}`);
    assert.ok(page.devices.length <= limit);
    ids.push(...idsOf(page));
    next = page.next;
  }
  return ids;
}
