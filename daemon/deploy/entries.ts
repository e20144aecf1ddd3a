/** What a package is made of. */
export type PackageEntry = {
  /** In the package, with slashes. */
  readonly path: string;
  readonly contents: Uint8Array;
  readonly executable?: boolean;
};

/** Always the same, so that the same content is the same package: a zip's times are local, and this is its first. */
const MTIME = new Date(1980, 0, 1);

export const zipOptions = (executable: boolean) => ({
  mtime: MTIME,
  mode: executable ? 0o100755 : 0o100644,
  forceDosTimestamp: true,
});
