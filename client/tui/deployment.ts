/**
 * The deployment that runs or ran last, as far as it is known: its steps, how far it came, how it ended.
 *
 *     none ──deploy.started──► running ──deploy.finished──► done
 *                                 └─────deploy.failed────► failed
 */
import type { LivedevEvent } from "../../proto/events.ts";
import type { DaemonStatus } from "../../proto/rpc.ts";

export type Step = {
  readonly step: string;
  readonly resource: string;
  readonly state: "waiting" | "done";
  readonly tookMs?: number;
};

export type Course =
  | { readonly is: "none" }
  | { readonly is: "running"; readonly since: number; readonly steps: number }
  | { readonly is: "done"; readonly at: number; readonly tookMs: number }
  | { readonly is: "failed"; readonly at: number; readonly message: string };

export class Deployment {
  #course: Course = { is: "none" };
  #steps: Step[] = [];
  #urls: Readonly<Record<string, string>> = {};
  #outputs: Readonly<Record<string, unknown>> = {};

  get course(): Course {
    return this.#course;
  }

  get steps(): readonly Step[] {
    return this.#steps;
  }

  get urls(): Readonly<Record<string, string>> {
    return this.#urls;
  }

  get outputs(): Readonly<Record<string, unknown>> {
    return this.#outputs;
  }

  take(event: LivedevEvent, at: number): void {
    switch (event.type) {
      case "deploy.started":
        this.#course = { is: "running", since: at, steps: event.steps };
        this.#steps = (event.plan ?? []).map(({ step, resource }) => ({ step, resource, state: "waiting" }));
        break;
      case "deploy.stepped":
        this.#stepped({ step: event.step, resource: event.resource, state: "done", tookMs: event.tookMs });
        break;
      case "deploy.finished":
        // What was planned and then not due any more.
        this.#steps = this.#steps.filter(({ state }) => state === "done");
        if (this.#course.is !== "running") this.#steps = [];
        this.#course = { is: "done", at, tookMs: event.tookMs };
        this.#urls = event.urls;
        break;
      case "deploy.failed":
        this.#course = { is: "failed", at, message: event.message };
        break;
      default:
        break;
    }
  }

  /** The status knows the outputs, and the URLs also where nothing was deployed while we looked. */
  stands({ live, functions }: DaemonStatus): void {
    if (live.state !== "live") return;
    // Of an older daemon there are none.
    this.#outputs = (live as Partial<typeof live>).outputs ?? {};
    const urls = functions.flatMap(({ name, url }) => (url === undefined ? [] : [[name, url] as const]));
    this.#urls = { ...this.#urls, ...Object.fromEntries(urls) };
  }

  #stepped(done: Step): void {
    const at = this.#steps.findIndex(
      ({ state, step, resource }) => state === "waiting" && step === done.step && resource === done.resource,
    );
    if (at === -1) this.#steps.push(done);
    else this.#steps[at] = done;
  }
}
