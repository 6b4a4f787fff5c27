/** Limits at the ingress between a real Mosquitto and a real log. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { Registry } from "prom-client";
import { ADMISSION_DEFAULTS } from "../../bridge/admission/settings.ts";
import { startMosquitto } from "../support/mosquitto.ts";
import { need } from "../support/need.ts";
import { waitFor } from "../support/wait-for.ts";
import { makeIngress } from "../unit/bridge/ingress-fixture.ts";
import { openLog, PARTITIONS, publisher, readTopic } from "./ingress-support.ts";

const skip = await need("mosquitto");

for (const policy of ["delay", "shed", "drop"] as const) {
  test(
    `${policy}: of a tenant at 50 times its limit each message is in raw, in shed or counted, and the quiet ones lose none`,
    { skip },
    async (t) => {
      const { url } = await startMosquitto(t);
      const log = await openLog(t);
      await log.admin.createTopics([{ name: "shed", partitions: PARTITIONS, config: {} }]);
      const registry = new Registry();
      const admission = {
        ...ADMISSION_DEFAULTS,
        shedTopic: "shed",
        tenants: [{ tenant: "noisy", tenantRate: { perSecond: 40, burst: 40, policy } }],
      };
      const ingress = makeIngress(t, log, { url }, registry, { admission });
      await ingress.start();
      const client = await publisher(t, url);
      const sent: Promise<unknown>[] = [];
      for (let i = 0; i < 2000; i++) {
        sent.push(client.publishAsync("t/noisy/d/a/telemetry", `n${i}`, { qos: 1 }));
        if (i % 10 === 0) sent.push(client.publishAsync("t/quiet/d/a/telemetry", `q${i}`, { qos: 1 }));
      }
      await Promise.all(sent);
      await waitFor("all acknowledged", () => ingress.stats().acked >= 2200, { deadlineMs: 20_000 });
      const raw = await readTopic(log, "raw");
      const of = (tenant: string): string[] => raw.filter(({ key }) => key === `${tenant}|a`).map(({ value }) => value);
      assert.deepEqual(
        of("quiet"),
        Array.from({ length: 200 }, (_, i) => `q${i * 10}`),
      );
      const noisy = of("noisy");
      assert.ok(noisy.length >= 40 && noisy.length < 1000, `${noisy.length} let in`);
      assert.deepEqual(
        noisy,
        noisy.toSorted((a, b) => Number(a.slice(1)) - Number(b.slice(1))),
        "in order",
      );
      const shed = await readTopic(log, "shed");
      const dropped = ingress.stats().admission.find(({ action }) => action === "drop")?.count ?? 0;
      assert.equal(noisy.length + shed.length + dropped, 2000);
      assert.equal(policy === "drop" ? shed.length : dropped, 0);
      assert.equal(new Set([...noisy, ...shed.map(({ value }) => value)]).size, 2000 - dropped, "none twice");
      assert.match(
        await registry.metrics(),
        new RegExp(`sluice_ingress_admission_total{action="${policy}",reason="tenant-rate",tenant="noisy"}`),
      );
    },
  );
}
