/**
 * The AWS clients, made once and only when they are first used: loading one takes longer than the daemon's whole
 * start.
 */
import type { CloudFormationClient } from "@aws-sdk/client-cloudformation";
import type { CloudFrontClient } from "@aws-sdk/client-cloudfront";
import type { CloudWatchLogsClient } from "@aws-sdk/client-cloudwatch-logs";
import type { EC2Client } from "@aws-sdk/client-ec2";
import type { IAMClient } from "@aws-sdk/client-iam";
import type { LambdaClient } from "@aws-sdk/client-lambda";
import type { S3Client } from "@aws-sdk/client-s3";
import type { SSMClient } from "@aws-sdk/client-ssm";
import type { STSClient } from "@aws-sdk/client-sts";

import type { Log } from "../lib/log.ts";
import { Scope } from "../lib/scope.ts";
import { Identity } from "./identity.ts";
import type { Where } from "./failure.ts";
import { proxyAgent, proxyFor } from "./proxy.ts";
import { giveUpSoon } from "./unreachable.ts";

export type AwsOptions = {
  readonly region: string;
  /** Of ~/.aws; otherwise the SDK's own order of places. */
  readonly profile?: string | undefined;
  /** For every service: the local cloud, LocalStack. */
  readonly endpoint?: string | undefined;
  readonly credentials?: AwsCredentials | undefined;
  readonly log: Log;
};

export type AwsCredentials = {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly sessionToken?: string;
};

const CONNECT_MS = 5000;
const ANSWER_MS = 60_000;
/** Many functions at once meet the service's limits: the client slows down by itself, and does not give up soon. */
const ATTEMPTS = 12;
const FEW_ATTEMPTS = 3;

/** Lambda's longest invocation, and what surrounds it. */
const INVOKE_MS = 15 * 60_000 + 30_000;

export class Aws {
  readonly #options: AwsOptions;
  readonly #scope = new Scope();
  readonly #clients = new Map<string, Promise<{ destroy(): void }>>();
  readonly #identity: Identity;

  private constructor(options: AwsOptions) {
    this.#options = options;
    this.#identity = new Identity(options.profile);
  }

  static async open(options: AwsOptions): Promise<Aws> {
    return new Aws(options);
  }

  get region(): string {
    return this.#options.region;
  }

  /** For errors: whose credentials, and where. */
  get where(): Where {
    const { profile, endpoint, region, credentials } = this.#options;
    const named = profile ?? process.env["AWS_PROFILE"];
    const given = named === undefined && credentials === undefined;
    return {
      profile: named,
      endpoint: endpoint ?? `AWS in ${region}`,
      fromEnvironment: given && process.env["AWS_ACCESS_KEY_ID"] !== undefined,
    };
  }

  lambda(): Promise<LambdaClient> {
    return this.#once("lambda", async () => {
      const { LambdaClient } = await import("@aws-sdk/client-lambda");
      return new LambdaClient(this.#configuration());
    });
  }

  /** For Invoke alone: waits as long as a function may run, and never repeats what may have run. */
  invoker(): Promise<LambdaClient> {
    return this.#once("invoker", async () => {
      const { LambdaClient } = await import("@aws-sdk/client-lambda");
      return new LambdaClient({ ...this.#configuration(INVOKE_MS), maxAttempts: 1 });
    });
  }

  iam(): Promise<IAMClient> {
    return this.#once("iam", async () => {
      const { IAMClient } = await import("@aws-sdk/client-iam");
      return new IAMClient(this.#configuration());
    });
  }

  s3(): Promise<S3Client> {
    return this.#once("s3", async () => {
      const { S3Client } = await import("@aws-sdk/client-s3");
      // An endpoint of one's own seldom has a name for each bucket.
      return new S3Client({ ...this.#configuration(), forcePathStyle: this.#options.endpoint !== undefined });
    });
  }

  cloudformation(): Promise<CloudFormationClient> {
    return this.#once("cloudformation", async () => {
      const { CloudFormationClient } = await import("@aws-sdk/client-cloudformation");
      return new CloudFormationClient(this.#configuration());
    });
  }

  /** For drift alone, which stand-ins of AWS often lack: an error that is not worth many attempts. */
  driftDetector(): Promise<CloudFormationClient> {
    return this.#once("driftDetector", async () => {
      const { CloudFormationClient } = await import("@aws-sdk/client-cloudformation");
      return new CloudFormationClient({ ...this.#configuration(), maxAttempts: FEW_ATTEMPTS });
    });
  }

  cloudfront(): Promise<CloudFrontClient> {
    return this.#once("cloudfront", async () => {
      const { CloudFrontClient } = await import("@aws-sdk/client-cloudfront");
      return new CloudFrontClient(this.#configuration());
    });
  }

  ec2(): Promise<EC2Client> {
    return this.#once("ec2", async () => {
      const { EC2Client } = await import("@aws-sdk/client-ec2");
      return new EC2Client(this.#configuration());
    });
  }

  logs(): Promise<CloudWatchLogsClient> {
    return this.#once("logs", async () => {
      const { CloudWatchLogsClient } = await import("@aws-sdk/client-cloudwatch-logs");
      return new CloudWatchLogsClient(this.#configuration());
    });
  }

  ssm(): Promise<SSMClient> {
    return this.#once("ssm", async () => {
      const { SSMClient } = await import("@aws-sdk/client-ssm");
      return new SSMClient(this.#configuration());
    });
  }

  sts(): Promise<STSClient> {
    return this.#once("sts", async () => {
      const { STSClient } = await import("@aws-sdk/client-sts");
      return new STSClient(this.#configuration());
    });
  }

  #configuration(requestTimeout = ANSWER_MS) {
    const { region, endpoint, credentials = this.#identity.provide } = this.#options;
    const proxy = proxyFor(endpoint === undefined ? "amazonaws.com" : new URL(endpoint).hostname);
    return {
      region,
      maxAttempts: ATTEMPTS,
      retryMode: "adaptive",
      requestHandler: {
        connectionTimeout: CONNECT_MS,
        requestTimeout,
        throwOnRequestTimeout: true,
        ...(proxy !== undefined && { httpsAgent: proxyAgent(proxy) }),
      },
      credentials,
      ...(endpoint !== undefined && { endpoint }),
    };
  }

  #once<T extends { destroy(): void }>(name: string, make: () => Promise<T>): Promise<T> {
    const made = this.#clients.get(name);
    if (made !== undefined) return made as Promise<T>;
    if (this.#scope.closed) throw new Error("the AWS clients are closed");
    const making = make().then((client) => {
      this.#identity.watch(client);
      giveUpSoon(client);
      return client;
    });
    this.#clients.set(name, making);
    this.#scope.defer(async () => (await making).destroy());
    return making;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#scope.close();
  }
}
