/** What every store engine must do. Run by test/contract/state-engine.test.ts over each engine. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { TestContext } from "node:test";
import type { EngineOp, EngineRange, StateEngine } from "../../state/engines/engine.ts";
import { StateError } from "../../state/errors.ts";

export interface EngineUnderTest {
  readonly name: string;
  /** Rows are there again after close and open. */
  readonly durable: boolean;
  /** A directory that no one uses; removed after the test. */
  directory(t: TestContext): Promise<string>;
  create(directory: string): StateEngine;
}

const key = (text: string): Buffer => Buffer.from(text, "latin1");
const put = (name: string, value: string): EngineOp => ({ key: key(name), value: key(value) });
const del = (name: string): EngineOp => ({ key: key(name), value: undefined });

async function collect(engine: StateEngine, range: Partial<EngineRange> = {}): Promise<string[]> {
  const rows = await engine.read({ limit: 100_000, ...range });
  return rows.map(([name, value]) => `${name.toString("latin1")}=${value.toString("latin1")}`);
}

export function stateEngineContract(subject: EngineUnderTest): void {
  async function opened(t: TestContext): Promise<StateEngine> {
    const created = closing(t);
    const engine = created(await subject.directory(t));
    await engine.open();
    return engine;
  }

  /** Hooks run in their order: engines close before their directory goes. */
  function closing(t: TestContext): (directory: string) => StateEngine {
    const engines: StateEngine[] = [];
    t.after(async () => {
      for (const engine of engines) await engine.close();
    });
    return (directory) => {
      const engine = subject.create(directory);
      engines.push(engine);
      return engine;
    };
  }

  describe(`state engine ${subject.name}`, () => {
    test("an absent key is undefined, an empty value is not", async (t) => {
      const engine = await opened(t);
      await engine.batch([put("a", "")]);
      assert.equal(engine.getSync(key("b")), undefined);
      assert.deepEqual(engine.getSync(key("a")), Buffer.alloc(0));
    });

    test("a batch applies in order: the last operation on a key wins", async (t) => {
      const engine = await opened(t);
      await engine.batch([put("a", "1"), del("a"), put("b", "1"), put("b", "2"), del("c"), put("d", "1"), del("d")]);
      assert.deepEqual(await collect(engine), ["b=2"]);
    });

    test("a batch may hand over one object that changes between steps", async (t) => {
      const engine = await opened(t);
      function* ops(): Iterable<EngineOp> {
        const op: { key: Uint8Array; value: Uint8Array | undefined } = { key: key(""), value: undefined };
        for (const name of ["x", "y", "z"]) {
          op.key = key(name);
          op.value = key(name + name);
          yield op;
        }
      }
      await engine.batch(ops());
      assert.deepEqual(await collect(engine), ["x=xx", "y=yy", "z=zz"]);
    });

    test("a batch whose iteration fails changes nothing", async (t) => {
      const engine = await opened(t);
      function* ops(): Iterable<EngineOp> {
        yield put("x", "1");
        throw new StateError("corrupt-row", "broken off");
      }
      await assert.rejects(engine.batch(ops()), { code: "corrupt-row" });
      assert.deepEqual(await collect(engine), []);
    });

    test("read goes by bytes, not by text, and keeps to from, after, to and limit", async (t) => {
      const engine = await opened(t);
      await engine.batch(["b", "a\xff", "a", "\x00", "\xff", "aa", "\x80", ""].filter((name) => name !== "").map((name) => put(name, "1")));
      assert.deepEqual(await collect(engine), ["\x00=1", "a=1", "aa=1", "a\xff=1", "b=1", "\x80=1", "\xff=1"]);
      assert.deepEqual(await collect(engine, { from: key("a"), to: key("b") }), ["a=1", "aa=1", "a\xff=1"]);
      assert.deepEqual(await collect(engine, { after: key("a"), to: key("b") }), ["aa=1", "a\xff=1"]);
      assert.deepEqual(await collect(engine, { after: key("a"), from: key("\x00"), limit: 1 }), ["aa=1"]);
      assert.deepEqual(await collect(engine, { from: key("a0"), limit: 2 }), ["aa=1", "a\xff=1"]);
      assert.deepEqual(await collect(engine, { after: key("\xff") }), []);
      assert.deepEqual(await collect(engine, { limit: 0 }), []);
    });

    test("a read of more rows than come over in one go is complete, and in pages too", async (t) => {
      const engine = await opened(t);
      const names = Array.from({ length: 2_345 }, (_, i) => String(i).padStart(6, "0"));
      await engine.batch(names.map((name) => put(name, "v".repeat(300))));
      assert.deepEqual(
        (await collect(engine)).map((row) => row.slice(0, 6)),
        names,
      );
      assert.equal((await collect(engine, { limit: 2_344 })).length, 2_344);
      const paged: string[] = [];
      for (;;) {
        const page = await collect(engine, { limit: 100, ...(paged.length === 0 ? {} : { after: key(paged[paged.length - 1]) }) });
        paged.push(...page.map((row) => row.slice(0, 6)));
        if (page.length < 100) break;
      }
      assert.deepEqual(paged, names);
    });

    test("a read sees a batch that comes meanwhile wholly or not at all", async (t) => {
      const engine = await opened(t);
      const names = Array.from({ length: 3_000 }, (_, i) => String(i).padStart(5, "0"));
      await engine.batch(names.map((name) => put(name, "old")));
      const [rows] = await Promise.all([collect(engine), engine.batch(names.map((name) => put(name, "new")))]);
      assert.equal(rows.length, 3_000);
      assert.equal(new Set(rows.map((row) => row.slice(6))).size, 1);
    });

    test("getMany answers in the order of the keys, absent ones undefined", async (t) => {
      const engine = await opened(t);
      await engine.batch([put("a", "1"), put("b", ""), put("c", "3")]);
      assert.deepEqual(await engine.getMany([key("c"), key("x"), key("b"), key("a")]), [key("3"), undefined, key(""), key("1")]);
      assert.deepEqual(await engine.getMany([]), []);
    });

    test("what getSync gave stays as it was when the row is overwritten", async (t) => {
      const engine = await opened(t);
      await engine.batch([put("a", "1")]);
      const before = engine.getSync(key("a"));
      await engine.batch([put("a", "2")]);
      assert.equal(before?.toString(), "1");
    });

    test("calls on a closed engine fail with `closed`", async (t) => {
      const engine = await opened(t);
      await engine.close();
      const closed = (error: unknown): boolean => error instanceof StateError && error.code === "closed";
      assert.throws(() => engine.getSync(key("a")), closed);
      await assert.rejects(engine.getMany([key("a")]), closed);
      await assert.rejects(engine.batch([put("a", "1")]), closed);
      await assert.rejects(collect(engine), closed);
      await engine.close();
    });

    test("destroy leaves an engine that opens empty", async (t) => {
      const directory = await subject.directory(t);
      const engine = subject.create(directory);
      await engine.open();
      await engine.batch([put("a", "1")]);
      await engine.destroy();
      await engine.open();
      assert.deepEqual(await collect(engine), []);
      await engine.close();
    });

    if (subject.durable) {
      test("rows are there again after close and open", async (t) => {
        const created = closing(t);
        const directory = await subject.directory(t);
        const first = created(directory);
        await first.open();
        await first.batch([put("a", "1"), put("b", "2")]);
        await first.close();
        const second = created(directory);
        await second.open();
        assert.deepEqual(await collect(second), ["a=1", "b=2"]);
      });

      test("a directory in use is `locked`", async (t) => {
        const created = closing(t);
        const directory = await subject.directory(t);
        const first = created(directory);
        await first.open();
        await first.batch([put("a", "1")]);
        const locked = (error: unknown): boolean => error instanceof StateError && error.code === "locked";
        await assert.rejects(subject.create(directory).open(), locked);
        await assert.rejects(subject.create(directory).destroy(), locked);
        assert.deepEqual(await collect(first), ["a=1"]);
      });
    }
  });
}
