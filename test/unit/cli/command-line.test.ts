import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { CommanderError } from "commander";
import { buildProgram } from "../../../cli/program.ts";
import { runCli } from "../../support/spawn-cli.ts";

const COMMANDS = buildProgram(() => undefined).commands.flatMap((command) => {
  const names = command.commands.map((inner) => `${command.name()} ${inner.name()}`);
  return names.length === 0 ? [command.name()] : names;
});

test("the commands are those of this version", () => {
  assert.deepEqual(COMMANDS, [
    "demo",
    "ingress",
    "worker",
    "gateway",
    "simulate",
    "topics",
    "mqtt-acl",
    "reset",
    "replay",
    "command send",
    "command status",
    "shadow get",
    "shadow set",
    "shadow replace",
    "shadow delete",
    "dlq list",
    "dlq show",
    "dlq replay",
    "dlq purge",
    "doctor",
    "topology",
  ]);
});

for (const command of COMMANDS) {
  test(`sluice ${command} --help tells of --config and --json`, async () => {
    const { error, output } = await parse([...command.split(" "), "--help"]);
    assert.equal(error?.exitCode, 0);
    assert.match(output, /Usage: sluice/);
    assert.match(output, /--config <file>/);
    assert.match(output, /--json/);
  });
}

for (const args of [
  ["nonsense"],
  ["worker", "--nonsense"],
  ["worker", "extra"],
  ["topics"],
  ["topics", "drop"],
  ["topology", "--format", "png"],
  ["simulate", "--rate", "fast"],
]) {
  test(`sluice ${args.join(" ")} is refused before anything is started`, async () => {
    assert.ok(((await parse(args)).error?.exitCode ?? 0) > 0);
  });
}

/** The command line without a process. */
async function parse(args: readonly string[]): Promise<{ error?: CommanderError; output: string }> {
  let output = "";
  const program = buildProgram(() => undefined);
  for (const command of [program, ...program.commands, ...program.commands.flatMap((inner) => inner.commands)]) {
    command.configureOutput({ writeOut: (text) => (output += text), writeErr: (text) => (output += text) });
  }
  try {
    await program.parseAsync(args, { from: "user" });
    return { output };
  } catch (error) {
    assert.ok(error instanceof CommanderError);
    return { error, output };
  }
}

for (const [args, code] of [
  [["--help"], 0],
  [["--version"], 0],
  [["worker", "--help"], 0],
  [[], 2],
  [["nonsense"], 2],
  [["topics", "drop"], 2],
] as const) {
  test(`sluice ${args.join(" ")} ends with ${code}`, async (t) => {
    const { code: actual, stdout, stderr } = await runCli(t, args);
    assert.equal(actual, code);
    assert.equal(stdout === "", code !== 0);
    assert.equal(stderr === "", code === 0);
  });
}

test("a wrong configuration ends with 2 and names the key", async (t) => {
  const { code, stderr } = await runCli(t, ["worker"], { config: { kafka: { brokerz: ["a:1"] } } });
  assert.equal(code, 2);
  assert.match(stderr, /kafka\.brokerz: is no setting/);
  assert.doesNotMatch(stderr, /at .*\.ts:\d+/);
});

test("with --json an error is one JSON line", async (t) => {
  for (const [args, code] of [
    [["worker", "--json", "--nonsense"], "usage"],
    [["topology", "--json", "--config", "/nonexistent.yaml"], "bad-configuration"],
  ] as const) {
    const { stderr } = await runCli(t, args);
    assert.equal((JSON.parse(stderr) as { error: { code: string } }).error.code, code);
  }
});

test("topology prints text, Mermaid and JSON without connecting anywhere", async (t) => {
  const config = { topics: { raw: "plant.raw" } };
  assert.match((await runCli(t, ["topology"], { config })).stdout, /plant\.raw/);
  assert.match((await runCli(t, ["topology", "--format", "mermaid"], { config })).stdout, /flowchart/);
  const json = JSON.parse((await runCli(t, ["topology", "--json"], { config })).stdout) as { nodes: unknown[]; edges: unknown[] };
  assert.ok(json.nodes.length > 5 && json.edges.length > 5);
});

test("the installed command is the same program", () => {
  const bin = fileURLToPath(new URL("../../../cli/sluice.mjs", import.meta.url));
  const result = spawnSync(process.execPath, [bin, "topics", "drop"], { encoding: "utf8", timeout: 30_000 });
  assert.equal(result.status, 2);
  assert.match(result.stderr, /create, verify/);
});
