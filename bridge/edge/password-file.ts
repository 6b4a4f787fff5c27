/** Names and passwords as Mosquitto 2 keeps them (`mosquitto_passwd`): `name:$7$iterations$salt$hash`, PBKDF2 with SHA-512. */
import { pbkdf2Sync, timingSafeEqual } from "node:crypto";
import { BridgeError } from "../errors.ts";

interface Hash {
  readonly iterations: number;
  readonly salt: Buffer;
  readonly hash: Buffer;
}

/** Checked while devices wait: 101 (Mosquitto's own) take 0.1 ms, so many 10 ms. */
const MAX_ITERATIONS = 10_000;

export class PasswordFile {
  readonly #hashes = new Map<string, Hash>();

  /** Throws BridgeError `bad-settings` with the line that is none. Empty lines and `#` are passed over. */
  constructor(text: string) {
    text.split("\n").forEach((line, index) => {
      if (line.trim() === "" || line.startsWith("#")) return;
      const match = /^([^:]+):\$7\$(\d+)\$([A-Za-z0-9+/=]+)\$([A-Za-z0-9+/=]+)\s*$/.exec(line);
      const iterations = Number(match?.[2]);
      if (match === null || iterations < 1 || iterations > MAX_ITERATIONS)
        throw new BridgeError(
          "bad-settings",
          `line ${index + 1} of the password file is no "name:$7$..." with up to ${MAX_ITERATIONS} iterations (mosquitto_passwd makes them)`,
        );
      this.#hashes.set(match[1], { iterations, salt: Buffer.from(match[3], "base64"), hash: Buffer.from(match[4], "base64") });
    });
  }

  check(name: string, password: Uint8Array): boolean {
    const known = this.#hashes.get(name);
    if (known === undefined) return false;
    return timingSafeEqual(pbkdf2Sync(password, known.salt, known.iterations, known.hash.length, "sha512"), known.hash);
  }
}
