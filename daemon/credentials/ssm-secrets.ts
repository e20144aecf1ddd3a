/**
 * Secrets in AWS: a SecureString each in the Parameter Store of the app's region, encrypted by KMS, so that a team
 * shares them and a pipeline that deploys needs no file. Nothing tells when a teammate sets one: it is looked for, at
 * what their versions are, which KMS is not asked for and nobody pays for.
 *
 *     /livedev/<app>/<stage>/<name>
 *     /livedev/<app>/_fallback/<name>     no stage begins with _
 */
import type { SSMClient } from "@aws-sdk/client-ssm";

import type { Aws } from "../aws/aws.ts";
import { awsName, explainAws } from "../aws/failure.ts";
import { nextLook } from "../lib/looks.ts";
import { isSecretName, type KeptSecrets, type SecretScope, type SecretStore } from "./secrets.ts";

/** Loaded with the first secret of an app in AWS. */
const ssm = () => import("@aws-sdk/client-ssm");

export class SsmSecrets implements SecretStore {
  readonly #aws: Aws;
  readonly #of: { readonly app: string; readonly stage: string };

  constructor(aws: Aws, of: { readonly app: string; readonly stage: string }) {
    this.#aws = aws;
    this.#of = of;
  }

  read(): Promise<KeptSecrets> {
    return this.#call("reading the secrets of", async (client) => {
      const [stage, fallback] = await Promise.all([
        this.#readScope(client, "stage"),
        this.#readScope(client, "fallback"),
      ]);
      return { stage, fallback };
    });
  }

  set(scope: SecretScope, values: Readonly<Record<string, string>>): Promise<void> {
    return this.#call("setting a secret of", async (client) => {
      const { AddTagsToResourceCommand, PutParameterCommand } = await ssm();
      for (const [name, Value] of Object.entries(values)) {
        const Name = `${this.#path(scope)}/${name}`;
        // Above 4 KB a parameter costs money; up to there it does not.
        const Tier = "Intelligent-Tiering";
        await client.send(
          new PutParameterCommand({ Name, Value, Type: "SecureString", Overwrite: true, Tier }),
        );
        // Not together with Overwrite: SSM takes tags there for a new parameter only.
        await client.send(
          new AddTagsToResourceCommand({
            ResourceType: "Parameter",
            ResourceId: Name,
            Tags: [
              { Key: "livedev:app", Value: this.#of.app },
              ...(scope === "stage" ? [{ Key: "livedev:stage", Value: this.#of.stage }] : []),
              { Key: "livedev:component", Value: name },
            ],
          }),
        );
      }
    });
  }

  remove(scope: SecretScope, name: string): Promise<boolean> {
    return this.#call("removing a secret of", async (client) => {
      const { DeleteParameterCommand } = await ssm();
      try {
        await client.send(new DeleteParameterCommand({ Name: `${this.#path(scope)}/${name}` }));
        return true;
      } catch (error) {
        if (awsName(error) === "ParameterNotFound") return false;
        throw error;
      }
    });
  }

  /** Where `wanted` says so at that moment. What it cannot find out, the next look may. */
  async follow(
    changed: () => void,
    { wanted, everyMs, signal }: { wanted: () => boolean; everyMs: number; signal: AbortSignal },
  ): Promise<void> {
    let before: string | undefined;
    do {
      if (!wanted()) continue;
      const now = await this.#versions().catch(() => before);
      if (signal.aborted) return;
      if (before !== undefined && now !== before) changed();
      before = now;
    } while (await nextLook(signal, everyMs));
  }

  async #versions(): Promise<string> {
    const client = await this.#aws.ssm();
    const { paginateGetParametersByPath } = await ssm();
    const found: string[] = [];
    for (const scope of ["stage", "fallback"] as const) {
      const pages = paginateGetParametersByPath({ client }, { Path: this.#path(scope) });
      for await (const { Parameters = [] } of pages)
        found.push(...Parameters.map(({ Name, Version }) => `${Name} ${Version}`));
    }
    return found.sort().join("\n");
  }

  async #readScope(client: SSMClient, scope: SecretScope): Promise<Record<string, string>> {
    const { paginateGetParametersByPath } = await ssm();
    const found: Record<string, string> = {};
    const path = this.#path(scope);
    for await (const { Parameters = [] } of paginateGetParametersByPath(
      { client },
      { Path: path, WithDecryption: true },
    )) {
      for (const { Name = "", Value } of Parameters) {
        const name = Name.slice(path.length + 1);
        if (isSecretName(name) && Value !== undefined) found[name] = Value;
      }
    }
    return found;
  }

  #path(scope: SecretScope): string {
    return `/livedev/${this.#of.app}/${scope === "stage" ? this.#of.stage : "_fallback"}`;
  }

  async #call<T>(doing: string, work: (client: SSMClient) => Promise<T>): Promise<T> {
    try {
      return await work(await this.#aws.ssm());
    } catch (error) {
      throw explainAws(error, `${doing} ${this.#of.app}/${this.#of.stage}`, this.#aws.where);
    }
  }
}
