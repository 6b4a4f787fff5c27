/** A listener of Mosquitto on which a client is the CN of its certificate. */
import { readFileSync } from "node:fs";
import type { IClientOptions, MqttClient } from "mqtt";
import { Authority } from "../support/certificates.ts";
import type { Cleanup } from "../support/cleanup.ts";
import { freePort } from "../support/free-port.ts";
import { publisher } from "./ingress-support.ts";

export class MutualTls {
  /** Lines of mosquitto.conf. */
  readonly config: readonly string[];
  readonly url: string;
  readonly authority: Authority;
  readonly #files = new Map<string, Promise<{ cert: Buffer; key: Buffer }>>();

  static async create(t: Cleanup): Promise<MutualTls> {
    const authority = await Authority.create(t);
    const { certFile, keyFile } = await authority.issue("server");
    const port = await freePort();
    const config = [
      `listener ${port} 127.0.0.1`,
      `cafile ${authority.caFile}`,
      `certfile ${certFile}`,
      `keyfile ${keyFile}`,
      "require_certificate true",
      "use_identity_as_username true",
    ];
    return new MutualTls(authority, config, `mqtts://127.0.0.1:${port}`);
  }

  private constructor(authority: Authority, config: readonly string[], url: string) {
    this.authority = authority;
    this.config = config;
    this.url = url;
  }

  async filesOf(commonName: string, authority = this.authority): Promise<{ cert: Buffer; key: Buffer }> {
    const { certFile, keyFile } = await authority.issue(commonName);
    return { cert: readFileSync(certFile), key: readFileSync(keyFile) };
  }

  /** With a certificate of that CN, made once. */
  async login(t: Cleanup, commonName: string, options: IClientOptions = {}): Promise<MqttClient> {
    let files = this.#files.get(commonName);
    if (files === undefined) this.#files.set(commonName, (files = this.filesOf(commonName)));
    return this.connect(t, { ...options, ...(await files) });
  }

  /** With what the options say; a refusal rejects. */
  connect(t: Cleanup, options: IClientOptions): Promise<MqttClient> {
    const ca = readFileSync(this.authority.caFile);
    return publisher(t, this.url, { protocolVersion: 5, reconnectPeriod: 0, ca, ...options });
  }
}
