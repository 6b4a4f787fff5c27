/** Both brokers behind TLS with client certificates, and a bridge whose certificate is replaced while it runs. */
import { copyFileSync } from "node:fs";
import { join } from "node:path";
import { Authority, mutualTlsListener } from "../../support/certificates.ts";
import type { Cleanup } from "../../support/cleanup.ts";
import { freePort } from "../../support/free-port.ts";
import type { KafkaOptions } from "../../support/kafka.ts";
import { tempDir } from "../../support/temp-dir.ts";
import type { RigOptions } from "./rig.ts";

export interface Secure {
  readonly kafka: Pick<KafkaOptions, "config">;
  readonly rig: Pick<RigOptions, "mosquittoConfig" | "config" | "rotate">;
}

export async function secure(t: Cleanup): Promise<Secure> {
  const authority = await Authority.create(t);
  const [server, ...clients] = await Promise.all([authority.issue("server"), authority.issue("client"), authority.issue("client")]);
  const dir = tempDir(t, "bridge-secure");
  const live = { caFile: authority.caFile, certFile: join(dir, "cert.pem"), keyFile: join(dir, "key.pem") };
  let serial = 0;
  const rotate = (): Promise<void> => {
    const next = clients[serial++ % clients.length];
    copyFileSync(next.certFile, live.certFile);
    copyFileSync(next.keyFile, live.keyFile);
    return Promise.resolve();
  };
  await rotate();
  const port = await freePort();
  return {
    kafka: {
      config: mutualTlsListener(authority, server),
    },
    rig: {
      mosquittoConfig: [
        `listener ${port} 127.0.0.1`,
        `cafile ${authority.caFile}`,
        `certfile ${server.certFile}`,
        `keyfile ${server.keyFile}`,
        "require_certificate true",
      ],
      config: { kafka: { ssl: live }, mqtt: { url: `mqtts://127.0.0.1:${port}`, tls: live } },
      rotate,
    },
  };
}
