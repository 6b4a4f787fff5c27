import { readFileSync } from "node:fs";
import type { ConfigIssue } from "./errors.ts";
import type { Tree } from "./environment.ts";
import { envName } from "./leaves.ts";
import { SECRETS } from "./schema.ts";

/** A file that holds more than this is no secret but a mistake. Bytes. */
const MAX_SECRET_BYTES = 16 * 1024;

/** What the configuration file itself must not hold. */
export function secretsInFile(tree: Tree): ConfigIssue[] {
  const found: ConfigIssue[] = [];
  for (const secret of SECRETS) {
    const [section, key] = locate(tree, secret);
    if (section?.[key] === undefined) continue;
    const message = `a secret does not belong in the configuration file; use ${key}File or ${envName(secret.split("."))}`;
    found.push({ path: secret, message });
  }
  return found;
}

/** A file's last line end is not part of the secret. */
export function secretText(content: Buffer): string {
  return content.toString("utf8").replace(/\r?\n$/, "");
}

/** The file, if it is where the secret came from and not the environment, which wins: only then may it change. */
export function secretFileOf(file: string | undefined, secret: string | undefined): string | undefined {
  return file !== undefined && secretText(readFileSync(file)) === secret ? file : undefined;
}

/** Replaces each `<secret>File` by what the file holds (without the line end), in place. An environment variable with the secret itself wins. */
export function readSecretFiles(tree: Tree): ConfigIssue[] {
  const issues: ConfigIssue[] = [];
  for (const secret of SECRETS) {
    const [section, key] = locate(tree, secret);
    const file = section?.[`${key}File`];
    if (section === undefined || typeof file !== "string" || section[key] !== undefined) continue;
    try {
      const content = readFileSync(file);
      if (content.length > MAX_SECRET_BYTES) throw new Error(`holds more than ${MAX_SECRET_BYTES} bytes`);
      const value = secretText(content);
      if (value === "") throw new Error("is empty");
      section[key] = value;
    } catch (error) {
      issues.push({ path: `${secret}File`, message: `${file}: ${error instanceof Error ? error.message : String(error)}` });
    }
  }
  return issues;
}

function locate(tree: Tree, path: string): [Tree | undefined, string] {
  const keys = path.split(".");
  let section: unknown = tree;
  for (const key of keys.slice(0, -1)) section = typeof section === "object" && section !== null ? (section as Tree)[key] : undefined;
  return [typeof section === "object" && section !== null ? (section as Tree) : undefined, keys[keys.length - 1]];
}
