/** Between the daemon and the program that evaluates a config (runner.ts), by IPC. */

export type Evaluate = {
  readonly type: "evaluate";
  /** The bundled config. */
  readonly bundle: string;
  /** The SDK's file URL: the same module that the bundle imports as "livedev". */
  readonly sdk: string;
  readonly project: string;
  readonly stage: string;
  readonly dev: boolean;
  /** The whole of the config's `process.env`. */
  readonly environment: Readonly<Record<string, string>>;
};

export type Place = { readonly file: string; readonly line: number };

export type Evaluated =
  | {
      readonly type: "evaluated";
      /** What `app()` and `run()` returned, in plain form. */
      readonly app: unknown;
      readonly outputs: unknown;
      readonly components: readonly RawComponent[];
    }
  | {
      readonly type: "failed";
      readonly during: "load" | "app" | "run" | "later";
      readonly message: string;
      readonly stack: string;
      readonly place?: Place;
    }
  | { readonly type: "misshapen"; readonly how: "noDefault" | "notConfig" };

export type RawComponent = {
  readonly kind: string;
  readonly name: unknown;
  readonly args: unknown;
  readonly options: unknown;
  readonly place?: Place;
};
