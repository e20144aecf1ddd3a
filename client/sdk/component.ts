import { COMPONENT, PLAIN, type Evaluation } from "../../proto/app.ts";
import { inConfig } from "./context.ts";

/** What a config defines by `new`, under a name that is unique in the app. */
export abstract class Component {
  readonly #kind: string;
  readonly #name: string;

  protected constructor(kind: string, name: string, args: unknown, options: unknown) {
    this.#kind = kind;
    this.#name = name;
    const { components }: Evaluation = inConfig(kind);
    const caller: { stack?: string } = {};
    // From the frame above the outermost constructor: the line of the config that errors name.
    Error.captureStackTrace(caller, new.target);
    components.push({ kind, name, args, options, stack: caller.stack ?? "" });
  }

  [PLAIN](): unknown {
    return { [COMPONENT]: { kind: this.#kind, name: this.#name } };
  }
}

export type LinkableArgs = {
  /** What `Resource.<name>` gives in the code of the functions that link it. */
  properties: Record<string, unknown>;
  /** What those functions may do: `aws.permission({ actions, resources })`. */
  include?: readonly unknown[];
};

/** Any values under a name, for functions to link. */
export class Linkable extends Component {
  readonly properties: Readonly<Record<string, unknown>>;

  constructor(name: string, args: LinkableArgs, options?: unknown) {
    super("Linkable", name, args, options);
    this.properties = args?.properties ?? {};
  }
}
