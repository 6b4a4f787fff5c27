/** Asks every worker of the group the same thing: this one by a call, the others over HTTP with `scope=local`. */
import type { FastifyRequest } from "fastify";
import type { Queries } from "../runtime/queries.ts";
import { ApiError, type MissingWorker } from "./errors.ts";
import type { PeerClient } from "./peer-client.ts";
import { peerPath } from "./peer-path.ts";

/** What each worker answers under `scope=local`. `missing` names the worker itself when its own tasks are not all running. */
export interface LocalAnswer {
  readonly missing: readonly MissingWorker[];
}

/** What a worker answers when it is asked for copies. */
export interface CopiesAnswer {
  /** Those it has. */
  readonly sources: readonly { readonly taskId: string }[];
}

export interface GroupAnswer<T> {
  readonly answers: readonly T[];
  readonly missing: readonly MissingWorker[];
}

export class Group {
  readonly #queries: Queries;
  readonly #peers: PeerClient;

  constructor(queries: Queries, peers: PeerClient) {
    this.#queries = queries;
    this.#peers = peers;
  }

  /** All at once: a group has at most as many members as the topic has partitions, and each call has its time-out. */
  async ask<T extends LocalAnswer>(request: FastifyRequest, scope: "group" | "local", local: () => Promise<T>): Promise<GroupAnswer<T>> {
    const self = this.#queries.worker().workerId;
    const others =
      scope === "local" ? [] : this.#queries.worker().members.filter((member) => member.workerId !== self && member.tasks.length > 0);
    const path = localPath(request.url);
    const results = await Promise.all([
      local().then((answer) => ({ answer })),
      ...others.map((member) => this.#askMember<T>(member, path, request)),
    ]);
    const answers = results.filter((result) => "answer" in result).map((result) => result.answer);
    const unasked = results.filter((result) => "gap" in result).map((result) => result.gap);
    return { answers, missing: [...unasked, ...answers.flatMap((answer) => answer.missing)] };
  }

  /**
   * Asks for copies of these tasks: each task of one worker at a time, this one first, until one has it fresh enough. What no copy will
   * do for is in no answer.
   */
  async askCopies<T extends CopiesAnswer>(
    request: FastifyRequest,
    taskIds: readonly string[],
    local: (taskIds: readonly string[]) => Promise<T>,
  ): Promise<T[]> {
    const { workerId, standbys, members } = this.#queries.worker();
    const askMember = (member: (typeof members)[number]) => async (wanted: readonly string[]) => {
      const result = await this.#askMember<T>(member, localPath(request.url, { copiesOf: wanted.join() }), request);
      return "answer" in result ? result.answer : undefined;
    };
    const holders = [
      { unasked: new Set(standbys.map(({ taskId }) => taskId)), ask: local },
      ...members
        .filter((member) => member.workerId !== workerId)
        .map((member) => ({ unasked: new Set(member.standbys), ask: askMember(member) })),
    ];
    const answers: T[] = [];
    const lacking = new Set(taskIds);
    for (;;) {
      const round = holders.map(({ unasked, ask }) => ({ unasked, ask, wanted: [] as string[] }));
      for (const taskId of lacking) round.find(({ unasked }) => unasked.delete(taskId))?.wanted.push(taskId);
      const asked = round.filter(({ wanted }) => wanted.length > 0);
      if (asked.length === 0) return answers;
      for (const answer of await Promise.all(asked.map(({ ask, wanted }) => ask(wanted)))) {
        if (answer === undefined) continue;
        answers.push(answer);
        for (const { taskId } of answer.sources) lacking.delete(taskId);
      }
    }
  }

  /** `[]`, or this worker with the reason why its rows are not all of what it was given. */
  localGaps(): readonly MissingWorker[] {
    const { workerId, state, tasks } = this.#queries.worker();
    if (state !== "RUNNING") return [{ workerId, reason: `worker is ${state}` }];
    const waiting = tasks.find((task) => task.status !== "running");
    return waiting === undefined ? [] : [{ workerId, reason: `task ${waiting.taskId} is ${waiting.status}` }];
  }

  async #askMember<T>(
    member: { readonly workerId: string; readonly url: string | undefined },
    path: string,
    request: FastifyRequest,
  ): Promise<{ answer: T } | { gap: MissingWorker }> {
    const { workerId, url } = member;
    if (url === undefined) return { gap: { workerId, reason: "has no advertised URL" } };
    try {
      const answer = await this.#peers.get(url, path, request);
      if (answer.status !== 200) return { gap: { workerId, reason: `answered ${answer.status}` } };
      return { answer: JSON.parse(answer.body) as T };
    } catch (error) {
      if (error instanceof ApiError || error instanceof SyntaxError) return { gap: { workerId, reason: error.message } };
      throw error;
    }
  }
}

/** Throws ApiError `workers-missing` unless the caller takes part of the answer. */
export function requireComplete(missing: readonly MissingWorker[], partial: boolean): void {
  if (missing.length === 0 || partial) return;
  throw new ApiError("workers-missing", "not every worker could be asked; try again, or take what there is with partial=true", {
    missing,
    retryAfterMs: 1000,
  });
}

function localPath(requestUrl: string, parameters: Readonly<Record<string, string>> = {}): string {
  const isList = /^\/v1\/(tenants|stores)\b/.test(peerPath(requestUrl));
  return peerPath(requestUrl, { scope: "local", ...parameters, ...(isList ? { partial: "true" } : {}) });
}
