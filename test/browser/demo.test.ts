/** The dashboard over the real demo: broker, log, ingress, worker and devices in one process, shown by real Chromium. */
import assert from "node:assert/strict";
import { mkdtemp } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import mqtt from "mqtt";
import { freePort } from "../support/free-port.ts";
import { need } from "../support/need.ts";
import { spawnCli } from "../support/spawn-cli.ts";
import { tempDir } from "../support/temp-dir.ts";
import { waitFor } from "../support/wait-for.ts";
import { openPage } from "./support/chromium.ts";

const skip = await need("chromium");
/** For each thing to be seen: demo and Chromium start cold, maybe on a busy machine. */
const SEEN_WITHIN_MS = 60_000;
const OWN_DEVICE = "device-under-test";

test("the demo's devices appear, their values change, and an alert appears and clears", { skip }, async (t) => {
  const config = { mqtt: { url: `mqtt://127.0.0.1:${await freePort()}` }, http: { port: 0 }, state: { dir: tempDir(t, "demo") } };
  const demo = await spawnCli(t, ["demo", "--json"], { config });
  const [line] = await demo.waitForOutput(/^\{.*"event":"running".*\}$/m, SEEN_WITHIN_MS);
  const running = JSON.parse(line) as { dashboard: string; mqtt: string };
  const { page, faults } = await openPage(t, running.dashboard, { colorScheme: "dark" });
  page.setDefaultTimeout(SEEN_WITHIN_MS);
  await page.locator("#connection[data-state=live]").waitFor();

  const rows = page.locator(".device-row");
  await waitFor("20 devices and the recorded machine", async () => (await rows.count()) === 21, { deadlineMs: SEEN_WITHIN_MS });
  const machine = rows.filter({ hasText: "machine-1" });
  const shown = new Set<string>();
  const fiveValues = async (): Promise<boolean> => shown.add((await machine.locator(".values").textContent()) ?? "").size >= 5;
  await waitFor("five different values of the machine", fiveValues, { deadlineMs: SEEN_WITHIN_MS });
  await machine.click();
  await page.locator(".chart canvas").first().waitFor();

  // The demo's devices take minutes to cross a rule's threshold.
  const publisher = await mqtt.connectAsync(running.mqtt);
  t.after(() => publisher.endAsync(true));
  let seq = 0;
  const publish = async (tempC: number): Promise<void> => {
    const reading = { deviceId: OWN_DEVICE, bootId: "1", ts: Date.now(), seq: seq++, tempC };
    await publisher.publishAsync(`t/demo/d/${OWN_DEVICE}/telemetry`, JSON.stringify(reading), { qos: 1 });
  };
  const firing = page.locator(".alert[data-state=firing]", { hasText: OWN_DEVICE });
  await publish(70);
  await rows.filter({ hasText: OWN_DEVICE }).waitFor();
  assert.equal(await firing.count(), 0);
  await publish(95.5);
  await firing.filter({ hasText: "hot" }).waitFor();
  const folder = process.env.SLUICE_SCREENSHOTS ?? (await mkdtemp(join(tmpdir(), "sluice-shots-")));
  await page.screenshot({ path: join(folder, "demo.png"), fullPage: true });
  await publish(71);
  await page.locator(".alert[data-state=resolved]", { hasText: OWN_DEVICE }).waitFor();
  assert.equal(await firing.count(), 0);

  assert.deepEqual(faults, []);
  assert.deepEqual(await demo.stop(), { code: 0, signal: null });
  assert.equal(demo.stderr(), "");
});
