/** The way every list is answered: a local page under `scope=local`, else the merged pages of all workers. */
import type { FastifyRequest } from "fastify";
import type { MissingWorker } from "../errors.ts";
import { requireComplete } from "../group.ts";
import { mergePages, type Page } from "../page.ts";
import { AFTER, LIMIT, PARTIAL, SCOPE } from "../parameters.ts";
import type { Services } from "../route.ts";

export interface ListQuery {
  readonly after?: string;
  readonly limit: number;
  readonly scope: "group" | "local";
  readonly partial: boolean;
}

export const LIST_QUERY = { after: AFTER, limit: LIMIT, scope: SCOPE, partial: PARTIAL } as const;

export interface ListOf<T> {
  /** Name of the array in the answer. */
  readonly field: string;
  readonly local: () => Promise<Page<T>>;
  readonly keyOf: (item: T) => string;
  readonly newer: (a: T, b: T) => T;
}

/** `{ [field]: items, next, complete, missing }` */
export async function answerList<T>(
  { group }: Services,
  request: FastifyRequest<{ Querystring: ListQuery }>,
  list: ListOf<T>,
): Promise<ListAnswer> {
  const { limit, scope, partial } = request.query;
  const gaps = group.localGaps();
  const toAnswer = (page: Page<T>, missing: readonly MissingWorker[]): ListAnswer => ({
    [list.field]: page.items,
    next: page.next,
    complete: missing.length === 0,
    missing,
  });
  const { answers, missing } = await group.ask(request, scope, async () => toAnswer(await list.local(), gaps));
  requireComplete(missing, partial);
  const pages = answers.map((answer) => ({ items: answer[list.field] as readonly T[], next: answer.next }));
  return toAnswer(mergePages(pages, limit, list.keyOf, list.newer), missing);
}

export interface ListAnswer {
  readonly next: string | null;
  readonly complete: boolean;
  readonly missing: readonly MissingWorker[];
  readonly [field: string]: unknown;
}
