/**
 * Whose the calls are: the SDK's own order of places, asked again once AWS refuses what they gave. The SDK keeps keys
 * that do not say when they end for as long as the process lives, and reads ~/.aws once: who has pasted fresh keys, or
 * has signed in again, would have to restart the daemon.
 */
import type { AwsCredentialIdentity, AwsCredentialIdentityProvider } from "@smithy/types";

import { isRefusal } from "./failure.ts";

/** What a client has for middleware; its own types differ by service. */
type Client = {
  readonly middlewareStack: {
    add(
      middleware: (next: (args: never) => Promise<never>) => (args: never) => Promise<never>,
      options: { readonly step: "initialize"; readonly name: string },
    ): void;
  };
};

export class Identity {
  readonly #profile: string | undefined;
  #provider: Promise<AwsCredentialIdentityProvider> | undefined;

  constructor(profile: string | undefined) {
    this.#profile = profile;
  }

  /** For a client's `credentials`. */
  readonly provide = async (): Promise<AwsCredentialIdentity> => {
    const found = await (await (this.#provider ??= this.#open()))();
    // Long past, so that the client asks here before each call instead of keeping what it was given.
    return { ...found, expiration: new Date(0) };
  };

  /** Watches what the client is answered. */
  watch(client: object): void {
    (client as Client).middlewareStack.add(
      (next) => async (args) => {
        try {
          return await next(args);
        } catch (error) {
          if (error instanceof Error && isRefusal(error)) this.#provider = undefined;
          throw error;
        }
      },
      { step: "initialize", name: "livedevIdentity" },
    );
  }

  async #open(): Promise<AwsCredentialIdentityProvider> {
    const { defaultProvider } = await import("@aws-sdk/credential-provider-node");
    return defaultProvider({
      ignoreCache: true,
      ...(this.#profile !== undefined && { profile: this.#profile }),
    });
  }
}
