/** What of this execution environment the user's code needs on the other machine. */

/** Named by AWS. LIVEDEV_* is ours, everything else belongs to the user's config. */
const ITS_OWN = /^(AWS_|_X_AMZN|LAMBDA_)|^(_HANDLER|TZ|LANG)$/;

/** True only here: a listener in this environment, and the wrapper that started the stub. */
const LOCAL = new Set(["AWS_LAMBDA_RUNTIME_API", "AWS_LAMBDA_EXEC_WRAPPER"]);

export function ownEnvironment(env: NodeJS.ProcessEnv): Record<string, string> {
  const own: Record<string, string> = {};
  for (const [name, value] of Object.entries(env)) {
    if (value !== undefined && ITS_OWN.test(name) && !LOCAL.has(name)) own[name] = value;
  }
  return own;
}
