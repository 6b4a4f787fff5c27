import assert from "node:assert/strict";
import { mkdtemp } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import type { Page } from "playwright-core";
import type { DevicePresence } from "../../api/options.ts";
import type { ApiOptions } from "../../api/server.ts";
import type { KnownCommand } from "../../processors/formats/commands.ts";
import { STORES } from "../../processors/formats/records.ts";
import { SHADOW_BOUNDS } from "../../processors/formats/shadow.ts";
import { NEW_ROW, NO_STATE } from "../../processors/shadow/shadow-row.ts";
import { need } from "../support/need.ts";
import { waitFor } from "../support/wait-for.ts";
import { type ApiUnderTest, apiOverFakes, listening, TOPICS } from "../unit/api/support/api.ts";
import { deviceState } from "../unit/api/support/rows.ts";
import { apiToken } from "../unit/api/support/tenants.ts";
import { openPage, type OpenPage } from "./support/chromium.ts";
import { ScriptedPlant } from "./support/scripted-plant.ts";

const skip = await need("chromium");
const DEVICES = Array.from({ length: 14 }, (_, n) => `press-${String(n + 1).padStart(2, "0")}`);
const HOSTILE = `"><img src=x onerror="document.title='owned'"><script>document.title='owned'</script>`;

interface Shown extends OpenPage {
  readonly plant: ScriptedPlant;
  readonly api: ApiUnderTest;
  readonly url: string;
}

async function show(
  t: TestContext,
  options: { ids?: readonly string[]; hash?: string; theme?: "dark" | "light"; token?: string; tokens?: ApiOptions["tokens"] } = {},
): Promise<Shown> {
  const api = apiOverFakes(t, { token: options.token, tokens: options.tokens });
  const plant = new ScriptedPlant(api.queries, api.feed, options.ids ?? DEVICES);
  const now = Date.now();
  plant.fillHistory(now, 15);
  for (let ago = 60; ago > 0; ago--) plant.tick(now - ago * 1000, false);
  const url = await listening(api.app);
  const opened = await openPage(t, `${url}/${options.hash ?? ""}`, { colorScheme: options.theme ?? "dark" });
  if (options.token === undefined && options.tokens === undefined) await live(opened, api);
  return { ...opened, plant, api, url };
}

async function live({ page }: OpenPage, { feed }: ApiUnderTest): Promise<void> {
  await page.locator("#connection[data-state=live]").waitFor();
  await waitFor("the stream's subscription", () => feed.listeners.size === 1);
}

test("live values change as events come, in the list and on the charts", { skip }, async (t) => {
  const { page, plant, faults } = await show(t);
  await page.locator("#device-title", { hasText: "press-01" }).waitFor();
  const values = page.locator(".device-row", { hasText: "press-02" }).locator(".values");
  const now = page.locator(".chart", { hasText: "Temperature" }).locator(".now");
  await waitFor("a chart a metric", async () => (await page.locator(".chart canvas").count()) === 2);
  plant.say("press-01", Date.now(), 5000, { temperature_c: 41.25, rotation_rpm: 900 });
  await waitFor("the polled value", async () => /41\.25/.test((await now.textContent()) ?? ""));
  for (const temperature of [51.5, 52.5, 53.5]) {
    plant.tell("press-01", { temperature_c: temperature, rotation_rpm: 901 });
    plant.tell("press-02", { temperature_c: temperature + 10, rotation_rpm: 902 });
    await waitFor("the value on the chart", async () => (await now.textContent())?.includes(String(temperature)));
    await waitFor("the value in the list", async () => (await values.textContent())?.includes(String(temperature + 10)));
  }
  assert.deepEqual(faults, []);
});

test("the first device of the first tenant appears by itself on a page that showed nothing", { skip }, async (t) => {
  const { page, plant, faults } = await show(t, { ids: [] });
  await page.locator("#device-list", { hasText: "Nothing received yet" }).waitFor();
  plant.tell("device-123", { temperature_c: 21.5 });
  await page.locator("#device-title", { hasText: "device-123" }).waitFor();
  await page.locator(".chart", { hasText: "21.50" }).waitFor();
  assert.deepEqual(faults, []);
});

test("an alert appears as it fires and clears as it clears", { skip }, async (t) => {
  const { page, plant, faults } = await show(t);
  assert.equal(await page.locator(".alert").count(), 0);
  const started = Date.now();
  plant.alert("press-03", "overheating", "firing", started, started);
  const firing = page.locator(".alert[data-state=firing]", { hasText: "overheating" });
  await firing.waitFor();
  assert.equal(await page.locator("#firing").textContent(), "1");
  plant.alert("press-03", "overheating", "resolved", started, started + 1000);
  await page.locator(".alert[data-state=resolved]", { hasText: "overheating" }).waitFor();
  assert.equal(await firing.count(), 0);
  assert.equal(await page.locator("#firing").textContent(), "0");
  assert.deepEqual(faults, []);
});

test("an alert that fired before the page was opened is there", { skip }, async (t) => {
  const api = apiOverFakes(t);
  const plant = new ScriptedPlant(api.queries, api.feed, DEVICES);
  plant.tick(Date.now(), false);
  plant.alert("press-04", "overheating", "firing", Date.now(), Date.now());
  const { page } = await openPage(t, await listening(api.app), { colorScheme: "dark" });
  await page.locator(".alert[data-state=firing]", { hasText: "press-04" }).waitFor();
});

test("an alert that fires while the page asks for all of them is not forgotten when the answer comes", { skip }, async (t) => {
  const { page, plant, api, faults } = await show(t);
  const [asked, gate] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  let questions = 0;
  await page.route(/\/alerts\?/, async (route) => {
    // The page asks again at once; that answer would hide what the first one took away.
    if (questions++ > 0) return;
    const response = await route.fetch();
    asked.resolve();
    await gate.promise;
    await route.fulfill({ response });
  });
  const answered = page.waitForResponse(/\/alerts\?/);
  await page.reload();
  await asked.promise;
  await live({ page, faults }, api);
  plant.alert("press-04", "overheating", "firing", Date.now(), Date.now());
  await page.locator(".alert[data-state=firing]", { hasText: "press-04" }).waitFor();
  gate.resolve();
  await (await answered).finished();
  plant.alert("press-05", "overheating", "firing", Date.now(), Date.now());
  await page.locator(".alert[data-state=firing]", { hasText: "press-05" }).waitFor();
  assert.equal(await page.locator(".alert[data-state=firing]", { hasText: "press-04" }).count(), 1);
  assert.deepEqual(faults, []);
});

test("a window that closes is a new row, and the ledger shows counts and gaps", { skip }, async (t) => {
  const { page, plant, faults } = await show(t);
  await page.locator("#windows-body tr").first().waitFor();
  plant.closeWindow("press-02", 0);
  const start = Math.floor(Date.now() / 10_000) * 10_000 + 10_000;
  plant.closeWindow("press-01", start);
  await page.locator("#windows-body tr[data-new=true]").waitFor();
  assert.equal(await page.locator("#windows-body tr[data-new=true]").count(), 1);
  assert.match(await page.locator("#ledger-counts").innerText(), /duplicates\s+1,904/i);
  assert.equal(await page.locator(".coverage").first().locator(".gap").count(), 3);
  assert.match((await page.locator(".coverage").first().getAttribute("aria-label")) ?? "", /18 missing$/);
  assert.deepEqual(faults, []);
});

test("the topology is drawn with a rate per edge, and the header sums what comes in", { skip }, async (t) => {
  const { page, plant, faults } = await show(t);
  let records = 0;
  const timer = setInterval(() => plant.count((records += 500)), 100);
  t.after(() => clearInterval(timer));
  await page.locator(".graph .node", { hasText: "dedupe" }).waitFor();
  await waitFor("rates", async () => /\/s/.test((await page.locator(".graph .rate").allTextContents()).join()), { deadlineMs: 15_000 });
  assert.match((await page.locator("#rate-in").textContent()) ?? "", /^\d/);
  assert.equal(await page.locator("#tasks").textContent(), "4/4");
  assert.equal(await page.locator("#lag").textContent(), "12");
  assert.deepEqual(faults, []);
});

test("a hostile device id is shown as text and does nothing", { skip }, async (t) => {
  const { page, plant, faults } = await show(t, { ids: [HOSTILE, "press-01"], hash: `#demo/${encodeURIComponent(HOSTILE)}` });
  await page.locator("#device-title", { hasText: HOSTILE }).waitFor();
  plant.tick(Date.now());
  plant.alert(HOSTILE, "<b>rule</b>", "firing", Date.now(), Date.now());
  await page.locator(".alert", { hasText: "<b>rule</b>" }).waitFor();
  assert.equal(await page.title(), "Sluice");
  assert.equal(await page.locator("img").count(), 0);
  assert.deepEqual(faults, []);
});

test("ten thousand devices cost one page of rows, and can be searched and paged", { skip }, async (t) => {
  const api = apiOverFakes(t);
  const plant = new ScriptedPlant(api.queries, api.feed, []);
  for (let n = 0; n < 10_000; n++) plant.say(`d-${String(n).padStart(5, "0")}`, Date.now(), n, { temperature_c: n });
  const { page, faults } = await openPage(t, await listening(api.app), { colorScheme: "dark" });
  await page.locator(".device-row", { hasText: "d-00049" }).waitFor();
  assert.equal(await page.locator(".device-row").count(), 50);
  await page.locator("#page-on").click();
  await page.locator(".device-row", { hasText: "d-00050" }).waitFor();
  assert.equal(await page.locator(".device-row").count(), 50);
  await page.locator("#search").fill("0999");
  await page.locator(".device-row", { hasText: "d-09990" }).waitFor();
  assert.equal(await page.locator(".device-row").count(), 11);
  assert.deepEqual(faults, []);
});

test("it says when the worker is gone and comes back by itself", { skip }, async (t) => {
  const { page, api, url, plant } = await show(t);
  await api.app.close();
  await page.locator("#connection[data-state=disconnected]").waitFor();
  const again = apiOverFakes(t);
  new ScriptedPlant(again.queries, again.feed, DEVICES).tick(Date.now(), false);
  await again.app.listen({ host: "127.0.0.1", port: Number(new URL(url).port) });
  await page.locator("#connection[data-state=live]").waitFor({ timeout: 20_000 });
  plant.tick(Date.now());
});

test("with a token it asks for it, says when it is wrong, and keeps it in the tab", { skip }, async (t) => {
  const { page, api } = await show(t, { token: "open-sesame" });
  await page.locator("#login[open]").waitFor();
  await page.locator("#login-token").fill("wrong");
  await page.locator("#login button").click();
  await page.locator("#login-error", { hasText: "did not take" }).waitFor();
  await page.locator("#login-token").fill("open-sesame");
  await page.locator("#login button").click();
  await waitFor("the stream", () => api.feed.listeners.size === 1);
  await page.locator(".device-row", { hasText: "press-01" }).waitFor();
  await page.reload();
  await page.locator(".device-row", { hasText: "press-01" }).waitFor();
  assert.equal(await page.locator("#login[open]").count(), 0);
  assert.equal(await page.evaluate("localStorage.length"), 0);
});

test("with a tenant's token it shows that tenant alone, and leaves out what is about the deployment", { skip }, async (t) => {
  const tokens = [apiToken("of-demo", ["demo"], "read")];
  const { page, api, plant } = await show(t, { tokens: () => tokens });
  api.queries.put(STORES.deviceState, "beta|of-beta", deviceState("of-beta", { tenant: "beta" }));
  await page.locator("#login-token").fill("of-demo");
  await page.locator("#login button").click();
  await page.locator("#connection[data-state=live]").waitFor();
  await waitFor("the stream", () => api.feed.listeners.size === 1);
  await page.locator("#device-title", { hasText: "press-01" }).waitFor();
  api.feed.push([api.feed.record(TOPICS.normalized, "beta|of-beta", { deviceId: "of-beta", metrics: { temperature_c: 7 } })]);
  plant.tell("press-02", { temperature_c: 61.5 });
  const values = page.locator(".device-row", { hasText: "press-02" }).locator(".values");
  await waitFor("the value in the list", async () => (await values.textContent())?.includes("61.5"));
  await waitFor("no tiles of the deployment", async () => (await page.locator("[data-monitor]:visible").count()) === 0);
  assert.deepEqual(await page.locator("#tenant option").allTextContents(), ["demo"]);
  assert.equal(await page.locator("#notice").isVisible(), false);
  assert.ok(!(await page.content()).includes("of-beta"));
});

test("rows and controls can be used by keyboard", { skip }, async (t) => {
  const { page } = await show(t);
  await page.locator(".device-row", { hasText: "press-01" }).focus();
  await page.keyboard.press("ArrowDown");
  await page.keyboard.press("Enter");
  await page.locator("#device-title", { hasText: "press-02" }).waitFor();
  assert.match(page.url(), /#demo\/press-02$/);
});

/** What makes the page wider than its window: each element past the right edge, if the page scrolls sideways. */
async function stickingOut(page: Page): Promise<unknown> {
  return page.evaluate(`document.documentElement.scrollWidth <= innerWidth ? [] : [...document.querySelectorAll("body *")]
    .filter((element) => element.getBoundingClientRect().right > innerWidth)
    .map((element) => element.tagName + "." + element.getAttribute("class") + " " + element.getBoundingClientRect().right)`);
}

for (const theme of ["dark", "light"] as const) {
  test(`it looks right in ${theme} (the screenshot is for people; SLUICE_SCREENSHOTS names a folder to keep it)`, { skip }, async (t) => {
    const { page, plant, faults } = await show(t, { theme });
    const folder = process.env.SLUICE_SCREENSHOTS ?? (await mkdtemp(join(tmpdir(), "sluice-shots-")));
    const now = Date.now();
    for (let ago = 200; ago > 0; ago--) plant.tick(now - ago * 1000);
    let records = 0;
    const timer = setInterval(() => {
      plant.count((records += 1180 + (records % 170)));
      plant.tick(Date.now());
    }, 250);
    t.after(() => clearInterval(timer));
    plant.alert("press-09", "overheating", "firing", now - 42_000, now - 42_000);
    plant.alert("press-05", "overheating", "firing", now - 8000, now - 8000);
    plant.alert("press-02", "overspeed", "resolved", now - 95_000, now - 60_000);
    await waitFor(
      "some seconds of rates",
      async () => ((await page.locator("#spark .line").getAttribute("d")) ?? "").split("L").length > 6,
      { deadlineMs: 20_000 },
    );
    assert.equal(await page.evaluate("document.documentElement.dataset.theme"), theme);
    assert.deepEqual(await stickingOut(page), [], "nothing sticks out sideways");
    await page.screenshot({ path: join(folder, `dashboard-${theme}.png`), fullPage: true });
    await page.setViewportSize({ width: 390, height: 844 });
    assert.deepEqual(await stickingOut(page), [], "nor on a phone");
    await page.screenshot({ path: join(folder, `dashboard-${theme}-phone.png`), fullPage: true });
    assert.deepEqual(faults, []);
  });
}

test(
  "what goes on towards a device shows: desired beside reported, what is still to do, its commands; nothing where both are off",
  { skip },
  async (t) => {
    const off = await show(t);
    await off.page.locator("#ledger-counts").waitFor();
    assert.equal(await off.page.locator("#control").isVisible(), false);
    await off.page.close();

    const commands: KnownCommand[] = [];
    const api = apiOverFakes(t, {
      commands: {
        expiresInMs: 1_000,
        send: () => Promise.resolve(),
        status: () => Promise.resolve(undefined),
        newest: () => Promise.resolve(commands),
      },
      shadow: { bounds: SHADOW_BOUNDS, send: () => Promise.resolve() },
    });
    const plant = new ScriptedPlant(api.queries, api.feed, ["press-01"]);
    plant.tick(Date.now(), false);
    const url = await listening(api.app);
    const { page, faults } = await openPage(t, `${url}/`, { colorScheme: "dark" });
    await page.locator("#shadow-note", { hasText: "no shadow" }).waitFor();
    await page.locator("#command-note", { hasText: "none remembered" }).waitFor();

    const state = { ...NO_STATE, desired: { interval: 5, led: { color: HOSTILE } }, reported: { interval: 5, fan: true } };
    api.queries.put(STORES.shadows, "demo|press-01", NEW_ROW.changed(state, Date.now()));
    const times = { attempts: 2, guarantee: "at-least-once", ts: Date.now(), expiresTs: Date.now() + 1_000, offset: 1 } as const;
    const device = { tenant: "demo", deviceId: "press-01" };
    commands.push({ v: 1, id: "c1", ...device, name: HOSTILE, state: "failed", reason: "refused-by-device", ...times });
    await page.locator("#shadow-note", { hasText: "version 1, to do" }).waitFor();
    assert.deepEqual(await page.locator("#shadow-body th").allTextContents(), ["interval", "led.color", "fan"]);
    assert.deepEqual(await page.locator("#shadow-body tr[data-tone=warn] th").allTextContents(), ["led.color"]);
    await page.locator("#command-body tr[data-tone=bad]", { hasText: "failed, refused-by-device" }).waitFor();
    assert.deepEqual([await page.title(), faults], ["Sluice", []]);
  },
);

test(
  "presence shows: online, stale and offline in the list and of the device, with when and why; nothing where it is off",
  { skip },
  async (t) => {
    const off = await show(t);
    await off.page.locator("#device-facts", { hasText: "last seen" }).waitFor();
    assert.equal(await off.page.locator("#device-presence").isVisible(), false);
    await off.page.close();

    const now = Date.now();
    const known = new Map<string, DevicePresence>();
    const api = apiOverFakes(t, { presence: { of: (_tenant, deviceId) => known.get(deviceId) ?? null } });
    const plant = new ScriptedPlant(api.queries, api.feed, ["press-01", "press-02", "press-03"]);
    plant.tick(now, false);
    const { page, faults } = await openPage(t, `${await listening(api.app)}/#demo/press-01`, { colorScheme: "dark" });
    const line = page.locator("#device-presence");
    const label = (id: string) => page.locator(".device-row", { hasText: id }).locator(".seen");
    await line.getByText("presence unknown").waitFor();

    const told = { sinceTs: now - 180_000, lastSeenTs: now - 200_000, retained: false };
    known.set("press-01", { status: "online", reason: "telemetry", ...told, gateway: HOSTILE });
    known.set("press-02", { status: "stale", reason: "silence", ...told });
    await page
      .locator("#device-presence[data-status=online]", { hasText: /online since .*\(3 min\).*it sends telemetry.*gateway "><img/ })
      .waitFor();
    await label("press-02").getByText("stale 3 min").waitFor();
    assert.match((await label("press-01").textContent()) ?? "", /now|\d+ s/, "who is there is shown by what it said last");
    known.set("press-01", { status: "offline", reason: HOSTILE, ...told, sinceTs: now - 2 * 86_400_000 });
    await page.locator("#device-presence[data-status=offline]", { hasText: /offline since 2 d ago.*"><img src=x/ }).waitFor();
    await label("press-01").getByText("offline 2 d").waitFor();

    // what the stream brings does not hide what the next answer says
    known.set("press-01", { status: "online", reason: "state", ...told });
    plant.tell("press-01", { temperature_c: 41 });
    await page.locator("#device-presence[data-status=online]", { hasText: "it said so" }).waitFor();
    await page.locator(".device-row", { hasText: "press-01" }).locator(".seen[data-presence=online]").waitFor();
    assert.deepEqual([await page.title(), await page.locator("img").count(), faults], ["Sluice", 0, []]);
  },
);
