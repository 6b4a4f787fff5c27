/** `http.tokensFile` and `http.tokenFile`: what is taken, what is refused and how it is said, and changes without a restart. */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import { pino } from "pino";
import { Registry } from "prom-client";
import { authenticator, type Authenticate } from "../../../api/auth.ts";
import type { Ingress } from "../../../bridge/ingress.ts";
import { ConfigError } from "../../../cli/config/errors.ts";
import { loadConfig } from "../../../cli/config/load.ts";
import { parseTokensFile } from "../../../cli/config/tokens-file.ts";
import { httpTokens } from "../../../cli/http-tokens.ts";
import { startIngressHttp } from "../../../cli/ingress-http.ts";
import { Closers } from "../../../cli/service.ts";
import { tempDir } from "../../support/temp-dir.ts";

const TOKEN = "of-acme-and-long-enough";
const OTHER = "another-long-enough-one";
const LOGGER = pino({ level: "silent" });
const sha256 = (token: string): string => createHash("sha256").update(token).digest("hex");

function fileWith(t: TestContext, text: string): string {
  const file = join(tempDir(t, "tokens"), "tokens.yaml");
  writeFileSync(file, text);
  return file;
}

function problemsOf(t: TestContext, text: string): string[] {
  try {
    parseTokensFile(fileWith(t, text));
  } catch (error) {
    assert.ok(error instanceof ConfigError, String(error));
    assert.ok(!error.message.includes("s3cret"), `tells a secret: ${error.message}`);
    return error.issues.map(({ path, message }) => `${path}: ${message}`);
  }
  return [];
}

test("tokens come as texts or as digests, in YAML or JSON; a digest opens what its text would", (t) => {
  const yaml = `
tokens:
  - { name: acme, token: ${TOKEN}, tenants: [acme, acme-test], permissions: [read, command] }
  - { name: prometheus, token: "sha256:${sha256(OTHER).toUpperCase()}", permissions: [monitor] }
  - { name: ops, token: "sha256:${sha256("a third, which nobody sees")}", tenants: "*", permissions: [admin] }
`;
  const tokens = parseTokensFile(fileWith(t, yaml));
  assert.deepEqual(
    tokens.map(({ name, tenants, permissions }) => [name, tenants, permissions]),
    [
      ["acme", new Set(["acme", "acme-test"]), new Set(["read", "command"])],
      ["prometheus", new Set(), new Set(["monitor"])],
      ["ops", "*", new Set(["admin"])],
    ],
  );
  const authenticate = authenticator({ tokens: () => tokens });
  assert.equal(authenticate?.(`Bearer ${TOKEN}`).name, "acme");
  assert.equal(authenticate?.(`Bearer ${OTHER}`).name, "prometheus");
  assert.throws(() => authenticate?.(`Bearer sha256:${sha256(OTHER)}`), /none that this worker/, "the digest itself opens nothing");
  const json = JSON.stringify({ tokens: [{ name: "a", token: TOKEN, tenants: ["a"], permissions: ["read"] }] });
  assert.equal(parseTokensFile(fileWith(t, json)).length, 1);
  assert.deepEqual(parseTokensFile(fileWith(t, "tokens: []")), []);
});

const entry = (fields: string): string => `tokens: [{ name: a, token: ${TOKEN}, tenants: [acme], permissions: [read], ${fields} }]`;
const wrong: readonly (readonly [what: string, text: string, problems: readonly (string | RegExp)[]])[] = [
  ["no list", "tokens: { s3cret-s3cret-s3cret: [acme] }", [/^tokens: .*expected array/]],
  ["nothing", "", [/expected object/]],
  ["no YAML", "tokens:\n - s3cret: [\n", [/^: line \d is no YAML/]],
  ["an unknown key", entry("s3cret: 1"), ["tokens[0]: holds something else than name, token, tenants, permissions"]],
  ["a token too short", 'tokens: [{ name: a, token: s3cret, tenants: "*", permissions: [read] }]', [/^tokens\[0\].token: .*at least 16/]],
  ["spaces in a token", 'tokens: [{ name: a, token: "s3cret s3cret s3cret", tenants: "*", permissions: [read] }]', [/printable ASCII/]],
  ["half a digest", 'tokens: [{ name: a, token: "sha256:s3cret", tenants: "*", permissions: [read] }]', [/^tokens\[0\].token: .*64 hex/]],
  [
    "an unknown permission",
    `tokens: [{ name: a, token: ${TOKEN}, tenants: "*", permissions: [s3cret] }]`,
    [/^tokens\[0\].permissions\[0\]: /],
  ],
  ["no permission", `tokens: [{ name: a, token: ${TOKEN}, tenants: "*", permissions: [] }]`, [/^tokens\[0\].permissions: /]],
  ["no tenants to read", `tokens: [{ name: a, token: ${TOKEN}, permissions: [read] }]`, [/^tokens\[0\].tenants: is missing/]],
  [
    "an admin of one tenant",
    `tokens: [{ name: a, token: ${TOKEN}, tenants: [acme], permissions: [admin] }]`,
    [/^tokens\[0\].tenants: must be "\*"/],
  ],
  [
    "* among tenants",
    `tokens: [{ name: a, token: ${TOKEN}, tenants: [acme, "*"], permissions: [read] }]`,
    [/^tokens\[0\].tenants\[1\]: all tenants/],
  ],
  ["a tenant with |", `tokens: [{ name: a, token: ${TOKEN}, tenants: ["a|b"], permissions: [read] }]`, [/^tokens\[0\].tenants\[0\]: /]],
  ["an empty tenant", `tokens: [{ name: a, token: ${TOKEN}, tenants: [""], permissions: [read] }]`, [/^tokens\[0\].tenants\[0\]: /]],
  ["a number as tenant", `tokens: [{ name: a, token: ${TOKEN}, tenants: [17], permissions: [read] }]`, [/^tokens\[0\].tenants\[0\]: /]],
  [
    "a word as tenants",
    `tokens: [{ name: a, token: ${TOKEN}, tenants: acme, permissions: [read] }]`,
    ['tokens[0].tenants: must be "*" or a list of tenants'],
  ],
  [
    "the same name and token twice",
    `tokens: [{ name: a, token: ${TOKEN}, tenants: [a], permissions: [read] }, { name: a, token: "sha256:${sha256(TOKEN)}", tenants: [b], permissions: [read] }]`,
    ["tokens[1].name: is that of tokens[0] too", "tokens[1].token: is that of tokens[0] too"],
  ],
  ["too many", `tokens: [${`{ name: a, token: ${TOKEN}, tenants: [a], permissions: [read] },`.repeat(1_001)}]`, [/^tokens: .*1000/]],
];
for (const [what, text, expected] of wrong)
  test(`a file of tokens with ${what} is refused, by place and without a secret`, (t) => {
    const problems = problemsOf(t, text);
    assert.equal(problems.length, expected.length, problems.join("\n"));
    for (const [at, pattern] of expected.entries())
      if (typeof pattern === "string") assert.equal(problems[at], pattern);
      else assert.match(problems[at], pattern);
  });

test("a file that is not there is said with its name", (t) => {
  const file = join(tempDir(t, "tokens"), "absent.yaml");
  assert.throws(() => parseTokensFile(file), new RegExp(`configuration ${file} is wrong.*\n.*ENOENT`));
});

test("both files are read again when they change; what cannot be used leaves the tokens as they were", (t) => {
  let now = 0;
  t.mock.method(performance, "now", () => (now += 60_000));
  const dir = tempDir(t, "tokens");
  const [one, more] = [join(dir, "one"), join(dir, "more.yaml")];
  const say = (token: string): void => writeFileSync(more, `tokens: [{ name: a, token: ${token}, tenants: [acme], permissions: [read] }]`);
  writeFileSync(one, `${TOKEN}-full\n`);
  say(TOKEN);
  const { config } = loadConfig(undefined, { SLUICE_HTTP_TOKEN_FILE: one, SLUICE_HTTP_TOKENS_FILE: more });
  const authenticate = authenticator(httpTokens(config, LOGGER));
  assert.deepEqual(
    [opens(authenticate, `${TOKEN}-full`), opens(authenticate, TOKEN), opens(authenticate, OTHER)],
    ["http.token", "a", undefined],
  );
  writeFileSync(more, "tokens: [{ name: half");
  assert.deepEqual([opens(authenticate, TOKEN), opens(authenticate, OTHER)], ["a", undefined]);
  say(OTHER);
  assert.deepEqual([opens(authenticate, TOKEN), opens(authenticate, OTHER)], [undefined, "a"]);
  rmSync(more);
  assert.equal(opens(authenticate, OTHER), "a");
  writeFileSync(one, "short");
  assert.equal(opens(authenticate, `${TOKEN}-full`), "http.token");
  writeFileSync(one, `${TOKEN}-new-one\n`);
  assert.deepEqual([opens(authenticate, `${TOKEN}-full`), opens(authenticate, `${TOKEN}-new-one`)], [undefined, "http.token"]);
});

test("without http.tokenFile and http.tokensFile nobody is asked, with an empty list everybody is refused", (t) => {
  assert.equal(authenticator(httpTokens(loadConfig(undefined, {}).config, LOGGER)), undefined);
  const { config } = loadConfig(undefined, { SLUICE_HTTP_TOKENS_FILE: fileWith(t, "tokens: []") });
  assert.equal(opens(authenticator(httpTokens(config, LOGGER)), TOKEN), undefined);
});

test("the ingress' metrics, which name tenants, ask for monitor where there are tokens; its health asks for nothing", async (t) => {
  const closers = new Closers();
  t.after(() => closers.run(LOGGER));
  const tokens = parseTokensFile(
    fileWith(
      t,
      `tokens: [{ name: a, token: ${TOKEN}, tenants: [acme], permissions: [read, command] }, { name: m, token: ${OTHER}, permissions: [monitor] }]`,
    ),
  );
  const doors = { authenticate: authenticator({ tokens: () => tokens }) };
  const ingress = { stats: () => ({ connected: true }) } as Ingress;
  const port = await startIngressHttp({ host: "127.0.0.1", port: 0 }, ingress, new Registry(), LOGGER, closers, doors);
  const status = async (path: string, token?: string): Promise<number> =>
    (await fetch(`http://127.0.0.1:${port}${path}`, { headers: token === undefined ? {} : { authorization: `Bearer ${token}` } })).status;
  assert.deepEqual([await status("/metrics"), await status("/metrics", "x"), await status("/health/../metrics")], [401, 401, 401]);
  assert.deepEqual([await status("/metrics", TOKEN), await status("/metrics", OTHER)], [403, 200]);
  assert.deepEqual([await status("/health/live"), await status("/health/ready")], [200, 200]);
});

function opens(authenticate: Authenticate | undefined, token: string): string | undefined {
  try {
    return authenticate?.(`Bearer ${token}`).name;
  } catch {
    return undefined;
  }
}
