/**
 * The stage's secrets as the daemon knows them: which value counts, where it is kept, who is told of a change. Read
 * anew with each config, at each change that is made here, and where they are followed at changes that others make.
 * In memory alone.
 */
import type { WantedApp } from "../proto/app.ts";
import type { RpcResult } from "../proto/rpc.ts";

import {
  changesOf,
  isSecretName,
  NO_SECRETS,
  type KeptSecrets,
  type SecretChange,
  type SecretScope,
  type SecretStore,
  type SecretValues,
} from "./credentials/secrets.ts";
import { Latest } from "./lib/latest.ts";
import { secretEmpty, secretNameInvalid } from "./lib/errors.ts";

export type { SecretChange, SecretScope, SecretValues } from "./credentials/secrets.ts";

/** A shorter one stands by chance in many texts. */
const LONG = 6;

export type StageSecretsOptions = {
  /** Where the app's secrets are kept. @throws LivedevError */
  readonly store: () => Promise<SecretStore>;
  /** They are others than before. `by`: those that somebody else changed. */
  readonly changed: (by: readonly SecretChange[]) => void;
};

export class StageSecrets {
  readonly #options: StageSecretsOptions;
  #kept: KeptSecrets = NO_SECRETS;
  #known = false;
  /** What is being changed here. */
  #ours: readonly { readonly scope: SecretScope; readonly name: string }[] = [];
  readonly #reading = new Latest(() => this.#read());

  constructor(options: StageSecretsOptions) {
    this.#options = options;
  }

  /** By name: the stage's value, else the app's. */
  get values(): SecretValues {
    return { ...this.#kept.fallback, ...this.#kept.stage };
  }

  /** @throws LivedevError where they cannot be read; what was known stays. */
  read(): Promise<void> {
    return this.#reading.run();
  }

  /** Resolves when no reading is under way, however it ended. */
  async settled(): Promise<void> {
    await this.#reading.idle();
  }

  /** @throws LivedevError */
  async set(scope: SecretScope, values: SecretValues): Promise<void> {
    for (const [name, value] of Object.entries(values)) {
      if (!isSecretName(name)) throw secretNameInvalid(name);
      if (value === "") throw secretEmpty(name);
    }
    await this.#change(scope, Object.keys(values), (store) => store.set(scope, values));
  }

  /** False where there was none. @throws LivedevError */
  async remove(scope: SecretScope, name: string): Promise<boolean> {
    if (!isSecretName(name)) throw secretNameInvalid(name);
    return this.#change(scope, [name], (store) => store.remove(scope, name));
  }

  async #change<T>(
    scope: SecretScope,
    names: readonly string[],
    change: (store: SecretStore) => Promise<T>,
  ): Promise<T> {
    const ours = names.map((name) => ({ scope, name }));
    this.#ours = [...this.#ours, ...ours];
    try {
      const done = await change(await this.#options.store());
      await this.read();
      return done;
    } finally {
      this.#ours = this.#ours.filter((one) => !ours.includes(one));
    }
  }

  /** The config's, and those that have a value all the same. */
  list(app: WantedApp, reveal: boolean): RpcResult<"secret.list"> {
    const { stage, fallback } = this.#kept;
    const wanted = new Map(app.secrets.map((secret) => [secret.name, secret]));
    const names = new Set([...wanted.keys(), ...Object.keys(stage), ...Object.keys(fallback)]);
    return [...names].sort().map((name) => {
      const value = stage[name] ?? fallback[name];
      const placeholder = wanted.get(name)?.placeholder !== undefined;
      return {
        name,
        from:
          stage[name] !== undefined
            ? "stage"
            : fallback[name] !== undefined
              ? "fallback"
              : placeholder
                ? "placeholder"
                : "nowhere",
        inConfig: wanted.has(name),
        ...(reveal && value !== undefined && { value }),
      };
    });
  }

  /** Whether a secret's value stands in it. */
  holds(value: unknown): boolean {
    const values = Object.values(this.values);
    const within = (one: unknown): boolean => {
      if (typeof one === "string")
        return values.some((secret) => one === secret || (secret.length >= LONG && one.includes(secret)));
      return typeof one === "object" && one !== null && Object.values(one).some(within);
    };
    return within(value);
  }

  async #read(): Promise<void> {
    const before = this.#kept;
    this.#kept = await (await this.#options.store()).read();
    const changes = changesOf(before, this.#kept);
    const isOurs = ({ scope, name }: SecretChange) =>
      this.#ours.some((one) => one.scope === scope && one.name === name);
    const by = this.#known ? changes.filter((change) => !isOurs(change)) : [];
    this.#known = true;
    if (changes.length > 0) this.#options.changed(by);
  }
}
