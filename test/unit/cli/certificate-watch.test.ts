/** Certificates that end are told of, before and in time. */
import assert from "node:assert/strict";
import { copyFileSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import { Registry } from "prom-client";
import { certificateEnd, DAY_MS } from "../../../cli/certificate-end.ts";
import { watchCertificates, type WatchedFiles } from "../../../cli/certificate-watch.ts";
import { Closers } from "../../../cli/service.ts";
import { Authority, type CertificateFiles } from "../../support/certificates.ts";
import { recorder } from "../../support/log-recorder.ts";
import { need } from "../../support/need.ts";
import { tempDir } from "../../support/temp-dir.ts";

const skip = await need("openssl");
const HOUR_MS = 3_600_000;

/** A service that watches `files`, with the clocks in the test's hands. */
function watch(t: TestContext, files: WatchedFiles) {
  t.mock.timers.enable({ apis: ["setInterval", "Date"], now: Date.now() });
  t.mock.method(performance, "now", () => Date.now());
  const [registry, closers, { logger, lines }] = [new Registry(), new Closers(), recorder()];
  watchCertificates(files, registry, logger, closers);
  return {
    closers,
    /** What was said since the last call: level and kind. */
    said: (): string[] => lines.splice(0).map(({ level, kind }) => `${level} ${String(kind)}`),
    daysLeft: async (kind: string): Promise<number | undefined> => {
      const found = new RegExp(`^sluice_certificate_expiry_seconds\\{kind="${kind}"\\} (\\d+)`, "m").exec(await registry.metrics());
      return found === null ? undefined : Math.round((Number(found[1]) * 1000 - Date.now()) / DAY_MS);
    },
  };
}

test(
  "a metric for each certificate; in the last month of one a warning at the start and once a day, and an error when it has ended",
  { skip },
  async (t) => {
    const authority = await Authority.create(t);
    const [long, short] = await Promise.all([authority.issue("long", 365), authority.issue("short", 3)]);
    const { said, daysLeft, closers } = watch(t, { "kafka-client": long, "mqtt-client": short, "gateway-server": {} });
    assert.deepEqual(
      [await daysLeft("kafka-client"), await daysLeft("mqtt-client"), await daysLeft("gateway-server")],
      [365, 3, undefined],
    );
    assert.deepEqual(said(), ["40 mqtt-client"]);
    t.mock.timers.tick(23 * HOUR_MS);
    assert.deepEqual(said(), []);
    t.mock.timers.tick(HOUR_MS);
    assert.deepEqual(said(), ["40 mqtt-client"]);
    for (let hour = 0; hour < 96; hour++) t.mock.timers.tick(HOUR_MS);
    assert.deepEqual(said(), ["40 mqtt-client", "50 mqtt-client", "50 mqtt-client", "50 mqtt-client"]);
    await closers.run(recorder().logger);
    t.mock.timers.tick(48 * HOUR_MS);
    assert.deepEqual(said(), [], "closed");
  },
);

test("a replaced certificate counts once its key is there too, and is not warned of", { skip }, async (t) => {
  const authority = await Authority.create(t);
  const [old, next] = await Promise.all([authority.issue("old", 10), authority.issue("new", 365)]);
  const dir = tempDir(t, "watched");
  const live = { certFile: join(dir, "cert.pem"), keyFile: join(dir, "key.pem") };
  const put = (name: "certFile" | "keyFile", from: CertificateFiles): void => copyFileSync(from[name], live[name]);
  put("certFile", old);
  put("keyFile", old);
  const { said, daysLeft } = watch(t, { "mqtt-client": live });
  assert.deepEqual(said(), ["40 mqtt-client"]);
  put("certFile", next);
  t.mock.timers.tick(HOUR_MS);
  assert.equal(await daysLeft("mqtt-client"), 10, "the old pair is in use");
  put("keyFile", next);
  t.mock.timers.tick(24 * HOUR_MS);
  assert.equal(await daysLeft("mqtt-client"), 364);
  assert.deepEqual(said(), []);
});

test("a certificate with its chain ends with the first of them", { skip }, async (t) => {
  const authority = await Authority.create(t);
  const [leaf, between] = await Promise.all([authority.issue("leaf", 365), authority.issue("between", 5)]);
  const chain = join(tempDir(t, "chain"), "chain.pem");
  writeFileSync(chain, `${readFileSync(leaf.certFile, "utf8")}${readFileSync(between.certFile, "utf8")}`);
  assert.equal(Math.round((certificateEnd(readFileSync(chain)) - Date.now()) / DAY_MS), 5);
  assert.throws(() => certificateEnd(Buffer.from("none")));
});
