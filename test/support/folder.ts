import type { Test } from "tap";

/**
 * The test's own folder, with these files, which goes when its teardowns have run: what is open still makes files in
 * it. (tap takes it away before them where it was asked for before the first of them.) Each call empties it.
 */
export function ownFolder(t: Test, files: Parameters<Test["testdir"]>[0] = {}): string {
  t.teardown(() => {});
  return t.testdir(files);
}
