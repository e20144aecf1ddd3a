/** The developer's own keys and profiles. Programs read them once: fresh ones reach a program that starts anew. */
import { readFileSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";

type Environment = Readonly<Record<string, string | undefined>>;

const LOOK_MS = 1_000;

/** @see https://docs.aws.amazon.com/sdkref/latest/guide/file-location.html */
function filesOf(environment: Environment): string[] {
  const folder = join(homedir(), ".aws");
  return [
    environment["AWS_SHARED_CREDENTIALS_FILE"] ?? join(folder, "credentials"),
    environment["AWS_CONFIG_FILE"] ?? join(folder, "config"),
  ];
}

/** What they say, to be compared. */
export function readAwsFiles(environment: Environment): string {
  return filesOf(environment)
    .map((file) => {
      try {
        return readFileSync(file, "utf8");
      } catch {
        return "";
      }
    })
    .join("\0");
}

/** Looked at rather than watched: a folder that is not there yet, and files that are replaced, are seen too. */
export function followAwsFiles(environment: Environment, changed: () => void): Disposable {
  let seen = readAwsFiles(environment);
  const look = () => {
    const now = readAwsFiles(environment);
    if (now === seen) return;
    seen = now;
    changed();
  };
  const timer = setInterval(look, LOOK_MS).unref();
  return { [Symbol.dispose]: () => clearInterval(timer) };
}
