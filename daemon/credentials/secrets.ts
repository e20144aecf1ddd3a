/**
 * Secrets: what a config names (`new Secret("StripeKey")`) and does not hold. A value belongs to a stage; where the
 * stage has none, the app's fallback counts.
 */
export type SecretValues = Readonly<Record<string, string>>;

/** Whose value: the stage's, or the one that all stages of the app fall back to. */
export type SecretScope = "stage" | "fallback";

export type KeptSecrets = Readonly<Record<SecretScope, SecretValues>>;

/** What of them is other than it was. */
export type SecretChange = {
  readonly name: string;
  readonly scope: SecretScope;
  readonly how: "set" | "removed";
};

export function changesOf(before: KeptSecrets, now: KeptSecrets): SecretChange[] {
  return (["stage", "fallback"] as const).flatMap((scope) => {
    const names = new Set([...Object.keys(before[scope]), ...Object.keys(now[scope])]);
    return [...names].sort().flatMap((name): SecretChange[] => {
      const value = now[scope][name];
      if (value === before[scope][name]) return [];
      return [{ name, scope, how: value === undefined ? "removed" : "set" }];
    });
  });
}

export const NO_SECRETS: KeptSecrets = { stage: {}, fallback: {} };

/** Where they are kept: a sealed file of this project's, or the account's Parameter Store. */
export type SecretStore = {
  /** @throws LivedevError */
  read(): Promise<KeptSecrets>;
  set(scope: SecretScope, values: SecretValues): Promise<void>;
  /** False where there was none. */
  remove(scope: SecretScope, name: string): Promise<boolean>;
};

/** The names of secrets are components' names: they become a file's name, and a parameter's. */
export const isSecretName = (name: string): boolean => /^[A-Za-z]\w{0,49}$/.test(name);
