/** An invocation that is in progress, as whoever looks for a deadlock sees it. */
export type UnderWay = {
  readonly functionName: string;
  readonly requestId: string;
  readonly traceId?: string;
  /** Its handler has the event; otherwise it waits for its turn, for a build, for a worker. */
  readonly begun: boolean;
  /** It waits for its turn: as many as may run at once do. */
  readonly queued: boolean;
};
