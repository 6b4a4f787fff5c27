/** The way every list is answered: a local page under `scope=local`, else the merged pages of all workers. */
import type { FastifyReply, FastifyRequest } from "fastify";
import type { CopiesOf, RowsHere } from "../../runtime/queries.ts";
import { ApiError, type MissingWorker } from "../errors.ts";
import { requireComplete } from "../group.ts";
import { mergePages, type Page } from "../page.ts";
import { AFTER, COPIES_OF, LIMIT, MAX_STALENESS, PARTIAL, SCOPE, type StalenessQuery } from "../parameters.ts";
import { STALENESS_HEADER } from "../peer-client.ts";
import type { Services } from "../route.ts";

export interface ListQuery extends StalenessQuery {
  readonly after?: string;
  readonly limit: number;
  readonly scope: "group" | "local";
  readonly partial: boolean;
  readonly copiesOf?: string;
}

export const LIST_QUERY = {
  after: AFTER,
  limit: LIMIT,
  scope: SCOPE,
  partial: PARTIAL,
  maxStalenessMs: MAX_STALENESS,
  copiesOf: COPIES_OF,
} as const;

export interface ListOf<T> {
  /** Name of the array in the answer. */
  readonly field: string;
  /** Whose rows are listed. */
  readonly store: string;
  readonly local: (rows: RowsHere) => Promise<Page<T>>;
  readonly keyOf: (item: T) => string;
  readonly newer: (a: T, b: T) => T;
}

/**
 * `{ [field]: items, next, complete, missing }`. Tasks that nobody could be asked for come from copies, within `maxStalenessMs`: each
 * task's rows are of one worker, so that a row that is gone does not come back out of an older copy.
 */
export async function answerList<T>(
  { group, options: { queries } }: Services,
  request: FastifyRequest<{ Querystring: ListQuery }>,
  reply: FastifyReply,
  list: ListOf<T>,
): Promise<ListAnswer> {
  const { limit, scope, partial, maxStalenessMs } = request.query;
  const toAnswer = (page: Page<T>, missing: readonly MissingWorker[]): ListAnswer => ({
    [list.field]: page.items,
    next: page.next,
    complete: missing.length === 0,
    missing,
  });
  const here = async (copies?: CopiesOf): Promise<LocalList> => {
    const gaps = copies === undefined ? group.localGaps() : [];
    const rows = queries.rowsHere(list.store, copies);
    return { ...toAnswer(await list.local(rows), gaps), sources: rows.sources };
  };
  const copies = copiesAsked(request.query);
  if (copies !== undefined) return aged(reply, [await here(copies)])[0];

  const asked = await group.ask<LocalList>(request, scope, () => here());
  const answers = [...asked.answers];
  let { missing } = asked;
  if (scope === "group" && missing.length > 0 && maxStalenessMs !== undefined) {
    const lacking = (): string[] | undefined => queries.tasksOf(list.store)?.filter((taskId) => !sourcesOf(answers).includes(taskId));
    answers.push(...(await group.askCopies(request, lacking() ?? [], (taskIds) => here({ taskIds, maxStalenessMs }))));
    if (lacking()?.length === 0) missing = [];
  }
  requireComplete(missing, partial);
  aged(reply, answers);
  if (scope === "local") return answers[0];
  const pages = answers.map((answer) => ({ items: answer[list.field] as readonly T[], next: answer.next }));
  return toAnswer(mergePages(pages, limit, list.keyOf, list.newer), missing);
}

export interface ListAnswer {
  readonly next: string | null;
  readonly complete: boolean;
  readonly missing: readonly MissingWorker[];
  readonly [field: string]: unknown;
}

/** Of one worker. */
interface LocalList extends ListAnswer {
  readonly sources: RowsHere["sources"];
}

/** Throws ApiError `invalid-request` for copies without their bounds. */
function copiesAsked({ scope, copiesOf, maxStalenessMs }: ListQuery): CopiesOf | undefined {
  if (copiesOf === undefined) return undefined;
  if (scope !== "local" || maxStalenessMs === undefined)
    throw new ApiError("invalid-request", "copiesOf needs scope=local and maxStalenessMs");
  return { taskIds: copiesOf.split(","), maxStalenessMs };
}

function sourcesOf(answers: readonly LocalList[]): string[] {
  return answers.flatMap(({ sources }) => sources.map(({ taskId }) => taskId));
}

/** Says how old the oldest of the copies is, if any is used. */
function aged(reply: FastifyReply, answers: readonly LocalList[]): readonly LocalList[] {
  const ages = answers.flatMap(({ sources }) => sources.map(({ stalenessMs }) => stalenessMs));
  const oldest = Math.max(0, ...ages);
  if (oldest > 0) reply.header(STALENESS_HEADER, oldest);
  return answers;
}
