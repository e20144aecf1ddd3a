import { EVALUATION, type Evaluation } from "../../proto/app.ts";

/** The config that is being evaluated; nothing where this code runs as a function. */
export function evaluation(): Evaluation | undefined {
  return (globalThis as { [EVALUATION]?: Evaluation })[EVALUATION];
}

/** What only a config may use says so elsewhere. */
export function inConfig(what: string): Evaluation {
  const current = evaluation();
  if (current === undefined) {
    throw new Error(`${what} belongs in livedev.config.ts. In a function's code, use Resource.`);
  }
  return current;
}

/** Names hold the app's, so they exist from `run()` on. */
export function appIn(what: string): NonNullable<Evaluation["app"]> {
  const { app } = inConfig(what);
  if (app === undefined) throw new Error(`${what} belongs in run(), not in app(): the app has no name yet.`);
  return app;
}
