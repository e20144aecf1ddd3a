/** Lambda's operations by name: what each needs of the cloud, and which function carries it out. */
import { unsupported } from "./aws-error.ts";
import type { CodeStore } from "./code-store.ts";
import {
  createFunction,
  deleteFunction,
  getFunction,
  getFunctionConfiguration,
  listFunctions,
  listVersions,
  updateFunctionCode,
  updateFunctionConfiguration,
} from "./lambda-functions.ts";
import { invoke, invokeWithResponseStream, type Invoker } from "./lambda-invoke.ts";
import { addPermission, getPolicy, removePermission } from "./lambda-policy.ts";
import type { LambdaOperation } from "./lambda-routes.ts";
import { listTags, tagResource, untagResource } from "./lambda-tags.ts";
import {
  createFunctionUrl,
  deleteFunctionUrl,
  getFunctionUrl,
  listFunctionUrls,
  updateFunctionUrl,
} from "./lambda-urls.ts";
import type { ApiResponse } from "./protocols.ts";
import type { StateFile } from "./state-file.ts";
import type { FunctionCode } from "./state.ts";

export type LambdaCall = {
  readonly requestId: string;
  readonly region: string;
  /** Of the path, decoded. */
  readonly params: Readonly<Record<string, string>>;
  /** `FunctionName` of the path. */
  readonly name: string;
  readonly qualifier: string | undefined;
  readonly query: URLSearchParams;
  readonly headers: Readonly<Record<string, string | undefined>>;
  readonly body: Uint8Array;
};

export type LambdaParts = {
  readonly states: StateFile;
  readonly codes: CodeStore;
  readonly invoker: Invoker;
  readonly urls: { reserve(): Promise<number>; settle(port: number): void };
  /** A link that gives the package to whoever has the link. */
  codeUrl(code: FunctionCode): string;
  /** The state has changed: environments and URLs follow. Resolves when the URLs listen as the state says. */
  changed(): Promise<void>;
};

type Operation = (call: LambdaCall, parts: LambdaParts) => Promise<ApiResponse>;

const OPERATIONS: Partial<Readonly<Record<LambdaOperation, Operation>>> = {
  AddPermission: addPermission,
  CreateFunction: createFunction,
  CreateFunctionUrlConfig: createFunctionUrl,
  DeleteFunction: deleteFunction,
  DeleteFunctionUrlConfig: deleteFunctionUrl,
  GetFunction: getFunction,
  GetFunctionConfiguration: getFunctionConfiguration,
  GetFunctionUrlConfig: getFunctionUrl,
  GetPolicy: getPolicy,
  Invoke: invoke,
  InvokeWithResponseStream: invokeWithResponseStream,
  ListFunctionUrlConfigs: listFunctionUrls,
  ListFunctions: listFunctions,
  ListTags: listTags,
  ListVersionsByFunction: listVersions,
  RemovePermission: removePermission,
  TagResource: tagResource,
  UntagResource: untagResource,
  UpdateFunctionCode: updateFunctionCode,
  UpdateFunctionConfiguration: updateFunctionConfiguration,
  UpdateFunctionUrlConfig: updateFunctionUrl,
};

export function callLambda(
  operation: LambdaOperation,
  call: LambdaCall,
  parts: LambdaParts,
): Promise<ApiResponse> {
  const carryOut = OPERATIONS[operation];
  if (carryOut === undefined) throw unsupported(`Lambda's ${operation}`);
  return carryOut(call, parts);
}
